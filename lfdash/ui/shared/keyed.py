"""Widgets whose value is the session's, whatever their words are, and which hear nothing that is out of date.

What a browser sends for a chosen option is the word that it shows. When the words change, with the language or with
the state of a run, it sends a word that today's options do not have, and `st.selectbox` hands that on as the new
value. An expander whose title changes is a new one, and closed. So the value lives under a key that no widget has, and
the key of the widget names the words it shows: other words make another widget, which is given the value. It names the
page too: the same key on another page is another widget for Streamlit, and starts empty. What all pages share (the
form's model) keeps its value under the one key.

A browser sends what *all* its widgets show with each event, the tick of a running job included. An event that left the
browser before it had drawn a form that was just loaded brings the values of the form before, and would put them back.
So a value that is set by the program gets a new widget (the key names the round), and what the old one still says is
not heard.

Esc closes a list. Streamlit's own list is cleared by Esc where it may be empty: here to choose nothing is an option
like others, so that a list is never empty, and nothing that the browser clears is taken for a choice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from zlib import crc32

import streamlit as st

from lfdash.ui.shared.scripts import css_class
from lfdash.ui.shared.streamlit_private import ExpanderContainer

Word = Callable[[Any], str]
Read = Callable[[Any], Any]  # what a widget shows -> the value that it means
NOTHING = ""  # the option that takes a choice back: no value of a list is empty
LIVE = "keyed.live"  # key -> its widget of now
ROOM = " "  # at the end of each option of a list that takes texts: nobody types it (see `select`)


def spoken(options: Iterable[Any], word: Word) -> Word:
    """`word` with the words of the options taken down once, in the language of now; numbered where several are the
    same, since Streamlit knows an option by its words."""
    words: dict[Any, str] = {}
    taken: set[str] = set()
    for option in options:
        plain, number = word(option), 1
        words[option] = plain
        while folded(words[option]) in taken:
            number += 1
            words[option] = f"{plain} ({number})"
        taken.add(folded(words[option]))
    return lambda value: words[value] if value in words else word(value)


def widget_key(key: str, page: str, options: Iterable[Any], word: Word) -> str:
    """The key of the widget that shows these words on a page; the same for options that are their own words."""
    words = [f"{option}={word(option)}" for option in options if word(option) != str(option)]
    mark = f"{crc32(chr(10).join(words).encode()):08x}" if words else "own"
    return f"{key}@{page}.{mark}"


@dataclass
class Live:
    """The widget of a key. shown: its key; read: see `Read`; seen: its value as the key has it; told: its value when
    somebody was told of it last."""

    shown: str
    read: Read
    seen: Any
    told: Any


def live() -> dict[str, Live]:
    """The widgets of the session by the key of their value."""
    found: dict[str, Live] = st.session_state.setdefault(LIVE, {})
    return found


def catch_up() -> set[str]:
    """Takes what the browser sent over into the keys, before the callbacks that do it have been called: an event may
    bring a typed text and a click, and the click's may be the first. The keys that changed."""
    changed: set[str] = set()
    for key, widget in live().items():
        if widget.shown in st.session_state:
            value = widget.read(st.session_state[widget.shown])
            if value != widget.seen:
                st.session_state[key] = widget.seen = value
                changed.add(key)
    return changed


def same(value: Any) -> Any:
    """What most widgets show is their value."""
    return value


def blank(text: str) -> str:
    """A text as white space. A widget's key gives it a class in the page, without white space at its end: keys that
    differ in that only are other widgets with the same class."""
    return "".join(" \t"[int(bit)] for bit in f"{crc32(text.encode()):032b}")


def prepare(key: str, named: str, read: Read = same, write: Read = same) -> str:
    """Gives the widget of today's words the value; returns the widget's key, which is the one that is listened to.

    named: what tells the widget from others of the key, the round left out. read: see `Read`; write: the reverse.
    """
    rounds, value = f"{key}@round", st.session_state.get(key)
    shown = f"{key}{blank(f'{named}.{st.session_state.get(rounds, 0)}')}"
    if shown in st.session_state and read(st.session_state[shown]) != value:
        st.session_state[rounds] = st.session_state.get(rounds, 0) + 1
        shown = f"{key}{blank(f'{named}.{st.session_state[rounds]}')}"
    if shown not in st.session_state or st.session_state[shown] != write(value):
        st.session_state[shown] = write(value)
    live()[key] = Live(shown, read, value, value)
    return shown


