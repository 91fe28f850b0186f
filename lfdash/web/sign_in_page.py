"""The doorway where a sign-in is set up: nothing but the way in is served to those who have not come through it.

The sign-in itself is Streamlit's (`st.login`: OpenID Connect, a signed cookie). Its page would be drawn by a script,
over a websocket, for anybody; here a stranger gets neither, nor any file, and a small page of ours instead.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

import streamlit as st
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.auth_util import get_cookie_with_chunks, get_origin_from_redirect_uri
from streamlit.user_info import generate_login_redirect_url
from streamlit.web.server.server_util import AUTH_COOKIE_NAME, get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value

from lfdash.access.hosts import Access, is_loopback
from lfdash.access.sign_in import SignIn, who
from lfdash.ui.shared.session import Services
from lfdash.ui.shared.text import DEFAULT_LANGUAGE, available, in_language, t

LOCAL = Access()
ENTER = "/signin"  # our own: makes the short-lived token that Streamlit's route wants, and goes there
OPEN = (ENTER, "/auth/login", "/auth/logout", "/oauth2callback", "/_stcore/health")
PAGE = """<!DOCTYPE html><html lang="{language}"><head><meta charset="utf-8"><title>lfdash</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body {{font: 16px/1.5 system-ui, sans-serif; color-scheme: light dark; max-width: 26rem; margin: 18vh auto}}
a {{display: block; margin: .6rem 0; padding: .5rem 1rem; border: 1px solid currentColor; border-radius: .4rem;
text-align: center; color: inherit; text-decoration: none}}
</style></head><body><h1>lfdash</h1><p>{text}</p>{links}</body></html>"""


class Doorway:
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


def guard(shared: Services) -> None:
    """Ends the drawing of a page for somebody who may not be here: the second lock, behind the middleware.

    Without the entry there is no middleware: then only this machine is served, and nobody who would have to sign in.
    """
    if not shared.by_entry and not plain_is_safe():
        st.error(t("ui.plain_refused"), icon=":material/block:")
        st.stop()
    if shared.sign_in is not None and not shared.sign_in.admits(st.user.to_dict()):
        st.error(t("ui.signin_ask"), icon=":material/block:")
        st.stop()


def plain_is_safe() -> bool:
    """Whether a server that `streamlit run` started listens on this machine only, was asked by its own page, and has no
    sign-in to enforce."""
    headers = st.context.headers
    own = LOCAL.knows(headers.get("Host")) and LOCAL.trusts(headers.get("Origin"), headers.get("Host"))
    asks = st.secrets.load_if_toml_exists() and "auth" in st.secrets
    return is_loopback(st.get_option("server.address") or "") and own and not asks


def draw_who(shared: Services) -> None:
    """Who is signed in, and the way out."""
    if shared.sign_in is None:
        return
    with st.container(horizontal=True, key="who", vertical_alignment="center", gap="small"):
        st.html(f'<span class="lf-who">{html.escape(who(st.user.to_dict()))}</span>', width="content")
        if st.button(t("ui.sign_out"), key="sign_out", type="tertiary", icon=":material/logout:"):
            st.logout()
