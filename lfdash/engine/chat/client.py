"""Asks a chat over HTTP: streams the answer as it comes, or takes it whole with its numbers of tokens.

httpx rather than the openai package: two requests of one API are asked, and httpx lets a stream be closed by another
thread. It must use no proxy and follow no redirect: the key and the prompt belong to this machine.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lfdash.engine.chat.connection import Connection
from lfdash.engine.chat.messages import Question, request_body

CONNECT_S = 5.0
SILENT_S = 600.0  # between two pieces of an answer: a long prompt on a processor takes minutes
MOST_ERROR = 2000  # characters of a refusal that are kept


@dataclass(frozen=True)
class Piece:
    """A part of an answer."""

    text: str


@dataclass(frozen=True)
class Whole:
    """The end of an answer. finish: "stop", "length" or "tool_calls"; "" where the stream was cut. tokens: of the
    prompt and of the answer, where the API tells. tool_calls: the functions that the model asks for."""

    finish: str
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Failed:
    """No answer, or only a part of one. status: of HTTP; 0 where the connection failed."""

    status: int
    reason: str


Event = Piece | Whole | Failed


class Wire:
    """The connection of one question, so that another thread can end it: a socket that is merely closed does not wake
    who waits for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cut = False

    @property
    def is_cut(self) -> bool:
        """Whether somebody ended it."""
        return self._cut

    def cut(self) -> None:
        """Ends the connection, now or as soon as there is one."""
        with self._lock:
            self._cut = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Takes the socket when it is connected (httpcore's trace extension)."""
        if event == "connection.connect_tcp.complete":
            with self._lock:
                self._socket = info["return_value"].get_extra_info("socket")
            if self._cut:
                self.cut()


def ask(connection: Connection, question: Question, wire: Wire, model: str = "chat") -> Iterator[Event]:
    """The events of one answer, in order; the last one is `Whole` or `Failed`. wire: by which it can be ended."""
    import httpx  # 60 ms, only where somebody chats

    body = request_body(question, model)
    timeout = httpx.Timeout(SILENT_S, connect=CONNECT_S)
    headers = {"Authorization": f"Bearer {connection.key}"}
    try:
        with (
            httpx.Client(timeout=timeout, headers=headers, trust_env=False, follow_redirects=False) as client,
            client.stream(
                "POST", f"{connection.url}/chat/completions", json=body, extensions={"trace": wire.trace}
            ) as response,
        ):
            if response.status_code != 200:
                response.read()
                yield Failed(response.status_code, detail(response.text))
            elif body["stream"]:
                yield from streamed(response.iter_lines())
            else:
                response.read()
                yield from whole(response.text)
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
        yield Failed(0, f"{type(error).__name__}: {error}".rstrip(": "))


def streamed(lines: Iterator[str]) -> Iterator[Event]:
    """The events of a stream of server-sent events: a line each, `data: {...}`, until `data: [DONE]`
    (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    finish = ""
    for line in lines:
        if not line.startswith("data:"):
            continue  # an empty line, or a comment that keeps the connection open
        text = line[5:].strip()
        if text == "[DONE]":
            yield Whole(finish)
            return
        try:
            choice = json.loads(text)["choices"][0]
            said = choice.get("delta", {}).get("content") or ""
            finish = choice.get("finish_reason") or finish
        except (ValueError, LookupError, AttributeError, TypeError):
            yield Failed(200, text[:MOST_ERROR])
            return
        if said:
            yield Piece(said)
    yield Failed(200, "")


def whole(text: str) -> Iterator[Event]:
    """The events of an answer that came at once."""
    try:
        data = json.loads(text)
        choice, usage = data["choices"][0], data.get("usage") or {}
        said = choice["message"]
        calls = tuple(call["function"] for call in said.get("tool_calls") or ())
    except (ValueError, LookupError, AttributeError, TypeError):
        yield Failed(200, text[:MOST_ERROR])
        return
    if said.get("content"):
        yield Piece(said["content"])
    yield Whole(choice.get("finish_reason") or "", usage.get("prompt_tokens"), usage.get("completion_tokens"), calls)


def detail(text: str) -> str:
    """The reason in the body of a refusal."""
    try:
        said = json.loads(text)["detail"]
    except (ValueError, LookupError, TypeError):
        return text[:MOST_ERROR]
    return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)[:MOST_ERROR]
