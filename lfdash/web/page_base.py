"""Tells a browser where Streamlit's own addresses are, on each page but the first.

On `/runs`, Streamlit's page first looks for its server below `/runs/`: two answers "not found" stand in the console. It
knows from an address of its own, `window.__streamlit`. The page takes that from where it is: a proxy may have put any
path before it. Without a word for it, it looks as before.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SCRIPT = (
    b"<head><script>window.__streamlit = {...window.__streamlit, BACKEND_BASE_URL: "
    b'new URL(location.pathname.replace(/[^/]+\\/?$/, ""), location.origin).href}</script>'
)
HEAD = b"<head>"


class PageBase:
    """Puts the script into the pages of these names."""

    def __init__(self, app: ASGIApp, pages: Iterable[str]) -> None:
        self.app = app
        self.pages = frozenset(pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].rstrip("/").rpartition("/")[2] if scope["type"] == "http" else ""
        if name not in self.pages or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        plain = [(key, value) for key, value in scope["headers"] if key != b"accept-encoding"]  # it is changed below
        begun: list[Message] = []

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and is_page(message):
                begun.append(message)  # its length depends on what comes
                return
            if begun:
                start = begun.pop()
                body = message.get("body", b"")
                if HEAD in body:
                    message = {**message, "body": body.replace(HEAD, SCRIPT, 1)}
                    headers = MutableHeaders(scope=start)
                    if "content-length" in headers:
                        headers["content-length"] = str(int(headers["content-length"]) + len(SCRIPT) - len(HEAD))
                await send(start)
            await send(message)

        await self.app({**scope, "headers": plain}, receive, sending)


def is_page(start: Message) -> bool:
    """Whether what begins is a page that can be read."""
    headers = Headers(raw=start["headers"])
    kind, packed = headers.get("content-type", ""), headers.get("content-encoding", "identity")
    return start["status"] == 200 and kind.startswith("text/html") and packed == "identity"
