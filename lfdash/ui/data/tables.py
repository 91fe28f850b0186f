"""Rows of data as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from lfdash.data.json_text import as_text

SHOWN = 10_000  # characters of a value that are shown
HEADER, ROW = 38, 60  # px


def draw_table(rows: Sequence[Mapping[str, Any]], height: int | None) -> None:
    """Rows as text."""
    if rows:
        cells = [{as_text(key): cell(value) for key, value in row.items()} for row in rows]
        size: dict[str, Any] = {} if height is None else {"height": height}
        st.dataframe(pd.DataFrame(cells), hide_index=True, row_height=ROW, **size)


def cell(value: Any) -> str:
    """A value as text, of at most SHOWN characters."""
    text = as_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
