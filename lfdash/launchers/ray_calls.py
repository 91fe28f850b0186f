"""Calls of Ray's Jobs API (docs.ray.io, "Ray Jobs REST API"): each with an end, and to the address of the target alone.

By the standard library: what the API needs is JSON over HTTP, and the client of the `ray` package brings all of Ray.
Nothing is followed elsewhere (no redirect, no proxy of the environment), so that the token goes nowhere else.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import stat
import threading
import urllib.parse
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lfdash.launchers.asking import CallError

CALL_S = 20.0  # after which a question that has no answer is given up
MOST_BYTES = 32 << 20  # of an answer
SAID = 300  # characters of what Ray says why it does not do something
MESSAGE = 500  # of what it says of a job
NAMES = re.compile(r"class_name: .{1,300} ip: \S+ ")  # of the actor that the reason is about
OURS = "lfdash-"  # what the ids of our jobs begin with
AGENT = re.compile(r"https?://(\[[0-9a-fA-F:]{1,60}\]|[A-Za-z0-9.-]{1,255})(?::\d+)?")
WORD = re.compile(r"[A-Z_]{1,40}")
TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")
EXISTS = "already exists"  # in what Ray says of an id that it has (job_manager.py, submit_job)


@dataclass(frozen=True)
class Job:
    """A job as Ray tells of it. id: the one it was submitted with. word: its state, Ray's own. reason: what Ray says
    of that. node: the address of the one where it is."""

    id: str
    word: str
    reason: str = ""
    node: str = ""


@dataclass(frozen=True)
class Calls:
    """A Ray cluster. address: http(s)://HOST[:PORT][/PATH] of its dashboard. token_file: what holds its token; "" where
    it wants none."""

    address: str
    token_file: str = ""

    def jobs(self, seconds: float = CALL_S) -> list[Job]:
        """Every job of ours that Ray remembers, in one call. CallError."""
        answer = self._asked("GET", "/api/jobs/", seconds=seconds)
        if not isinstance(answer, list):
            raise CallError("the answer is not a list of jobs: is this the address of a Ray dashboard?")
        return [job for row in answer if (job := parse_job(row)) is not None]

    def submit(self, body: Mapping[str, Any], seconds: float = CALL_S) -> bool:
        """Submits a job. False: Ray has one of that id. CallError; `silent` where it may have been taken."""
        status, text = self.request("POST", "/api/jobs/", json.dumps(body).encode(), seconds)
        if status == 200:
            taken = parsed(status, text)
            if not isinstance(taken, dict) or taken.get("submission_id") != body.get("submission_id"):
                raise CallError("the answer is not of a Ray that takes a job: is this the address of its dashboard?")
            return True
        if EXISTS in text and str(body.get("submission_id")) in text:
            return False
        raise CallError(refusal(status, text), silent=status >= 500 and status != 501)

    def find(self, job: str, seconds: float = CALL_S) -> Job | None:
        """A job by its id; None where Ray has none. CallError."""
        status, text = self.request("GET", f"/api/jobs/{quoted(job)}", seconds=seconds)
        if status == 404:
            return None
        return parse_job(parsed(status, text))

    def stop(self, job: str, seconds: float = CALL_S) -> None:
        """Ends a job; one that waits, once it would begin. CallError."""
        self._gone_or_done("POST", f"/api/jobs/{quoted(job)}/stop", seconds)

    def delete(self, job: str, seconds: float = CALL_S) -> None:
        """Has Ray forget a job that is over. CallError."""
        self._gone_or_done("DELETE", f"/api/jobs/{quoted(job)}", seconds)

    def _gone_or_done(self, method: str, path: str, seconds: float) -> None:
        status, text = self.request(method, path, seconds=seconds)
        if status not in (200, 404):
            raise CallError(refusal(status, text))

    def _asked(self, method: str, path: str, seconds: float) -> Any:
        return parsed(*self.request(method, path, seconds=seconds))

    def request(self, method: str, path: str, body: bytes | None = None, seconds: float = CALL_S) -> tuple[int, str]:
        """Status and text of an answer. CallError where there is none; `silent` once the question was sent."""
        try:
            split = urllib.parse.urlsplit(self.address)
        except ValueError as error:
            raise CallError(f"{self.address[:SAID]} is no address: {error}") from error
        headers = {"Accept": "application/json", "Connection": "close"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.token_file:
            headers["Authorization"] = f"Bearer {read_token(self.token_file)}"
        connection = connect(split, seconds)
        late = threading.Event()
        opened: list[socket.socket] = []  # the connection forgets it before the answer is read

        def end() -> None:
            """A server that goes on sending a little has to end, too."""
            late.set()
            for one in opened:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        sent = False
        try:
            connection.connect()
            opened.append(connection.sock)
            sent = True
            connection.request(method, split.path.rstrip("/") + path, body, headers)
            answer = connection.getresponse()
            text = answer.read(MOST_BYTES + 1)
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = f"no answer within {seconds:.0f} s" if late.is_set() or isinstance(error, TimeoutError) else (
                (error.strerror if isinstance(error, OSError) else "") or f"{type(error).__name__}: {error}"[:SAID])
            raise CallError(f"{split.netloc}: {why}", silent=sent) from error
        finally:
            timer.cancel()
            connection.close()
        if late.is_set():
            raise CallError(f"{split.netloc}: no answer within {seconds:.0f} s", silent=True)
        if len(text) > MOST_BYTES:
            raise CallError(f"{split.netloc}: the answer is longer than {MOST_BYTES >> 20} MiB", silent=True)
        return answer.status, text.decode("utf-8", "replace")


def quoted(job: str) -> str:
    """An id as a part of a path."""
    return urllib.parse.quote(job, safe="")


def connect(split: urllib.parse.SplitResult, seconds: float) -> http.client.HTTPConnection:
    """A connection that is not open yet. CallError for an address that is none."""
    try:
        port = split.port
    except ValueError as error:
        raise CallError(f"{split.netloc}: {error}") from error
    host = split.hostname or ""
    if not host or split.scheme not in ("http", "https"):
        raise CallError("it is not known where Ray is")
    if split.scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=seconds)


def read_token(file: str) -> str:
    """The token in a file that only this user can read. CallError."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise CallError(f"{file} is not a file")
            if stat.S_IMODE(found.st_mode) & 0o077:
                raise CallError(f"{file} can be read by others: chmod 600 {file}")
            token = os.read(descriptor, 4200).decode("ascii", "replace").strip()
        finally:
            os.close(descriptor)
    except CallError:
        raise
    except OSError as error:
        raise CallError(f"{file}: {error.strerror}") from error
    if not TOKEN.fullmatch(token):
        raise CallError(f"{file} does not hold a token")
    return token


