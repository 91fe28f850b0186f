"""Single acts of the page in the browser: it shows a field, and hides what is drawn twice. What it does all the time
is in `page_script`. Fixed texts: nothing of a user's is ever in them."""

from __future__ import annotations

import json
import re

import streamlit as st

# Waits until the field is drawn (a group that was closed draws it a moment later), then shows it and goes into it.
SHOW = """<script>
{
  let tries = 60;
  const look = () => {
    const box = document.querySelector(%s);
    if (!box) { if (tries--) setTimeout(look, 50); return; }
    box.scrollIntoView({block: "center", behavior: "instant"});
    const field = box.querySelector('input:not([type="hidden"]):not([disabled]), textarea:not([disabled]), button');
    if (field) field.focus({preventScroll: true});
  };
  look();
} // %d
</script>"""


# A widget that makes room for a new one (see `keyed`) stays behind it until the page is drawn.
DOUBLES = ", ".join(
    f'[data-stale="false"]:has(> .{kind}) + [data-stale="true"]:has(> .{kind})'
    for kind in ("stTextInput", "stTextArea", "stSelectbox", "stMultiSelect", "stButtonGroup")
)


def css_class(key: str) -> str:
    """The class that Streamlit gives to what has a key."""
    return "st-key-" + re.sub(r"[^a-zA-Z0-9_-]", "-", key.strip())


def hide_doubles() -> None:
    """Shows no widget twice while the page is drawn."""
    st.html(f"<style>{DOUBLES} {{display: none}}</style>")


def show(key: str, turn: int) -> None:
    """Scrolls to what has a key and goes into its first field. turn: another number each time, or nothing happens."""
    st.html(SHOW % (json.dumps(f".{css_class(key)}"), turn), unsafe_allow_javascript=True)