def keep(
    key: str, shown: str, on_change: Callable[..., None] | None = None, args: tuple[Any, ...] = (), read: Read = same,
    write: Read = same,
) -> None:
    """The widget was changed: its value becomes the key's, then whoever waits for it is told.

    A widget that went away, with its words, its value or all that its page kept, may answer once more; that changes
    nothing.
    """
    widget = live().get(key)
    if widget is None or widget.shown != shown or shown not in st.session_state:
        return
    value = read(st.session_state[shown])
    if write is not same:
        st.session_state[shown] = write(value)  # a typed text is shown as the option that it means
    if widget.told == value:
        return
    st.session_state[key] = widget.seen = widget.told = value
    if on_change is not None:
        on_change(*args)


def settle(key: str, options: Sequence[Any], empty: bool) -> None:
    """A value that is not offered (any more) is none, or the first where one must be chosen."""
    if st.session_state.get(key) not in options:
        st.session_state[key] = options[0] if options and not empty else None


def reader(key: str, options: Sequence[Any], word: Word, read: Read | None) -> Read:
    """What a list shows, as a value: nothing where that was chosen, an option by its word in whatever case and spaces
    it was typed, else what `read` makes of a typed text. What the browser cleared is not a choice, and without `read`
    a text that is no option is none.
    """
    meant = {folded(word(option)): option for option in reversed(options)}
    meant |= {folded(str(option)): option for option in reversed(options)}

    def value_of(shown: Any) -> Any:
        if shown == NOTHING:
            return None
        shown = shown.removesuffix(ROOM) if read and shown else shown
        if shown is None or shown in options:
            return st.session_state.get(key) if shown is None else shown
        if folded(str(shown)) in meant:
            return meant[folded(str(shown))]
        return read(shown) if read else st.session_state.get(key)

    return value_of


def folded(text: str) -> str:
    """A typed text for comparison: case and spaces do not matter."""
    return "".join(text.split()).casefold()


def select(
    label: str, options: Sequence[Any], *, key: str, page: str, word: Word = str, empty: bool = True,
    open_: bool = False, nothing: str | None = None, read: Read = str.strip,
    on_change: Callable[..., None] | None = None, args: tuple[Any, ...] = (),
    width: int | Literal["stretch"] = "stretch", **look: Any,
) -> Any:
    """A `st.selectbox` whose value is `st.session_state[key]`; gives the value.

    page: a name of the page that draws it. word: what is shown for an option. empty: whether nothing may be chosen.
    nothing: the words of the first option, which takes a choice back; None for a list without one. open_: whether
    something else may be typed; its options are texts. read: the value of a typed text that is no option. on_change,
    args: called when the user chose, with the key's new value set.
    """
    if not open_:
        settle(key, options, empty)
    word = spoken(options, word)
    value_of = reader(key, options, word, read if open_ else None)

    def write(value: Any) -> Any:
        """A value as an option. Streamlit puts the next letter in the place of a typed text that is the choice of now,
        and tells nobody when that is typed and confirmed: a list that takes texts offers none that can be typed."""
        if value is None:
            return None if nothing is None else NOTHING
        return f"{value}{ROOM}" if open_ else value

    def line(option: Any) -> str:
        if option == NOTHING:
            return str(nothing)
        return f"{word(option.removesuffix(ROOM))}{ROOM}" if open_ else word(option)

    offered = [*([] if nothing is None else [NOTHING]), *map(write, options)]
    value = write(st.session_state.get(key))
    # What it shows is its default: Esc does not clear a list with a default, and a cleared one means the default.
    place = offered.index(value) if value in offered else None
    shown = prepare(key, widget_key(key, page, options, word), value_of, write)
    if value == NOTHING:
        st.html(f"<style>.{css_class(key)} input {{opacity: .7}}</style>")
    st.selectbox(
        label, offered, index=place, key=shown, accept_new_options=open_, format_func=line, width=width,
        on_change=keep, args=(key, shown, on_change, args, value_of, write), **look,
    )
    return st.session_state.get(key)


def many(
    label: str, options: Sequence[Any], *, key: str, page: str, on_change: Callable[..., None] | None = None,
    args: tuple[Any, ...] = (), **look: Any,
) -> Any:
    """A `st.multiselect` of options that are their own words, whose value is `st.session_state[key]`. See `select`."""
    if st.session_state.get(key) is None:
        st.session_state[key] = []
    shown = prepare(key, page)
    st.multiselect(label, options, key=shown, on_change=keep, args=(key, shown, on_change, args), **look)
    return st.session_state.get(key)


def text(
    label: str, *, key: str, page: str, area: bool = False, on_change: Callable[..., None] | None = None,
    args: tuple[Any, ...] = (), **look: Any,
) -> Any:
    """A `st.text_input` (area: a `st.text_area`) whose value is `st.session_state[key]`; gives the value. See `select`.
    """
    if st.session_state.get(key) is None:
        st.session_state[key] = ""
    shown = prepare(key, page)
    draw: Callable[..., Any] = st.text_area if area else st.text_input
    draw(label, key=shown, on_change=keep, args=(key, shown, on_change, args), **look)
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
