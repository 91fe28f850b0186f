"""The results of an evaluation: what was evaluated on what, the scores in words, and apart from them the timings."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from lfdash.engine import source
from lfdash.engine.services import Services
from lfdash.outcomes import Refused
from lfdash.runs.results import Metric, metrics, read_scores
from lfdash.runs.view import RunView
from lfdash.ui.form.source import loaded_words
from lfdash.ui.launch.next_steps import same_job
from lfdash.ui.shared.text import markdown_safe, t


def draw(services: Services, view: RunView) -> None:
    """The whole tab."""
    found = metrics(read_scores(view.path))
    if not found:
        st.caption(t("ui.scores_none"))
        return
    st.markdown(subject_words(services, view))
    scores = [one for one in found if not one.timing]
    timings = [one for one in found if one.timing]
    if scores:
        draw_table(scores, t("ui.score"), explained=True)
    if timings:
        draw_table(timings, t("ui.results_timings"), explained=False)


def subject_words(services: Services, view: RunView) -> str:
    """Which model and adapter were evaluated, on which data."""
    job = same_job(services, view)
    if isinstance(job, Refused):
        return t("ui.results_unknown")
    said = source.says(services, job)
    rows = t("ui.source_rows" if said.exact else "ui.source_rows_most", count=said.rows)
    return t("ui.results_of", what=loaded_words(said), target=f"**{markdown_safe(said.target or '–')}**", rows=rows)


def draw_table(found: Sequence[Metric], title: str, *, explained: bool) -> None:
    """Numbers in words, each with its name in the file; explained: and with what it means."""
    columns = {
        "word": [t(f"ui.metric_{one.word}") if one.word else one.name for one in found],
        "value": [one.value for one in found],
        "meaning": [t(f"ui.metric_{one.word}_help") if one.word and explained else "" for one in found],
        "name": [one.name for one in found],
    }
    table = pd.DataFrame(columns if explained else {key: columns[key] for key in ("word", "value", "name")})
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "word": st.column_config.TextColumn(title, width=120),
            "value": st.column_config.NumberColumn(t("ui.score_value"), format="%.4f", width=80),
            "meaning": t("ui.score_meaning"),
            "name": st.column_config.TextColumn(t("ui.score_name"), width=160),
        },
    )
