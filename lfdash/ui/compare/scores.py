"""The scores of evaluations beside each other: of the compared runs' weights, and of runs that are evaluations."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from lfdash.engine.comparison import EVALUATION, Subject, evaluations_of
from lfdash.engine.services import Services
from lfdash.runs.compare.numbers import better, ranks
from lfdash.runs.compare.scores import Evaluation, is_of_training, score_names
from lfdash.runs.compare.settings import cut_middle
from lfdash.ui.compare.numbers import BEST, base_of, change_words, number_words
from lfdash.ui.compare.runs import swatch
from lfdash.ui.compare.tables import Cell, Group, Head, Row, heading, table
from lfdash.ui.shared.text import listed, markdown_safe, t

LONGEST_MODEL = 40  # characters of a path in a head


def draw(services: Services, subjects: Sequence[Subject], names: dict[str, str]) -> None:
    """The evaluations; then what lies in the folders of the trainings: what they have measured at their ends, where
    that is known."""
    found = [one for one in evaluations_of(services, subjects) if one.scores]
    trained = {subject.run_id for subject in subjects if subject.kind != EVALUATION}
    evaluated = [one for one in found if one.run_id not in trained]
    if evaluated:
        draw_table(t("ui.compare_scores"), evaluated, subjects, names)
    else:
        st.caption(t("ui.compare_no_scores"))
    own = [one for one in found if one.run_id in trained]
    for words, known in (("ui.compare_own_results", True), ("ui.compare_found_results", False)):
        part = [one for one in own if is_of_training(one) == known]
        if part:
            st.html(heading(t(words)))
            draw_table(t(words), part, subjects, names)


def draw_table(title: str, found: Sequence[Evaluation], subjects: Sequence[Subject], names: dict[str, str]) -> None:
    """What belongs together side by side."""
    base = base_place(found, base_of(subjects))
    places = {subject.run_id: subject.place for subject in subjects}
    heads = [head_of(one, names, places, base == place) for place, one in enumerate(found)]
    rows = tuple(row_of(name, found, base) for name in score_names(found))
    st.html(table(title, heads, [Group("", rows)]))
    if len({one.data for one in found if one.data}) > 1:
        st.caption(t("ui.compare_other_data"))
    unknown = [f"**{markdown_safe(one.name)}**" for one in found if not one.data]
    if unknown and len(found) > 1:
        st.caption(t("ui.compare_data_not_known", names=listed(unknown)))


def base_place(found: Sequence[Evaluation], base: str) -> int:
    """The column that the others are measured by: the last of the baseline's, else the first."""
    of_base = [place for place, one in enumerate(found) if base in (one.run_id, one.origin and one.origin.run_id)]
    evaluated = [place for place in of_base if found[place].origin is not None]
    return (evaluated or of_base or [0])[-1]


def head_of(one: Evaluation, names: dict[str, str], places: dict[str, int], is_base: bool) -> Head:
    """The head of an evaluation: whose weights, at which checkpoint, on which data."""
    owner = one.origin.run_id if one.origin else one.run_id
    notes = [t("ui.compare_baseline")] if is_base else []
    if one.origin is not None and one.origin.run_id in names:
        notes.append(t("ui.compare_of", name=names[one.origin.run_id]))
    elif one.model and one.run_id not in names:
        notes.append(cut_middle(one.model, LONGEST_MODEL))
    if one.origin is not None and one.origin.step is not None:
        notes.append(t("ui.compare_checkpoint", step=one.origin.step))
    notes.append(one.data)
    return Head(one.name, swatch(places[owner]) if owner in places else "", tuple(filter(None, notes)))


def speed_words(name: str, own: float | None) -> str:
    """That a speed counts steps that were not trained in that time, and what the log tells."""
    return t("ui.compare_speed_planned") if own is None else t("ui.compare_speed_own", value=number_words(name, own))


def row_of(name: str, found: Sequence[Evaluation], base: int) -> Row:
    """One score of each."""
    values = {str(place): one.scores.get(name) for place, one in enumerate(found)}
    measures = {one.measure for one in found if one.scores.get(name) is not None}
    comparable = len(measures) == 1 and None not in measures
    tops = ranks(values, better(name)) if comparable else frozenset()
    cells = []
    for place, one in enumerate(found):
        value = one.scores.get(name)
        if value is None:
            cells.append(Cell(quiet=True))
            continue
        same_data = place != base and one.data and one.data == found[base].data  # not known is never the same
        same_data = same_data and name not in found[base].speeds
        rated = one.measure is not None and one.measure == found[base].measure
        note = change_words(name, value, found[base].scores.get(name), rated=rated) if same_data else ""
        if name in one.speeds:
            cells.append(Cell(number_words(name, value), (speed_words(name, one.speeds[name]),)))
            continue
        top = str(place) in tops
        cells.append(Cell(number_words(name, value), (note,), strong=top, mark=BEST if top else ""))
    return Row(name, tuple(cells), code=True)
