"""What of the runs is shown and in which order, kept in the address: a link shows the same, and Back goes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from zlib import crc32

import streamlit as st

from lfdash.jobs.kinds import KINDS
from lfdash.locales import in_language
from lfdash.runs.conditions import Condition, parse, split, without
from lfdash.runs.finding import FILTERS, Wanted, offered
from lfdash.runs.grouping import can_group
from lfdash.runs.order import DEFAULT_SORT, LARGEST_FIRST, can_sort
from lfdash.runs.record import RunState
from lfdash.runs.table import BADGES, TableRow
from lfdash.runs.values import NAMED
from lfdash.ui.shared import address as address_of
from lfdash.ui.shared import keyed
from lfdash.ui.shared.layout import arrived
from lfdash.ui.shared.run_words import state_word
from lfdash.ui.shared.text import markdown_safe, pair, t

FIND, SORT, DOWN, SEEDED = "runs.find", "runs.sort", "runs.down", "runs.seeded"
WHERE, GROUP = "runs.where", "runs.group"
PUBLISHED = "runs.published"  # what the address said last
ARGUMENT, SIGN, VALUE = "runs.where_name", "runs.where_sign", "runs.where_value"
PAGE = "runs"
SIGNS = ("=", "!=", ">", ">=", "<", "<=", "~")
LONGEST = 200  # characters of a value in the address
MOST_WHERE = 20  # conditions of an address
CHIP = 40  # characters of a value in a chip

Said = dict[str, list[str]]


def key(name: str) -> str:
    """The session key of a filter's values."""
    return f"runs.filter.{name}"


# -- the address ----------------------------------------------------------------------------------------


def seed() -> None:
    """Takes filters, order and groups from the address: the first time, and when the browser went back or forward to
    another one. What it says amiss is left out.

    Streamlit puts the address of the page that one goes to into the history of the page that one leaves, too: to go
    back to that is to go back to what was shown.
    """
    now = address()
    left = address_of.RUN in now
    gone_back = now != st.session_state.get(PUBLISHED) and not left and (not arrived() or bool(now))
    if st.session_state.get(SEEDED) and not gone_back:
        return
    st.session_state[SEEDED] = True
    said = st.query_params
    st.session_state[FIND] = said.get("find", "")[:LONGEST]
    for name in FILTERS:
        values = [value[:LONGEST] for value in said.get_all(name) if value]
        st.session_state[key(name)] = list(dict.fromkeys(map(state_of, values) if name == "state" else values))
    conditions = [parse(text[:LONGEST]) for text in dict.fromkeys(said.get_all("where"))]
    st.session_state[WHERE] = [str(one) for one in conditions if one is not None][:MOST_WHERE]
    by, group = said.get("sort", DEFAULT_SORT)[:LONGEST], said.get("group", "")[:LONGEST]
    st.session_state[SORT] = by if can_sort(by) else DEFAULT_SORT
    st.session_state[DOWN] = said.get("order", order_word(st.session_state[SORT] in LARGEST_FIRST)) == "desc"
    st.session_state[GROUP] = group if can_group(group) else None


def state_of(text: str) -> str:
    """The state that an address names, by its own name or as the page shows it; any other text as it is."""
    known = [*(state.name for state in RunState), *BADGES]
    shown = {word.casefold(): name for name in known for word in (english(name), state_word(name))}
    return text if text in known else shown.get(text.casefold(), text)


def english(name: str) -> str:
    """The English word for a state, or for what is told beside it."""
    return in_language("en", f"states.{name}" if name in RunState.__members__ else f"ui.badge_{name}")


def address() -> Said:
    """What the address says."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def order_word(down: bool) -> str:
    """How the address says which end comes first."""
    return "desc" if down else "asc"


def publish() -> None:
    """Puts filters, order and groups into the address, as far as they say anything."""
    said: Said = {}
    wanted = read()
    if wanted.text:
        said["find"] = [wanted.text]
    said.update({name: list(values) for name, values in wanted.values.items() if values})
    if wanted.where:
        said["where"] = list(map(str, wanted.where))
    by, down = order()
    if by != DEFAULT_SORT or not down:
        said["sort"] = [by]
        if down != (by in LARGEST_FIRST):
            said["order"] = [order_word(down)]
    if grouping():
        said["group"] = [grouping() or ""]
    if address() != said:
        st.query_params.from_dict(said)
    st.session_state[PUBLISHED] = said


# -- what is wanted -------------------------------------------------------------------------------------


def read() -> Wanted:
    """What is looked for now."""
    values = {name: tuple(st.session_state.get(key(name)) or ()) for name in FILTERS}
    where = [parse(text) for text in st.session_state.get(WHERE) or ()]
    return Wanted((st.session_state.get(FIND) or "").strip(), values, tuple(filter(None, where)))


def order() -> tuple[str, bool]:
    """By what the runs are sorted, and whether the largest comes first."""
    return st.session_state.get(SORT) or DEFAULT_SORT, bool(st.session_state.get(DOWN, True))


def grouping() -> str | None:
    """The column by which the runs are grouped."""
    return st.session_state.get(GROUP) or None


def active() -> bool:
    """Whether anything is filtered."""
    wanted = read()
    return bool(wanted.text or wanted.where or any(wanted.values.values()))


def clear() -> None:
    """Shows all runs again."""
    st.session_state[FIND] = ""
    st.session_state[WHERE] = []
    for name in FILTERS:
        st.session_state[key(name)] = []
    st.rerun()


def sorted_by() -> None:
    """Another order was chosen: begin with the end that one looks for."""
    st.session_state[DOWN] = st.session_state[SORT] in LARGEST_FIRST


def sort_by(name: str) -> None:
    """The head of a column was pressed: sorts by it, or the other way round."""
    if name == st.session_state.get(SORT):
        turn()
    elif can_sort(name):
        st.session_state[SORT] = name
        sorted_by()


def turn() -> None:
    """The other end first."""
    st.session_state[DOWN] = not st.session_state.get(DOWN, True)


# -- the widgets ----------------------------------------------------------------------------------------


def draw_search() -> None:
    """The field for words and conditions."""
    st.text_input(
        t("ui.runs_find"), key=FIND, placeholder=t("ui.runs_find_hint"), label_visibility="collapsed", type="search",
        live=True, icon=":material/search:", persist_state="session", width=330, help=t("ui.runs_find_help"),
    )


def draw_menu(rows: Sequence[TableRow], arguments: Sequence[str]) -> None:
    """The menu of all filters. arguments: the names that a condition can have beside the columns' own."""
    with st.popover(
        t("ui.runs_filter"), icon=":material/filter_list:", key="runs_filter_menu", on_change="rerun", width="content",
    ) as box:
        if box.open:
            left, right = st.columns(2, gap="small")
            with left:
                many("state", [*(state.name for state in RunState), *BADGES], word=state_word)
                for name in ("stage", "model", "tag"):
                    many(name, offered(rows, name))
            with right:
                many("kind", [kind.name for kind in KINDS], word=lambda name: t(f"ui.runs_kind_{name}"))
                for name in ("method", "dataset"):
                    many(name, offered(rows, name))
            draw_condition(arguments)


