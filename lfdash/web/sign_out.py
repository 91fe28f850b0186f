"""The end of a sign-in: its cookie is void, its tabs are closed, and only the dashboard's own page can ask for it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lfdash.access.ended_sign_ins import EndedSignIns

CLOSED = 1008  # a websocket's word for "not allowed"; Streamlit's page then tries again, and is refused
LOG = logging.getLogger(__name__)


class SignIns:
    """The sign-ins of a server: which are over, and which tabs those that are not have open."""

    def __init__(self, ended: EndedSignIns) -> None:
        self.ended = ended
        self.tabs: dict[str, set[Tab]] = {}

    async def is_over(self, digests: Sequence[str], *, unseen: bool = True) -> bool:
        """Whether a sign-in was ended, here or by another dashboard of the workspace. unseen: the answer when that
        cannot be seen; nobody comes in by a disk that fails."""
        if not digests:
            return False
        try:
            return await asyncio.to_thread(self.ended.holds, digests)
        except OSError as error:
            LOG.warning("cannot see which sign-ins are over: %s", error)
            return unseen

    async def end(self, digests: Sequence[str]) -> None:
        """Ends a sign-in and closes its tabs."""
        if not digests:
            return
        try:
            await asyncio.to_thread(self.ended.add, digests)
        except OSError as error:
            LOG.warning("a sign-out holds until this server ends, since the disk did not keep it: %s", error)
        tabs = {tab for digest in digests for tab in self.tabs.get(digest, ())}
        if tabs:  # who does not listen is not waited for: nothing is sent there, and no message of theirs counts
            await asyncio.wait([asyncio.create_task(tab.close()) for tab in tabs], timeout=1)

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, digests: Sequence[str]) -> None:
        """Serves a tab's websocket for as long as its sign-in is good."""
        tab = Tab(self, receive, send, digests)
        for digest in digests:
            self.tabs.setdefault(digest, set()).add(tab)
        try:
            await app(scope, tab.receive, tab.send)
        finally:
            for digest in digests:
                self.tabs[digest].discard(tab)
                if not self.tabs[digest]:
                    del self.tabs[digest]


class Tab:
    """A websocket that can be closed from outside."""

    def __init__(self, sign_ins: SignIns, receive: Receive, send: Send, digests: Sequence[str]) -> None:
        self.sign_ins = sign_ins
        self.incoming, self.outgoing = receive, send
        self.digests = digests
        self.closed = False

    async def receive(self) -> Message:
        """The next message; before one of the page counts, the sign-in is looked at again."""
        message = await self.incoming()
        if message["type"] == "websocket.receive" and await self.sign_ins.is_over(self.digests, unseen=False):
            await self.close()
            return {"type": "websocket.disconnect", "code": CLOSED}
        return message

    async def send(self, message: Message) -> None:
        """Passes a message on, unless the tab was closed."""
        if not self.closed:
            await self.outgoing(message)

    async def close(self) -> None:
        """Closes the tab; the server ends what waits for its messages."""
        if not self.closed:
            self.closed = True
            with contextlib.suppress(OSError, RuntimeError):  # it is gone already
                await self.outgoing({"type": "websocket.close", "code": CLOSED})


def token(secret: str, digests: Sequence[str]) -> str:
    """What a link that signs somebody out carries: only a page of this server can know it."""
    return hmac.new(secret.encode(), f"sign-out {' '.join(digests)}".encode(), hashlib.sha256).hexdigest()


def asks_itself(headers: Headers) -> bool:
    """Whether a page of this server leads the browser here. Browsers say so where the address is https or this machine;
    no page can change it, and an image or a frame says that it is one."""
    return headers.getlist("sec-fetch-site") == ["same-origin"] and headers.get("sec-fetch-dest") == "document"
