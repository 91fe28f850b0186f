"""Where a sign-in is set up: nothing but the way in is served to those who have not come through it.

The sign-in itself is Streamlit's (`st.login`: OpenID Connect, a signed cookie). Its page would be drawn by a script,
over a websocket, for anybody; here a stranger gets neither, nor any file, and a small page of ours instead.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from lfdash.access.sign_in import SignIn, who
from lfdash.locales import DEFAULT_LANGUAGE, available, in_language
from lfdash.ui.shared.streamlit_private import (
    AUTH_COOKIE_NAME,
    decode_signed_value,
    generate_login_redirect_url,
    get_cookie_secret,
    get_cookie_with_chunks,
    get_origin_from_redirect_uri,
)

ENTER = "/signin"  # our own: makes the short-lived token that Streamlit's route wants, and goes there
OPEN = (ENTER, "/auth/login", "/auth/logout", "/oauth2callback", "/_stcore/health")
PAGE = """<!DOCTYPE html><html lang="{language}"><head><meta charset="utf-8"><title>lfdash</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body {{font: 16px/1.5 system-ui, sans-serif; color-scheme: light dark; max-width: 26rem; margin: 18vh auto}}
a {{display: block; margin: .6rem 0; padding: .5rem 1rem; border: 1px solid currentColor; border-radius: .4rem;
text-align: center; color: inherit; text-decoration: none}}
</style></head><body><h1>lfdash</h1><p>{text}</p>{links}</body></html>"""


class SignInPage:
    """Lets those through whose cookie says that they signed in and who are on the list."""

    def __init__(self, app: ASGIApp, sign_in: SignIn, base: str = "") -> None:
        self.app = app
        self.sign_in = sign_in
        self.base = f"/{base}" if base else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        path = request.url.path.removeprefix(self.base)
        user = user_of(request.cookies)
        if scope["type"] == "http" and path == ENTER:
            await self.enter(request)(scope, receive, send)
        elif self.sign_in.admits(user) or (scope["type"] == "http" and path in OPEN):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self.page(request, user)(scope, receive, send)

    def enter(self, request: HTTPConnection) -> Response:
        """The way to the provider that was chosen."""
        provider = request.query_params.get("provider", "")
        if provider not in self.sign_in.providers:
            return RedirectResponse(f"{self.base}/", 303)
        return RedirectResponse(generate_login_redirect_url(provider), 303, {"Cache-Control": "no-store"})

    def page(self, request: HTTPConnection, user: Mapping[str, Any]) -> Response:
        """What a stranger sees: the way in; somebody who is not on the list: who they are, and the way out."""
        code = language_of(request.headers.get("accept-language", ""))
        # at the address that the provider sends back to: a cookie of another name of this server would be lost
        start = f"{get_origin_from_redirect_uri() or ''}{self.base}"
        if user:
            text = in_language(code, "ui.signin_not_you", who=who(user))
            links = link(f"{self.base}/auth/logout", in_language(code, "ui.sign_out"))
        else:
            text = in_language(code, "ui.signin_ask")
            words = in_language(code, "ui.sign_in")
            links = "".join(
                link(f"{start}{ENTER}?provider={name}", words if name == "default" else f"{words}: {name}")
                for name in self.sign_in.providers
            )
        body = PAGE.format(language=code, text=html.escape(text), links=links)
        return HTMLResponse(body, 403 if user else 401, {"Cache-Control": "no-store"})


def link(target: str, words: str) -> str:
    return f'<a href="{html.escape(target)}">{html.escape(words)}</a>'


def language_of(header: str) -> str:
    """The first language of an Accept-Language header that there is."""
    wanted = [part.partition(";")[0].strip().partition("-")[0].lower() for part in header.split(",")]
    return next((code for code in wanted if code in available()), DEFAULT_LANGUAGE)


def user_of(cookies: Mapping[str, str]) -> Mapping[str, Any]:
    """The claims in the signed cookie that Streamlit sets after a sign-in; empty when there is none, or a bad one."""

    def one(name: str) -> bytes | None:
        return decode_signed_value(get_cookie_secret(), name, cookies[name]) if name in cookies else None

    try:
        claims = json.loads(get_cookie_with_chunks(one, AUTH_COOKIE_NAME) or b"{}")
    except (ValueError, UnicodeError):
        return {}
    origin = get_origin_from_redirect_uri()
    return claims if isinstance(claims, dict) and origin and claims.get("origin") == origin else {}


