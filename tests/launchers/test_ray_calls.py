"""Ray's Jobs API is asked with an end, at the address of the target alone, and believed nothing."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lfdash.launchers import ray_calls
from lfdash.launchers.asking import CallError
from lfdash.launchers.ray_calls import Calls, Job, parse_job, read_token, told

TOKEN = "f" * 64
Answer = tuple[int, dict[str, str], bytes]


class Head(ThreadingHTTPServer):
    """A stand-in for a head that answers what a test wants. asked: (method, path, headers, body) of each question."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: Callable[[str, str], Answer] = lambda method, path: (200, {}, b"[]")
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Head

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        status, headers, text = self.server.answer(self.command, self.path)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_DELETE = do_GET

    def log_message(self, *words: Any) -> None:
        """Nothing."""


@pytest.fixture
def head() -> Iterator[Head]:
    server = Head()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    path.chmod(0o600)
    return path


def says(value: Any, status: int = 200) -> Callable[[str, str], Answer]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return lambda method, path: (status, {"Content-Type": "application/json"}, body)


def refused(calls: Calls, seconds: float = 5.0) -> CallError:
    with pytest.raises(CallError) as found:
        calls.jobs(seconds)
    assert TOKEN not in str(found.value)
    return found.value


def test_all_jobs_of_ours_in_one_call_with_the_token(head: Head, token_file: Path) -> None:
    head.answer = says([
        {"submission_id": "lfdash-a-1-x", "status": "RUNNING", "message": "Job is currently running.",
         "driver_agent_http_address": "http://10.0.0.7:52365"},
        {"submission_id": "raysubmit_abc", "status": "RUNNING"}, {"submission_id": None, "status": "RUNNING"}, 7, None,
    ])
    assert Calls(head.address + "/ray", str(token_file)).jobs() == [
        Job("lfdash-a-1-x", "RUNNING", "Job is currently running", "10.0.0.7")
    ]
    method, path, headers, body = head.asked[0]
    assert (method, path, body) == ("GET", "/ray/api/jobs/", b"")
    assert headers["Authorization"] == f"Bearer {TOKEN}"


def test_without_a_token_none_is_sent(head: Head, monkeypatch: pytest.MonkeyPatch, token_file: Path) -> None:
    """Also where the environment has one: it is not said for which address."""
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token_file))
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    assert Calls(head.address).jobs() == []
    assert "Authorization" not in head.asked[0][2]


def test_a_job_is_sent_as_it_is(head: Head, token_file: Path) -> None:
    head.answer = says({"submission_id": "lfdash-a"})
    body = {"submission_id": "lfdash-a", "entrypoint": "true", "entrypoint_num_gpus": 0}
    assert Calls(head.address, str(token_file)).submit(body)
    assert json.loads(head.asked[0][3]) == body


@pytest.mark.parametrize(
    ("status", "text", "silent", "reason"),
    [
        (401, b"Unauthorized", False, "Ray refuses the token, or wants one (401)"),
        (400, b"Traceback:\n  x\nTypeError: entrypoint must be a string", False, "entrypoint must be a string"),
        (500, b"No available agent to submit job, please try again later.", True,
         "No available agent to submit job, please try again later."),
        (404, b"", False, "Ray answers 404"),
        (500, b"\x1b[31mValueError: \x00bad\x1b[0m", True, "bad"),
    ],
)
def test_what_ray_refuses(head: Head, status: int, text: bytes, silent: bool, reason: str) -> None:
    head.answer = says(text, status)
    with pytest.raises(CallError) as found:
        Calls(head.address).submit({"submission_id": "lfdash-a"})
    assert (str(found.value), found.value.silent) == (reason, silent)


def test_a_job_that_ray_has_is_no_refusal(head: Head) -> None:
    said = "ValueError: Job with submission_id lfdash-a already exists. Please use a different submission_id."
    head.answer = says(f"Traceback\n{said}".encode(), 500)
    assert not Calls(head.address).submit({"submission_id": "lfdash-a"})


