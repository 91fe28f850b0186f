"""*Fits on*: common cards, one or several of them."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.forecast import Forecast
from lfdash.engine.lacking import lacking
from lfdash.memory.cards import card_of
from lfdash.memory.diff import COUNTS, table
from lfdash.ui.form.state import Form
from lfdash.ui.launch.memory_fit import lack_words
from lfdash.ui.shared.text import t

SIGNS = {
    "fits": "✓", "unsure": "?", "tight": "≈", "does_not": "✗", "with_zero3": "?", "with_changes": "↓",
    "tight_with_changes": "≈",
}


def draw(form: Form, found: Forecast) -> None:
    """The table, in which this machine's GPUs stand beside their kind of card. Several GPUs train on as many more rows
    at once."""
    lacks = lacking(form.services, found.target) or {}
    here = {room.label: card_of(room.name, room.total) for room in found.rooms}
    rows = []
    for card, cells in table(found.foretold.subject, lacks).items():
        named = [card.name, *(label for label, kind in here.items() if kind == card)]
        rows.append({
            t("memory.col_card"): " · ".join(named), **{gpus(n): word(cell) for n, cell in cells.items()},
            t("memory.col_examples"): ", ".join(card.examples),
        })
    st.dataframe(rows, hide_index=True, key="memory_cards", height=36 * (len(rows) + 1))
    st.caption(t("memory.cards_help", counts=", ".join(map(str, COUNTS[1:]))))
    st.caption(t("memory.cards_changes"))
    for words in dict.fromkeys(map(lack_words, lacks.values())):
        st.caption(words)


def gpus(count: int) -> str:
    """The head of a column."""
    return f"{count} ×"


def word(cell: str) -> str:
    """A cell."""
    return f"{SIGNS[cell]} {t(f'memory.is_{cell}')}"
