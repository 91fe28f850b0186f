"""The little that the page does in the browser by itself. Fixed texts: nothing of a user's is ever in them."""

from __future__ import annotations

import json
import re

import streamlit as st

# A list of several stays open after a choice, over the field below it: a click on an option closes it. Esc does, and
# keeps what is chosen.
CLOSE = """<script>
if (!window.lfdashLists) {
  window.lfdashLists = true;
  document.addEventListener("click", (event) => {
    const list = event.target.closest && event.target.closest('[data-testid="stMultiSelectDropdown"]');
    if (!list || !event.target.closest('[role="option"]')) return;
    setTimeout(() => {
      const box = document.activeElement;
      const escape = {key: "Escape", code: "Escape", bubbles: true, cancelable: true};
      if (box && box.closest('[data-testid="stMultiSelect"]')) box.dispatchEvent(new KeyboardEvent("keydown", escape));
    }, 60);
  }, true);
}
</script>"""
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


def close_lists() -> None:
    """From now on a list of several closes after a choice by the mouse."""
    st.html(CLOSE, unsafe_allow_javascript=True)


def hide_doubles() -> None:
    """Shows no widget twice while the page is drawn."""
    st.html(f"<style>{DOUBLES} {{display: none}}</style>")


def show(key: str, turn: int) -> None:
    """Scrolls to what has a key and goes into its first field. turn: another number each time, or nothing happens."""
    st.html(SHOW % (json.dumps(f".{css_class(key)}"), turn), unsafe_allow_javascript=True)
