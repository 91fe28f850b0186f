"""Who may see a page: the second lock, behind the middleware, and the way out."""

from __future__ import annotations

import html

import streamlit as st

from lfdash.access.hosts import Access, is_loopback
from lfdash.access.sign_in import who
from lfdash.engine.services import Services
from lfdash.ui.shared.text import t

LOCAL = Access()


def guard(services: Services) -> None:
    """Ends the drawing of a page for somebody who may not be here: the second lock, behind the middleware.

    Without the entry there is no middleware: then only this machine is served, and nobody who would have to sign in.
    """
    if not services.by_entry and not plain_is_safe():
        st.error(t("ui.plain_refused"), icon=":material/block:")
        st.stop()
    if services.sign_in is not None and not services.sign_in.admits(st.user.to_dict()):
        st.error(t("ui.signin_ask"), icon=":material/block:")
        st.stop()


def plain_is_safe() -> bool:
    """Whether a server that `streamlit run` started listens on this machine only, was asked by its own page, and has no
    sign-in to enforce."""
    headers = st.context.headers
    own = LOCAL.knows(headers.get("Host")) and LOCAL.trusts(headers.get("Origin"), headers.get("Host"))
    asks = st.secrets.load_if_toml_exists() and "auth" in st.secrets
    return is_loopback(st.get_option("server.address") or "") and own and not asks


def draw_who(services: Services) -> None:
    """Who is signed in, and the way out."""
    if services.sign_in is None:
        return
    with st.container(horizontal=True, key="who", vertical_alignment="center", gap="small"):
        st.html(f'<span class="lf-who">{html.escape(who(st.user.to_dict()))}</span>', width="content")
        if st.button(t("ui.sign_out"), key="sign_out", type="tertiary", icon=":material/logout:"):
            st.logout()
