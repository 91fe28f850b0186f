"""The numbers of the compared runs: best, last, at the same place, what they took; each against the baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence

import streamlit as st

from lfdash.engine.comparison import Subject, measured
from lfdash.engine.services import Services
from lfdash.runs.compare.numbers import better, change, ranks_by_stage
from lfdash.runs.compare.table import STEP, NumberRow, Numbers, numbers_of
from lfdash.ui.compare import state
from lfdash.ui.compare.runs import has_curves, head_of
from lfdash.ui.compare.tables import Cell, Group, Row, table
from lfdash.ui.shared.run_words import duration
from lfdash.ui.shared.text import listed, markdown_safe, t

BEST = "★"
SAME = 0.05  # percent that nobody calls better
WORDS = {"loss": "cli.loss", "eval_loss": "cli.eval_loss"}
AXIS_FORMATS = {"step": "{:,.0f}", "epoch": "{:.4g}", "tokens": "{:,.0f}"}


def draw(services: Services, subjects: Sequence[Subject], names: dict[str, str]) -> None:
    """The table of the runs that train; subjects: those that are there."""
    subjects = [subject for subject in subjects if has_curves(subject)]
    runs = [measured(services, subject.view) for subject in subjects if subject.view is not None]
    found = numbers_of(runs, state.curves().x)
    if not found.rows:
        st.caption(t("ui.compare_no_numbers"))
        return
    base = base_of(subjects)
    heads = [head_of(subject, names, base) for subject in subjects]
    place = next(number for number, subject in enumerate(subjects) if subject.run_id == base)
    stages = [subject.stage for subject in subjects]
    st.html(table(t("ui.compare_numbers"), heads, groups_of(found, place, stages)))
    draw_place(found, [names[subject.run_id] for subject in subjects])


def base_of(subjects: Sequence[Subject]) -> str:
    """The id of the baseline among the runs that are there."""
    wanted = state.current().base
    ids = [subject.run_id for subject in subjects]
    return wanted if wanted in ids else next(iter(ids), "")


def draw_place(found: Numbers, names: Sequence[str]) -> None:
    """Where the runs are compared, and which of them say why."""
    words = []
    if found.where is not None and len(found.shortest) + len(found.lacking) < len(names):
        shortest = listed(f"**{markdown_safe(names[place])}**" for place in found.shortest)
        words.append(t("ui.compare_at_about", at=at_words(found), names=shortest))
    if found.lacking:
        lacking = listed(f"**{markdown_safe(names[place])}**" for place in found.lacking)
        words.append(t("ui.compare_lacking", axis=t(f"ui.compare_axis_{found.axis}"), names=lacking))
    if any(is_earlier(row, place, found) for row in found.rows for place in range(len(row.values))):
        words.append(t("ui.compare_at_logged"))
    if any(row.smoothed for row in found.rows):
        words.append(t("ui.compare_raw"))
    if words:
        st.caption(" ".join(words))


def is_earlier(row: NumberRow, place: int, found: Numbers) -> bool:
    """Whether the value of a run at the place where all are compared was logged at another step."""
    step = row.steps[place] if row.what == "at" else None
    return step is not None and (found.axis != STEP or step != found.where)


def at_words(found: Numbers) -> str:
    """The place at which runs are compared: step 1,200."""
    where = found.where or 0.0
    value = duration(where) if found.axis == "seconds" else AXIS_FORMATS[found.axis].format(where)
    return t(f"ui.compare_at_{found.axis}", value=value)


def groups_of(found: Numbers, base: int, stages: Sequence[str]) -> list[Group]:
    """The rows by quantity: those of what was learned, then those of what it took. stages: of the runs."""
    learned = [row for row in found.rows if row.what in ("best", "at", "last")]
    took = [row for row in found.rows if row not in learned]
    columns = dict.fromkeys(row.column for row in learned)
    groups = [
        Group(column_word(column), tuple(row_of(row, found, base, stages) for row in learned if row.column == column))
        for column in columns
    ]
    rows = tuple(row_of(row, found, base, stages) for row in took)
    return [*groups, *([Group(t("ui.compare_took"), rows)] if rows else [])]


def column_word(column: str) -> str:
    """What a quantity is called: the losses by their words, others by the names that transformers and trl give them."""
    return t(WORDS[column]) if column in WORDS else column


def row_of(row: NumberRow, found: Numbers, base: int, stages: Sequence[str]) -> Row:
    """A row as it is drawn. Only runs of the same known stage are called better or worse than each other."""
    name = at_words(found) if row.what == "at" else t(f"ui.compare_{row.what}")
    name = kind_words(name, row, found)
    tops = ranks_by_stage(row.values, stages, better(row.column)) if row.what != "length" else frozenset()
    cells = [
        cell_of(row, place, base, found, top=place in tops, rated=bool(stages[place]) and stages[place] == stages[base])
        for place in range(len(row.values))
    ]
    return Row(name, tuple(cells))


def kind_words(name: str, row: NumberRow, found: Numbers) -> str:
    """The name of a row, with whether its values are smoothed or as they were logged, where the quantity has both."""
    if row.smoothed:
        return t("ui.compare_smoothed", name=name, count=int(row.span))
    both = row.what in ("best", "last") and any(one.smoothed for one in found.rows if one.column == row.column)
    return t("ui.series_plain_of", name=name) if both else name


def cell_of(row: NumberRow, place: int, base: int, found: Numbers, *, top: bool, rated: bool) -> Cell:
    """A number, how it stands to the baseline, and where it was reached. rated: whether that is better or worse."""
    value = row.values[place]
    if value is None:
        return Cell(quiet=True)
    notes = []
    if place != base:
        notes.append(change_words(row.column, value, row.values[base], rated=rated))
    told = row.what != "at" or is_earlier(row, place, found)
    if told and row.steps and (step := row.steps[place]) is not None:
        at = "ui.compare_single_at" if row.what == "best" and not row.smoothed else "ui.compare_at_step"
        notes.append(t(at, value=f"{step:,.0f}"))
    return Cell(number_words(row.column, value), tuple(notes), strong=top, mark=BEST if top else "")


def change_words(column: str, value: float | None, base: float | None, *, rated: bool = True) -> str:
    """How a value stands to that of the baseline: -12.3 %, better."""
    told = change(column, value, base)
    if told is None:
        return ""
    if told.percent is None:
        words = f"{told.difference:+.3g}".replace("-", "−")
    elif abs(told.percent) < SAME:
        return t("ui.compare_same")
    else:
        words = percent_words(told.percent)
    if told.way is None or told.way == 0 or not rated:
        return words if told.difference else t("ui.compare_same")
    return t("ui.compare_better" if told.way > 0 else "ui.compare_worse", change=words)


def percent_words(percent: float) -> str:
    """A change as a percentage; one that is many times the value, as that."""
    if percent >= 900:
        return f"× {percent / 100 + 1:,.0f}"
    return f"{percent:+.1f} %".replace("-", "−")


def number_words(column: str, value: float) -> str:
    """A number as its quantity is read."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if column == "duration":
        return duration(value)
    if column in ("step", "tokens"):
        return f"{value:,.0f}"
    if column == "memory":
        return f"{value:.2f} GiB"
    if column.endswith("_per_s"):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    if 100 <= abs(value) < 1e7:
        return f"{value:,.2f}"
    return f"{value:.4f}" if 0.001 <= abs(value) < 1e5 or value == 0 else f"{value:.4g}"
