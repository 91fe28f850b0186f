"""What a browser may keep for good: files whose name says their content."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lfdash.ui.curves.vega import COMPONENT

KEPT = f"/_stcore/bidi-components/{COMPONENT}/"  # Vega, 900 kB; its name has the version
FOR_GOOD = "public, max-age=31536000, immutable"


class BrowserCache:
    """Says so of these files; Streamlit has them fetched anew by each tab."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or KEPT not in scope["path"]:
            await self.app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                MutableHeaders(scope=message)["Cache-Control"] = FOR_GOOD
            await send(message)

        await self.app(scope, receive, sending)
