"""Where a sign-in is set up: nothing but the way in is served to those who have not come through it.

The sign-in itself is Streamlit's (`st.login`: OpenID Connect, a signed cookie). Its page would be drawn by a script,
over a websocket, for anybody; here a stranger gets neither, nor any file, and a small page of ours instead.
"""

from __future__ import annotations

import hmac
import html
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from lfdash.access.ended_sign_ins import EndedSignIns, digests
from lfdash.access.sign_in import SignIn, identities, is_verified, who
from lfdash.locales import DEFAULT_LANGUAGE, available, in_language, list_in
from lfdash.ui.shared.streamlit_private import (
    AUTH_COOKIE_NAME,
    decode_signed_value,
    generate_login_redirect_url,
    get_cookie_secret,
    get_cookie_with_chunks,
    get_origin_from_redirect_uri,
)
from lfdash.web.sign_out import SignIns, asks_itself, token

ENTER = "/signin"  # our own: makes the short-lived token that Streamlit's route wants, and goes there
LEAVE = "/auth/logout"
OPEN = (ENTER, LEAVE, "/auth/login", "/oauth2callback", "/_stcore/health")
PAGE = """<!DOCTYPE html><html lang="{language}"><head><meta charset="utf-8"><title>lfdash</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body {{font: 16px/1.5 system-ui, sans-serif; color-scheme: light dark; max-width: 26rem; margin: 18vh auto}}
a {{display: block; margin: .6rem 0; padding: .5rem 1rem; border: 1px solid currentColor; border-radius: .4rem;
text-align: center; color: inherit; text-decoration: none}}
</style></head><body><h1>lfdash</h1><p>{text}</p>{links}</body></html>"""


class SignInPage:
    """Lets those through whose cookie says that they signed in, who have not signed out and who are on the list."""

    def __init__(self, app: ASGIApp, sign_in: SignIn, ended: EndedSignIns, base: str = "") -> None:
        self.app = app
        self.sign_in = sign_in
        self.sign_ins = SignIns(ended)
        self.base = f"/{base}" if base else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        user = user_of(request.cookies)
        marks = digests(request.cookies, AUTH_COOKIE_NAME) if user else ()
        if await self.sign_ins.is_over(marks):
            user, marks = {}, ()
        admitted = self.sign_in.admits(user)
        if scope["type"] == "http":
            await (await self.answer(request, user, marks, admitted))(scope, receive, send)
        elif admitted:
            await self.sign_ins.serve(self.app, scope, receive, send, marks)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def answer(
        self, request: HTTPConnection, user: Mapping[str, Any], marks: Sequence[str], admitted: bool
    ) -> ASGIApp:
        """Who answers a request: Streamlit, or a page of ours."""
        path = self.open_path(request.scope)
        if path == ENTER:
            return self.enter(request)
        if path == LEAVE:
            return await self.leave(request, user, marks)
        return self.app if path or admitted else self.page(request, user, marks)

    def open_path(self, scope: Scope) -> str:
        """The open path that a request names, to the letter; "" for all others.

        Not `request.url`, which is made anew from the decoded path: there `/auth/login%3f` is `/auth/login`, while
        Streamlit's routes get the path itself.
        """
        path = scope["path"].removeprefix(self.base)
        exact = scope["path"] == self.base + path and scope["raw_path"] == (quote(self.base) + path).encode()
        return path if path in OPEN and exact else ""

    def enter(self, request: HTTPConnection) -> Response:
        """The way to the provider that was chosen."""
        provider = request.query_params.get("provider", "")
        if provider not in self.sign_in.providers:
            return RedirectResponse(f"{self.base}/", 303)
        return RedirectResponse(generate_login_redirect_url(provider), 303, {"Cache-Control": "no-store"})

    async def leave(self, request: HTTPConnection, user: Mapping[str, Any], marks: Sequence[str]) -> ASGIApp:
        """The way out, when this server's own page asks for it; a page that does, for whoever comes otherwise."""
        given = request.query_params.get("token", "").encode()
        if asks_itself(request.headers) or hmac.compare_digest(given, token(get_cookie_secret(), marks).encode()):
            await self.sign_ins.end(marks)
            return self.app
        if not user:
            return RedirectResponse(f"{self.base}/", 303)
        code = language_of(request.headers.get("accept-language", ""))
        return self.show(code, [in_language(code, "ui.signout_ask", who=who(user))], self.way_out(code, marks), 200)

    def way_out(self, code: str, marks: Sequence[str]) -> str:
        """The link that signs somebody out."""
        target = f"{self.base}{LEAVE}?token={token(get_cookie_secret(), marks)}"
        return link(target, in_language(code, "ui.sign_out"))

    def page(self, request: HTTPConnection, user: Mapping[str, Any], marks: Sequence[str]) -> Response:
        """What a stranger sees: the way in; somebody who is not on the list: who they are, and the way out."""
        code = language_of(request.headers.get("accept-language", ""))
        if user:
            texts = [in_language(code, "ui.signin_not_you", who=who(user))]
            if user.get("email") and not is_verified(user):
                texts.append(in_language(code, "ui.signin_not_verified"))
            texts.append(in_language(code, "ui.signin_known_as", words=list_in(code, identities(user))))
            return self.show(code, texts, self.way_out(code, marks), 403)
        # at the address that the provider sends back to: a cookie of another name of this server would be lost
        start = f"{get_origin_from_redirect_uri() or ''}{self.base}"
        words = in_language(code, "ui.sign_in")
        links = "".join(
            link(f"{start}{ENTER}?provider={name}", words if name == "default" else f"{words}: {name}")
            for name in self.sign_in.providers
        )
        return self.show(code, [in_language(code, "ui.signin_ask")], links, 401)

    def show(self, code: str, texts: Sequence[str], links: str, status: int) -> Response:
        """A small page of paragraphs and links. links: HTML."""
        text = "</p><p>".join(map(html.escape, texts))
        return HTMLResponse(PAGE.format(language=code, text=text, links=links), status, {"Cache-Control": "no-store"})


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


