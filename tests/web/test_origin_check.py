"""In front of every route: what passes the gate, and with what headers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lfdash.access.hosts import Access
from lfdash.web.origin_check import OriginCheck, policy, secured


@pytest.mark.parametrize(
    ("kind", "origin", "host", "passes"),
    [
        ("websocket", "http://127.0.0.1:8501", "127.0.0.1:8501", True),
        ("websocket", None, "127.0.0.1:8501", False),  # no browser
        ("websocket", "http://localhost:9999", "localhost:8501", False),
        ("http", None, "127.0.0.1:8501", True), ("http", "http://localhost:9999", "localhost:8501", False),
        ("http", None, "evil.example", False), ("http", None, None, False), ("lifespan", None, None, True),
    ],
)
def test_what_passes_the_gate(kind: str, origin: str | None, host: str | None, passes: bool) -> None:
    pairs = [(b"host", host)] if host else []
    pairs += [(b"origin", origin)] if origin else []
    headers = [(name, value.encode()) for name, value in pairs]
    sent: list[dict[str, Any]] = []
    reached: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        reached.append(scope["type"])

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    check = OriginCheck(app, Access())
    asyncio.run(check({"type": kind, "headers": headers, "method": "GET", "path": "/"}, receive, send))
    assert (reached == [kind]) is passes
    if not passes and kind == "websocket":
        assert sent == [{"type": "websocket.close", "code": 1008}]
    elif not passes:
        assert sent[0]["status"] == 403 and b"evil" not in sent[1]["body"]


def test_a_page_may_only_talk_to_its_own_host() -> None:
    told = policy(Access(public="https://box.example/a"), "127.0.0.1:8501")
    sockets = told.partition("connect-src ")[2].split()
    assert sockets == ["'self'", "ws://127.0.0.1:8501", "wss://127.0.0.1:8501", "ws://box.example", "wss://box.example"]
    assert "default-src 'self'" in told and "[" not in policy(Access(), "[::1]:8501")


def test_a_cookie_of_an_https_address_is_kept_from_http() -> None:
    assert secured(b"Set-Cookie", b"user=a; Path=/") == b"user=a; Path=/; Secure"
    assert secured(b"Set-Cookie", b"user=a; Secure") == b"user=a; Secure"
    assert secured(b"Content-Type", b"text/html") == b"text/html"