def parsed(status: int, text: str) -> Any:
    """The value of an answer. CallError where it says no, or is not JSON."""
    if status != 200:
        raise CallError(refusal(status, text))
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CallError("the answer is not JSON: is this the address of a Ray dashboard?") from error


def refusal(status: int, text: str) -> str:
    """Why Ray says no: the last line of what it says, which often is a whole traceback."""
    if status in (401, 403):
        return f"Ray refuses the token, or wants one ({status})"
    if 300 <= status < 400:
        return f"the address points elsewhere ({status}), which is not followed: write where it leads into the target"
    lines = [line.strip() for line in printable(text).splitlines() if line.strip()]
    return (re.sub(r"^\w+Error: ", "", lines[-1])[:SAID] if lines else "") or f"Ray answers {status}"


def parse_job(row: Any) -> Job | None:
    """A row of Ray's list; None for one that is none of ours, or none."""
    if not isinstance(row, dict):
        return None
    job, word, message = row.get("submission_id"), row.get("status"), row.get("message")
    if not isinstance(job, str) or not job.startswith(OURS) or not isinstance(word, str) or not WORD.fullmatch(word):
        return None
    agent = row.get("driver_agent_http_address")
    node = AGENT.fullmatch(agent) if isinstance(agent, str) else None
    return Job(job, word, told(message) if isinstance(message, str) else "", node[1] if node else "")


def told(message: str) -> str:
    """What Ray says of a job in one line: without the job's own output, tracebacks, names of actors and advice."""
    text = printable(message[: 8 * MESSAGE])
    for rest in ("last available logs", "Full traceback:", "Some common causes"):
        text = text.partition(rest)[0]
    return NAMES.sub("", " ".join(text.split())).rstrip(" ,.:")[:MESSAGE]


def printable(text: str) -> str:
    """A text without characters that do something to whoever shows it."""
    return re.sub(r"\x1b\[[0-9;]*m|[\x00-\x09\x0b-\x1f\x7f-\x9f]", "", text)
