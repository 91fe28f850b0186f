"""Widgets whose words may change, with the language or with the state of a run, and which keep their value.

What a browser sends for a chosen option is the word that it shows. When the words change, it sends a word
that today's options do not have, and `st.selectbox` hands that on as the new value. An expander whose title
changes is a new one, and closed. So the value lives under a key that no widget has, and the key of the widget
names the words it shows: other words make another widget, which is given the value. It names the page too: the same
key on another page is another widget for Streamlit, and starts empty. What all pages share (the form's model) keeps
its value under the one key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal
from zlib import crc32

import streamlit as st

from lfdash.ui.shared.streamlit_private import ExpanderContainer

Word = Callable[[Any], str]


def spoken(options: Iterable[Any], word: Word) -> Word:
    """`word` with the words of the options taken down once, in the language of now."""
    words = {option: word(option) for option in options}
    return lambda value: words[value] if value in words else word(value)


def widget_key(key: str, page: str, options: Iterable[Any], word: Word) -> str:
    """The key of the widget that shows these words on a page; the same for options that are their own words."""
    words = [f"{option}={word(option)}" for option in options if word(option) != str(option)]
    mark = f"{crc32(chr(10).join(words).encode()):08x}" if words else "own"
    return f"{key}@{page}.{mark}"


def prepare(key: str, shown: str) -> str:
    """Gives the widget of today's words the value; returns the widget's key."""
    if st.session_state.get(shown) != st.session_state.get(key):
        st.session_state[shown] = st.session_state.get(key)
    return shown


def keep(key: str, shown: str, on_change: Callable[..., None] | None = None, args: tuple[Any, ...] = ()) -> None:
    """The widget was changed: its value becomes the key's, then whoever waits for it is told.

    A widget that went away with its words may answer once more; that changes nothing.
    """
    if st.session_state.get(key) == st.session_state[shown]:
        return
    st.session_state[key] = st.session_state[shown]
    if on_change is not None:
        on_change(*args)


def settle(key: str, options: Sequence[Any], empty: bool) -> None:
    """A value that is not offered (any more) is none, or the first where one must be chosen."""
    if st.session_state.get(key) not in options:
        st.session_state[key] = options[0] if options and not empty else None


def select(
    label: str, options: Sequence[Any], *, key: str, page: str, word: Word = str, empty: bool = True,
    open_: bool = False, on_change: Callable[..., None] | None = None, args: tuple[Any, ...] = (),
    width: int | Literal["stretch"] = "stretch", **look: Any,
) -> Any:
    """A `st.selectbox` whose value is `st.session_state[key]`; gives the value.

    page: a name of the page that draws it. word: what is shown for an option. empty: whether nothing may be chosen.
    open_: whether something else may be typed. on_change, args: called when the user chose, with the key's new value
    set.
    """
    if not open_:
        settle(key, options, empty)
    word = spoken(options, word)
    shown = prepare(key, widget_key(key, page, options, word))
    with st.container(key=key, width=width):
        st.selectbox(
            label, options, index=None if empty else 0, key=shown, format_func=word, accept_new_options=open_,
            on_change=keep, args=(key, shown, on_change, args), **look,
        )
    return st.session_state.get(key)


def segments(
    label: str, options: Sequence[Any], *, key: str, page: str, word: Word = str, required: bool = False,
    on_change: Callable[..., None] | None = None, args: tuple[Any, ...] = (), **look: Any,
) -> Any:
    """A `st.segmented_control` whose value is `st.session_state[key]`; gives the value. See `select`."""
    settle(key, options, empty=not required)
    word = spoken(options, word)
    shown = prepare(key, widget_key(key, page, options, word))
    st.segmented_control(
        label, options, key=shown, format_func=word, required=required, on_change=keep,
        args=(key, shown, on_change, args), **look,
    )
    return st.session_state.get(key)


def expander(title: str, *, key: str, page: str) -> ExpanderContainer:
    """A `st.expander` that is open while `st.session_state[key]` is true. page: see `select`."""
    st.session_state.setdefault(key, False)
    shown = prepare(key, widget_key(key, page, [key], lambda _: title))
    return st.expander(title, key=shown, on_change=keep, args=(key, shown))
