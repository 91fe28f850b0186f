"""What is selected in the tables of the Runs page. A browser tells a selection by place, so it is kept by ids."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import streamlit as st

from lfdash.runs.table import TableRow

CHOSEN = "runs.chosen"  # ids of the selected runs
SHOWN_TABLE = "runs.shown_table"  # place -> the key of the table that the page shows there


def table_key(ids: Sequence[str], place: str = "") -> str:
    """The key of the table with these runs in this order."""
    return f"runs.table.{place}{crc32(chr(10).join(ids).encode()):08x}"


def prepare(ids: Sequence[str], place: str = "") -> str:
    """The key of the table that shows these runs, with those selected that were. place: of a table among several.

    Other runs, or the same in another order, make another table: a click on the one before, which is still under way,
    must not mean another run.
    """
    key, shown = table_key(ids, place), st.session_state.get(SHOWN_TABLE) or {}
    if key != shown.get(place) or key not in st.session_state:
        wanted = set(st.session_state.get(CHOSEN, ()))
        places = [number for number, run_id in enumerate(ids) if run_id in wanted]
        st.session_state[table_key(ids, place)] = {"selection": {"rows": places, "columns": [], "cells": []}}
        st.session_state[SHOWN_TABLE] = {**shown, place: key}
    return key


def selected(tables: Sequence[tuple[str, Sequence[TableRow]]]) -> list[TableRow]:
    """The selected rows of tables (key, rows); remembered by their ids."""
    found = []
    for key, rows in tables:
        places = st.session_state[key]["selection"]["rows"]
        found += [rows[place] for place in sorted(places) if place < len(rows)]
    st.session_state[CHOSEN] = [row.run_id for row in found]
    return found


def forget() -> None:
    """The tables are made anew with the next look, with what is selected."""
    st.session_state[SHOWN_TABLE] = None