def test_the_token_goes_to_no_other_host(head: Head, token_file: Path) -> None:
    other = Head()
    thread = threading.Thread(target=other.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    head.answer = lambda method, path: (302, {"Location": f"{other.address}/api/jobs/"}, b"")
    error = refused(Calls(head.address, str(token_file)))
    assert "points elsewhere" in str(error) and other.asked == []
    other.shutdown()
    other.server_close()


def test_no_proxy_of_the_environment_is_asked(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert Calls(head.address).jobs() == []


@pytest.mark.parametrize("trickle", [b"", b" "], ids=["silent", "trickling"])
def test_a_head_that_does_not_come_to_an_end_is_left(head: Head, trickle: bytes) -> None:
    over = threading.Event()

    def slowly(method: str, path: str) -> Answer:
        return 200, {}, b"["

    def wait(handler: Handler) -> None:
        with suppress(OSError):  # who asked has gone
            while not over.wait(0.05):
                if trickle:
                    handler.wfile.write(trickle)

    class Slow(Handler):
        def do_GET(self) -> None:
            super().do_GET()
            wait(self)

    head.RequestHandlerClass = Slow
    head.answer = slowly
    began = time.monotonic()
    error = refused(Calls(head.address), 0.5)
    over.set()
    assert error.silent and "no answer within" in str(error) and time.monotonic() - began < 5


def test_nobody_is_there() -> None:
    error = refused(Calls("http://127.0.0.1:1"))
    assert not error.silent and "127.0.0.1:1" in str(error)


@pytest.mark.parametrize("address", ["", "http://", "file:///etc/passwd", "ftp://head", "http://head:x"])
def test_an_address_that_is_none(address: str) -> None:
    assert not refused(Calls(address)).silent


@pytest.mark.parametrize("answer", [b"<html>", b"{}", b"7", b"[" * 100_000, b"\xff\xfe", b""])
def test_what_is_not_ray_is_told_as_that(head: Head, answer: bytes) -> None:
    head.answer = says(answer)
    assert "Ray dashboard" in str(refused(Calls(head.address)))


def test_an_answer_without_end_is_not_read(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_calls, "MOST_BYTES", 1 << 20)

    class Endless(Handler):
        def do_GET(self) -> None:
            super().do_GET()
            with suppress(OSError):  # who asked has gone
                while True:
                    self.wfile.write(b" " * (1 << 16))

    head.RequestHandlerClass = Endless
    assert "longer than 1 MiB" in str(refused(Calls(head.address), 3.0))


@pytest.mark.parametrize(
    "row",
    [
        {"submission_id": "lfdash-a", "status": "running"}, {"submission_id": "lfdash-a", "status": ["RUNNING"]},
        {"submission_id": "lfdash-a"}, {"submission_id": 7, "status": "RUNNING"}, {}, [], "x",
    ],
)
def test_a_row_that_says_nothing_is_none(row: Any) -> None:
    assert parse_job(row) is None


def test_a_row_that_says_odd_things() -> None:
    row = {"submission_id": "lfdash-a", "status": "FAILED", "message": {"a": 1}, "driver_agent_http_address": "x\n"}
    assert parse_job(row) == Job("lfdash-a", "FAILED", "", "")


def test_what_ray_says_is_one_line_without_output_and_advice() -> None:
    assert told("Job entrypoint command failed with exit code 3, last available logs (truncated):\nsecret") == (
        "Job entrypoint command failed with exit code 3"
    )
    died = (
        "Job supervisor actor died: The actor died.\n\tclass_name: JobSupervisor\n\tactor_id: 07\n\tpid: 5\n\tip: "
        "127.0.0.1\nThe actor died because its node has died. Some common causes include: (1) x"
    )
    assert told(died) == "Job supervisor actor died: The actor died. The actor died because its node has died"
    assert len(told("x" * 10_000)) == ray_calls.MESSAGE


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_token_that_others_can_read_is_not_used(token_file: Path, head: Head, mode: int) -> None:
    token_file.chmod(mode)
    error = refused(Calls(head.address, str(token_file)))
    assert "can be read by others" in str(error) and head.asked == []


def test_a_file_that_is_no_token(tmp_path: Path) -> None:
    for text in ("", "two words", "a\nb", "x" * 5000):
        path = tmp_path / "odd"
        path.unlink(missing_ok=True)
        path.touch(0o600)
        path.write_text(text)
        with pytest.raises(CallError, match="does not hold a token"):
            read_token(str(path))
    with pytest.raises(CallError, match="No such file"):
        read_token(str(tmp_path / "none"))
    with pytest.raises(CallError):
        read_token(str(tmp_path))
