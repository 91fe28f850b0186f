"""The sidebar of the Runs page: search, filters and order, kept in the address so that a link shows the same runs."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from lfdash.jobs.kinds import KINDS
from lfdash.runs.record import RunState
from lfdash.runs.table import BADGES, DEFAULT_SORT, FILTERS, LARGEST_FIRST, SORTS, TableRow, Wanted, offered
from lfdash.ui.shared import keyed
from lfdash.ui.shared.run_words import state_word
from lfdash.ui.shared.text import t

FIND, SORT, DOWN, SEEDED = "runs.find", "runs.sort", "runs.down", "runs.seeded"
PAGE = "runs"
LONGEST = 200  # characters of a value in the address


def key(name: str) -> str:
    """The session key of a filter's values."""
    return f"runs.filter.{name}"


def seed() -> None:
    """Takes filters and order from the address, once a session; what it says amiss is left out."""
    if st.session_state.get(SEEDED):
        return
    st.session_state[SEEDED] = True
    address = st.query_params
    st.session_state[FIND] = address.get("find", "")[:LONGEST]
    for name in FILTERS:
        st.session_state[key(name)] = [value[:LONGEST] for value in dict.fromkeys(address.get_all(name)) if value]
    by = address.get("sort", DEFAULT_SORT)
    st.session_state[SORT] = by if by in SORTS else DEFAULT_SORT
    st.session_state[DOWN] = address.get("order", order_word(st.session_state[SORT] in LARGEST_FIRST)) == "desc"


def order_word(down: bool) -> str:
    """How the address says which end comes first."""
    return "desc" if down else "asc"


def publish() -> None:
    """Puts filters and order into the address, as far as they say anything."""
    said: dict[str, str | list[str]] = {}
    wanted = read()
    if wanted.text:
        said["find"] = wanted.text
    said.update({name: list(values) for name, values in wanted.values.items() if values})
    by, down = order()
    if by != DEFAULT_SORT or not down:
        said["sort"] = by
        if down != (by in LARGEST_FIRST):
            said["order"] = order_word(down)
    now = {name: st.query_params.get_all(name) for name in st.query_params}
    if now != {name: value if isinstance(value, list) else [value] for name, value in said.items()}:
        st.query_params.from_dict(said)


def read() -> Wanted:
    """What is looked for now."""
    values = {name: tuple(st.session_state.get(key(name)) or ()) for name in FILTERS}
    return Wanted((st.session_state.get(FIND) or "").strip(), values)


def order() -> tuple[str, bool]:
    """By what the runs are sorted, and whether the largest comes first."""
    return st.session_state.get(SORT, DEFAULT_SORT), bool(st.session_state.get(DOWN, True))


def active() -> bool:
    """Whether anything is filtered."""
    wanted = read()
    return bool(wanted.text or any(wanted.values.values()))


def clear() -> None:
    """Shows all runs again."""
    st.session_state[FIND] = ""
    for name in FILTERS:
        st.session_state[key(name)] = []
    st.rerun()


def draw(rows: Sequence[TableRow]) -> None:
    """The widgets."""
    st.text_input(
        t("ui.runs_find"), key=FIND, placeholder=t("ui.runs_find"), label_visibility="collapsed", type="search",
        live=True, icon=":material/search:", persist_state="session",
    )
    with st.container(horizontal=True, vertical_alignment="bottom", key="runs_order"):
        keyed.select(
            t("ui.runs_sort"), list(SORTS), key=SORT, page=PAGE, empty=False,
            word=lambda by: t(f"ui.runs_col_{by}"), on_change=sorted_by,
        )
        down = st.session_state.get(DOWN, True)
        words = t("ui.runs_down") if down else t("ui.runs_up")
        st.button(
            words, key="runs_turn", icon=":material/arrow_downward:" if down else ":material/arrow_upward:",
            on_click=turn, help=words,
        )
    many("state", [*(state.name for state in RunState), *BADGES], word=state_word)
    for name in ("model", "stage", "method"):
        many(name, offered(rows, name))
    many("kind", [kind.name for kind in KINDS], word=lambda name: t(f"ui.runs_kind_{name}"))
    many("tag", offered(rows, "tag"))
    if active():
        st.button(t("ui.runs_clear"), key="runs_clear", icon=":material/filter_alt_off:", on_click=clear)


def sorted_by() -> None:
    """Another order was chosen: begin with the end that one looks for."""
    st.session_state[DOWN] = st.session_state[SORT] in LARGEST_FIRST


def sort_by(name: str) -> None:
    """The head of a column was pressed: sorts by it, or the other way round."""
    if name == st.session_state.get(SORT):
        turn()
    elif name in SORTS:
        st.session_state[SORT] = name
        sorted_by()


def turn() -> None:
    """The other end first."""
    st.session_state[DOWN] = not st.session_state.get(DOWN, True)


def many(name: str, options: Sequence[str], word: keyed.Word = str) -> None:
    """One filter: any of several values. What is chosen stays an option, also where no run has it (yet)."""
    chosen = st.session_state.get(key(name)) or []
    every = [*options, *(value for value in chosen if value not in options)]
    if not every:
        return
    if word is not str:
        word = known(options, word)
    shown = keyed.prepare(key(name), keyed.widget_key(key(name), PAGE, options, word))
    with st.container(key=f"runs_{name}"):
        st.multiselect(
            t(f"ui.runs_col_{name}"), every, key=shown, format_func=word, placeholder=t("ui.runs_any"),
            on_change=keyed.keep, args=(key(name), shown),
        )


def known(options: Sequence[str], word: keyed.Word) -> keyed.Word:
    """The words of known values; a value of an address that is none is its own word."""
    words = {option: word(option) for option in options}
    return lambda value: words.get(value, str(value))
