"""The settings that differ among the compared runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from lfdash.engine.comparison import Subject, settings_of
from lfdash.engine.services import Services
from lfdash.runs.compare import settings as pure
from lfdash.runs.compare.settings import GROUPS, VALUED, Cell, SettingRow, plain_text, shortened, to_csv, to_markdown
from lfdash.ui.compare import tables
from lfdash.ui.compare.numbers import base_of
from lfdash.ui.compare.runs import head_of
from lfdash.ui.compare.tables import Group, Row
from lfdash.ui.shared.text import t

ALL = "compare.all_settings"  # whether also those are shown that are the same in effect


def draw(services: Services, subjects: Sequence[Subject], names: dict[str, str]) -> None:
    """The table, and the files that hold it."""
    told = [subject for subject in subjects if subject.given.tells]
    if len(told) < 2:
        st.caption(t("ui.compare_settings_few"))
        return
    rows = settings_of(services, subjects)
    redact = services.registry.redactor()
    same = sum(not row.in_effect for row in rows)
    with st.container(horizontal=True, vertical_alignment="center", key="compare_settings_bar"):
        if same:
            st.toggle(t("ui.compare_settings_same", count=same), key=ALL, persist_state="session")
        shown = [row for row in rows if row.in_effect or st.session_state.get(ALL)]
        if shown:
            draw_downloads(shown, [names[subject.run_id] for subject in subjects], redact)
    if not shown:
        st.caption(t("ui.compare_settings_none"))
        return
    base = base_of(subjects)
    heads = [head_of(subject, names, base) for subject in subjects]
    place = next(number for number, subject in enumerate(subjects) if subject.run_id == base)
    st.html(tables.table(t("ui.compare_settings"), heads, groups_of(shown, place, redact)))


def draw_downloads(rows: Sequence[SettingRow], names: Sequence[str], redact: Callable[[str], str]) -> None:
    """The rows that are shown, as files."""
    for kind, make, mime in (("csv", to_csv, "text/csv"), ("md", to_markdown, "text/markdown")):
        st.download_button(
            t(f"ui.compare_{kind}"), partial(make, rows, names, redact), file_name=f"settings.{kind}", mime=mime,
            key=f"compare_settings_{kind}", on_click="ignore", icon=":material/download:", type="tertiary",
        )


def groups_of(rows: Sequence[SettingRow], base: int, redact: Callable[[str], str]) -> list[Group]:
    """The rows under the headings that LLaMA-Factory's examples use."""
    present = [group for group in GROUPS if any(row.group == group for row in rows)]
    return [
        Group(t(f"ui.compare_group_{group}"), tuple(row_of(row, base, redact) for row in rows if row.group == group))
        for group in present
    ]


def row_of(row: SettingRow, base: int, redact: Callable[[str], str]) -> Row:
    """A setting; what is other than the baseline's stands out."""
    full = [redact(plain_text(cell.value)) if cell.how in VALUED else "" for cell in row.cells]
    short = shortened(full)
    return Row(
        row.name,
        tuple(
            cell_of(cell, text, long, other=number != base and not pure.same_in_effect(row.name, row.cells[base], cell))
            for number, (cell, text, long) in enumerate(zip(row.cells, short, full, strict=True))
        ),
        code=True,
    )


def cell_of(cell: Cell, text: str, full: str, *, other: bool) -> tables.Cell:
    """What one run says of a setting."""
    if cell.how == "given":
        return tables.Cell(text, full=full, strong=other)
    if cell.how in ("folder", "default"):
        return tables.Cell(text, (t(f"ui.compare_{cell.how}"),), full, strong=other)
    return tables.Cell(t(f"ui.compare_{cell.how}"), quiet=True)
