"""In front of every route: which host names and which pages' requests come through, and with what headers."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lfdash.access.hosts import Access

WRONG_HOST = "lfdash is not served under this host name. Behind a proxy, start it with --public-url.\n"
WRONG_ORIGIN = "This page does not come from lfdash itself.\n"
# Nothing of a page comes from elsewhere: a link to an image in a log or a dataset must not tell anybody that it was
# read. 'unsafe-eval' is Vega's, 'unsafe-inline' Streamlit's own page and styles.
POLICY = "; ".join((
    "default-src 'self'", "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:", "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:", "media-src 'self' data: blob:", "font-src 'self' data:", "worker-src 'self' blob:",
    "frame-src 'self'", "object-src 'none'", "base-uri 'self'", "form-action 'self'", "frame-ancestors 'self'",
))
HEADERS = {
    "X-Frame-Options": "SAMEORIGIN",  # in a frame of another page, its clicks would be ours
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class OriginCheck:
    """Refuses what does not name this server as its host, or comes from a page of another origin.

    Streamlit looks at the host of websockets only, and takes any origin on localhost, whatever its port. A
    websocket without an origin is refused as well: every browser sends one, and nothing else has business there.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        reason = self.refuse(scope["type"], headers)
        if scope["type"] == "websocket" and reason:
            await send({"type": "websocket.close", "code": 1008})
        elif reason:
            await with_text(403, reason)(scope, receive, with_headers(send, self.access, ""))
        else:
            await self.app(scope, receive, with_headers(send, self.access, headers["host"]))

    def refuse(self, kind: str, headers: Headers) -> str:
        """Why a request of that kind is not let in; "" when it is."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not self.access.knows(hosts[0]):
            return WRONG_HOST
        if not origins:
            return WRONG_ORIGIN if kind == "websocket" else ""
        return "" if len(origins) == 1 and self.access.trusts(origins[0], hosts[0]) else WRONG_ORIGIN


def with_text(status: int, text: str) -> PlainTextResponse:
    """A refusal in words, never kept by a cache."""
    return PlainTextResponse(text, status, {"Cache-Control": "no-store"})


def policy(access: Access, host: str) -> str:
    """The content policy of a page. host: as the request named it. Not every browser counts a websocket to the page's
    own host as 'self'."""
    hosts = dict.fromkeys(filter(None, (host, access.origin.partition("://")[2])))
    sockets = "".join(f" ws://{name} wss://{name}" for name in hosts if "[" not in name)
    return f"{POLICY}; connect-src 'self'{sockets}"


def with_headers(send: Send, access: Access, host: str) -> Send:
    """Adds the headers to what is sent; cookies of an https address are kept from http."""
    secure = access.origin.startswith("https:")
    added = {**HEADERS, "Content-Security-Policy": policy(access, host)}

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in added.items():
                headers[name] = value
            if secure:
                message["headers"] = [(name, secured(name, value)) for name, value in message["headers"]]
        await send(message)

    return sending


def secured(name: bytes, value: bytes) -> bytes:
    """A header's value; that of a cookie with the Secure mark."""
    if name.lower() != b"set-cookie" or b"; secure" in value.lower():
        return value
    return value + b"; Secure"
