"""Which columns the runs table has, how it is sorted and grouped: the menu for it, and what is kept of it for a person.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from lfdash.engine.services import Services
from lfdash.runs.grouping import GROUPABLE
from lfdash.runs.order import SORTS
from lfdash.runs.table import TableRow
from lfdash.runs.values import ARG, OWN, SCORE, reader
from lfdash.ui.runs import filters
from lfdash.ui.shared import keyed
from lfdash.ui.shared.browser import browser
from lfdash.ui.shared.text import t
from lfdash.workspace.memo import Memo

CHOSEN = "runs.columns"  # in this order
DIFFERING = "differing"  # stands for the columns of the settings in which the runs differ that are shown
MOST_DIFFERING = 6
MOST = 60  # columns
DEFAULT = (
    "state", "target", "progress", "spark", "best_eval", "best", "last", DIFFERING, "model", "dataset", "stage",
    "method", "duration", "speed", "when", "tags", "note",
)
OWN_COLUMNS = (*(name for name in OWN if name != "name"), "spark")


def is_column(name: str) -> bool:
    """Whether a table can have such a column."""
    return name in OWN_COLUMNS or name == DIFFERING or name.startswith((ARG, SCORE))


def word(name: str) -> str:
    """What a column is called: settings and results by their own names."""
    if name.startswith(ARG):
        return name.removeprefix(ARG)
    if name.startswith(SCORE):
        return t("ui.runs_score", name=name.removeprefix(SCORE))
    return t(f"ui.runs_col_{name}")


# -- kept -----------------------------------------------------------------------------------------------


def memos(services: Services) -> list[Memo]:
    """Where the columns are kept: for this browser, and for one that has chosen none."""
    private, identity = services.workspace.private, services.registry.identity
    names = [f"columns-{who}.json" for who in [browser()] if who]
    return [Memo(private / name, identity.is_here) for name in (*names, "columns.json")]


def chosen(services: Services) -> list[str]:
    """The columns that this person has chosen, or the usual ones."""
    if CHOSEN not in st.session_state:
        kept = next(filter(None, (memo.load() for memo in memos(services))), {}).get("columns")
        names = [name for name in kept if isinstance(name, str) and is_column(name)] if isinstance(kept, list) else []
        st.session_state[CHOSEN] = list(dict.fromkeys(names))[:MOST] or list(DEFAULT)
    return list(st.session_state[CHOSEN])


def keep(services: Services) -> None:
    """Keeps what was chosen; nothing chosen means the usual ones."""
    names = st.session_state.get(CHOSEN) or list(DEFAULT)
    st.session_state[CHOSEN] = names
    for memo in memos(services):
        memo.save({"columns": names})


def as_usual(services: Services) -> None:
    """The usual columns again."""
    st.session_state[CHOSEN] = list(DEFAULT)
    keep(services)


def resolved(services: Services, differing: Sequence[str], rows: Sequence[TableRow]) -> list[str]:
    """The columns to be shown, the differing settings in their place; what is chosen by hand is there once. rows: of
    the workspace; without one on a cluster there is no column for that."""
    names = chosen(services)
    if not any(row.target for row in rows):
        names = [name for name in names if name != "target"]
    own = [name for name in differing if name not in names][:MOST_DIFFERING]
    return [name for one in names for name in (own if one == DIFFERING else [one])]


# -- the menu -------------------------------------------------------------------------------------------


def draw_menu(services: Services, rows: Sequence[TableRow], arguments: Sequence[str]) -> None:
    """Columns, order and groups. arguments: the columns of the arguments that any run has."""
    with st.popover(
        t("ui.runs_view"), icon=":material/view_column:", key="runs_view_menu", on_change="rerun", width="content",
    ) as box:
        if not box.open:
            return
        scores = [SCORE + name for name in sorted({name for row in rows for name in row.details.scores})]
        draw_columns(services, [DIFFERING, *OWN_COLUMNS, *arguments, *scores])
        with st.container(horizontal=True, vertical_alignment="bottom", key="runs_order"):
            keyed.select(
                t("ui.runs_sort"), offered([*SORTS, *arguments, *scores], filters.order()[0]), key=filters.SORT,
                page=filters.PAGE, empty=False, word=word, on_change=filters.sorted_by, width=270,
            )
            down = filters.order()[1]
            words = t("ui.runs_down") if down else t("ui.runs_up")
            icon = ":material/arrow_downward:" if down else ":material/arrow_upward:"
            st.button(words, key="runs_turn", icon=icon, on_click=filters.turn, help=words)
        keyed.select(
            t("ui.runs_group_by"), offered([*GROUPABLE, *arguments, *scores], filters.grouping()), key=filters.GROUP,
            page=filters.PAGE, word=word, nothing=t("ui.runs_group_none"),
        )


def offered(options: Sequence[str], value: str | None) -> list[str]:
    """The options, with the value of an address among them that no run has."""
    return [*options, *([value] if value and value not in options and reader(value) is not None else [])]


def draw_columns(services: Services, options: Sequence[str]) -> None:
    """The columns, in the order in which they are chosen."""
    names = chosen(services)
    every = [*options, *(name for name in names if name not in options)]
    words = {name: word(name) for name in every}
    shown = keyed.prepare(CHOSEN, keyed.widget_key(CHOSEN, filters.PAGE, [DIFFERING, *OWN_COLUMNS], word))
    st.multiselect(
        t("ui.runs_columns"), every, key=shown, format_func=lambda name: words.get(name, name), on_change=keyed.keep,
        args=(CHOSEN, shown, keep, (services,)), help=t("ui.runs_columns_help"),
    )
    st.button(t("ui.runs_columns_usual"), key="runs_columns_usual", icon=":material/restart_alt:", type="tertiary",
              on_click=as_usual, args=(services,))