def draw_condition(arguments: Sequence[str]) -> None:
    """One condition more: a name, a sign, a value."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="runs_where"):
        keyed.select(
            t("ui.runs_where_name"), [*arguments, *NAMED], key=ARGUMENT, page=PAGE, width=190,
            placeholder=t("ui.runs_where_hint"),
        )
        keyed.select(t("ui.runs_where_sign"), SIGNS, key=SIGN, page=PAGE, empty=False, width=82)
        st.text_input(t("ui.runs_where_value"), key=VALUE, width=120)
        st.button(t("ui.runs_where_add"), key="runs_where_add", icon=":material/add:", on_click=add_condition)


def add_condition() -> None:
    """Takes the condition that was put together; an unfinished one says nothing."""
    name, sign, value = (st.session_state.get(field) for field in (ARGUMENT, SIGN, VALUE))
    value = (value or "").strip()[:LONGEST]
    if not name or not sign or not value:
        return
    condition = str(Condition(name, sign, value))
    st.session_state[WHERE] = list(dict.fromkeys([*(st.session_state.get(WHERE) or ()), condition]))[-MOST_WHERE:]
    st.session_state[VALUE] = ""


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


# -- chips ----------------------------------------------------------------------------------------------


def chips() -> list[tuple[str, Callable[[], None]]]:
    """What narrows the table: its words, and what takes it away."""
    wanted = read()
    found: list[tuple[str, Callable[[], None]]] = []
    words: dict[str, Callable[[str], str]] = {
        "state": state_word, "kind": known([kind.name for kind in KINDS], lambda name: t(f"ui.runs_kind_{name}")),
    }
    known_states = {*(state.name for state in RunState), *BADGES}
    for name, values in wanted.values.items():
        for value in values:
            said = value if name == "state" and value not in known_states else words.get(name, str)(value)
            found.append((pair(t(f"ui.runs_col_{name}"), said[:CHIP]), partial(drop_value, name, value)))
    found += [(one.spoken[: 2 * CHIP], partial(drop_condition, one)) for one in wanted.conditions]
    text = split(wanted.text).words
    if text:
        found.append((f"“{text[:CHIP]}”", drop_words))
    return found


def draw_chips(group_word: Callable[[str], str]) -> None:
    """Each filter as a button that takes it away, and the grouping. group_word: what a column is called."""
    every = chips()
    if grouping():
        every.append((t("ui.runs_grouped", name=group_word(grouping() or "")), drop_group))
    for title, drop in every:
        st.button(
            markdown_safe(title), key=f"runs_chip_{crc32(title.encode()):08x}", icon=":material/close:",
            icon_position="right", on_click=drop, help=t("ui.runs_chip_help"),
        )
    if active():
        st.button(t("ui.runs_clear"), key="runs_clear", icon=":material/filter_alt_off:", on_click=clear,
                  type="tertiary")


def drop_value(name: str, value: str) -> None:
    """One value of a filter is no longer wanted."""
    st.session_state[key(name)] = [one for one in st.session_state.get(key(name)) or () if one != value]


def drop_condition(gone: Condition) -> None:
    """A condition is no longer wanted, chosen or typed."""
    st.session_state[WHERE] = [text for text in st.session_state.get(WHERE) or () if text != str(gone)]
    st.session_state[FIND] = without(st.session_state.get(FIND) or "", gone)


def drop_words() -> None:
    """The words that are looked for; conditions among them stay."""
    typed: Any = split((st.session_state.get(FIND) or "").strip())
    st.session_state[FIND] = " ".join(map(str, typed.conditions))


def drop_group() -> None:
    """No groups any more."""
    st.session_state[GROUP] = None
