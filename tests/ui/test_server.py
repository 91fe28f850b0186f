"""The server's entry: who may open a socket, which port is taken, what Streamlit is told."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from lfdash.ui.server import ADDRESS, SameOriginSockets, free_port, same_origin, settings


@pytest.mark.parametrize(
    ("origin", "host", "passes"),
    [
        ("http://127.0.0.1:8501", "127.0.0.1:8501", True), (None, "127.0.0.1:8501", True),
        ("https://box.example", "box.example", True), ("http://localhost:9999", "localhost:8501", False),
        ("http://evil.example", "127.0.0.1:8501", False), ("null", "127.0.0.1:8501", False),
    ],
)  # fmt: skip
def test_a_page_of_another_origin_gets_no_socket(origin: str | None, host: str, passes: bool) -> None:
    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin else [])
    assert same_origin(headers) is passes
    sent: list[dict[str, Any]] = []
    reached: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        reached.append(scope["type"])

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    guard = SameOriginSockets(app)
    asyncio.run(guard({"type": "websocket", "headers": headers}, receive, send))
    assert (reached == ["websocket"]) is passes
    assert passes or sent == [{"type": "websocket.close", "code": 1008}]
    asyncio.run(guard({"type": "http", "headers": headers}, receive, send))
    assert reached[-1] == "http"


def test_the_next_free_port_is_taken() -> None:
    with socket.socket() as busy:
        busy.bind((ADDRESS, 0))
        busy.listen()
        taken = busy.getsockname()[1]
        found = free_port(taken)
        assert taken < found < taken + 50


def test_only_this_machine_is_served() -> None:
    told = settings(8501)
    assert told["server.address"] == "127.0.0.1"
    assert told["server.allowedHosts"] == ["localhost", "127.0.0.1"]
    assert told["browser.gatherUsageStats"] is False
