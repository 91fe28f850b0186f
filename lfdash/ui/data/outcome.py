"""How many rows of a dataset are trained on, in words, with the rows that are not one click away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lfdash.data.json_text import as_text
from lfdash.data.preview import rows_at
from lfdash.data.usable import LeftOut, Usable
from lfdash.outcomes import Problem
from lfdash.ui.data.tables import cell
from lfdash.ui.shared.text import choice, left_out_words, markdown_safe, problem_words, t

FURTHEST = 200_000  # rows: those behind are not looked up for being shown


def draw_usable(found: Usable, stage: str) -> None:
    """The count, where all is well, or what is wrong. stage: that it was asked for."""
    if found.usable is not None and found.rows is not None and not found.fails and not found.left_out:
        st.success(t("ui.data_usable", usable=f"{found.usable:,}", rows=f"{found.rows:,}", stage=stage_word(stage)))
    for problem in found.problems:
        draw_problem(problem)


def stage_word(stage: str) -> str:
    """What a stage is called."""
    return choice("train.training_stage", stage)


def draw_problem(problem: Problem) -> None:
    """What is wrong: an error is a certain failure."""
    words = markdown_safe(problem_words(problem))
    if problem.level == "error":
        st.error(words, icon=":material/error:")
    else:
        st.warning(words, icon=":material/warning:")


def draw_left_out(path: Path, found: Usable, key: str) -> None:
    """The first rows that are left out for each reason, shown when they are asked for. path: of the data, without
    links. key: of the switch."""
    why = reasons(found.left_out)
    if not why or not st.toggle(t("ui.data_show_left"), key=key):
        return
    rows = [as_cells(number, why[number], row) for number, row in rows_at(path, why)]
    st.dataframe(pd.DataFrame(rows), hide_index=True, row_height=60)


def reasons(left_out: tuple[LeftOut, ...]) -> dict[int, LeftOut]:
    """Row -> why it is left out, of the rows that are named."""
    return {number: part for part in left_out for number in part.rows if number <= FURTHEST}


def as_cells(number: int, part: LeftOut, row: Mapping[str, Any]) -> dict[str, str]:
    """A row as text, with its number and the reason before it."""
    told = {t("ui.data_row"): str(number), t("ui.data_why"): left_out_words(part)}
    return {**told, **{as_text(name): cell(value) for name, value in row.items()}}
