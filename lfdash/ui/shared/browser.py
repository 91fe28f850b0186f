"""Which browser asks: two people on one dashboard are two."""

from __future__ import annotations

from hashlib import sha256

import streamlit as st

COOKIE = "_streamlit_xsrf"  # Streamlit's own, one a browser: `2|mask|masked token|time`


def browser() -> str:
    """A short name of the browser that asks, the same as long as it is open; "" when it has sent no cookie."""
    cookie = st.context.cookies.get(COOKIE)
    if not isinstance(cookie, str) or not cookie:  # no text: in Streamlit's own AppTest
        return ""
    return sha256(token(cookie).encode()).hexdigest()[:12]


def token(cookie: str) -> str:
    """The token in a cookie, without the mask that may be another each time; the cookie itself where it has no mask."""
    parts = cookie.strip('"').split("|")
    try:
        mask, masked = bytes.fromhex(parts[1]), bytes.fromhex(parts[2])
        return bytes(byte ^ mask[place % len(mask)] for place, byte in enumerate(masked)).hex()
    except (IndexError, ValueError, ZeroDivisionError):
        return cookie
