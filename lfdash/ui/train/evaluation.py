"""The results of an evaluation: a table of scores, and the predictions, searchable and page by page."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from lfdash.runs.results import PREDICTIONS, Predictions, read_scores
from lfdash.runs.view import RunView
from lfdash.ui.shared.text import t

PAGE = 20  # rows a page
FIND, NUMBER = "eval.find", "eval.page"


def draw_scores(view: RunView) -> None:
    """Every number of the result file."""
    scores = read_scores(view.path)
    if not scores:
        st.caption(t("ui.scores_none"))
        return
    table = pd.DataFrame({"score": list(scores), "value": [float(value) for value in scores.values()]})
    st.dataframe(
        table,
        hide_index=True,
        column_config={
            "score": t("ui.score"),
            "value": st.column_config.NumberColumn(t("ui.score_value"), format="%.4f"),
        },
    )


def draw_predictions(view: RunView, redact: Callable[[str], str]) -> None:
    """Prompt, label and answer of each row; the file is read page by page."""
    rows = reader(view)
    total = rows.count()
    if not total:
        st.caption(t("ui.predictions_none"))
        return
    find, number, download = st.columns([4, 1, 1.4], vertical_alignment="bottom")
    wanted = find.text_input(
        t("ui.predictions_find"), key=FIND, type="search", placeholder=t("ui.predictions_find"),
        label_visibility="collapsed", icon=":material/search:", live=True,
    )
    chosen = int(st.session_state.get(NUMBER) or 1)
    if wanted:
        shown, total = rows.search(wanted, (chosen - 1) * PAGE, PAGE)
    else:
        shown = rows.page((chosen - 1) * PAGE, PAGE)
    pages = max(1, -(-total // PAGE))
    number.selectbox(t("ui.predictions_page"), range(1, pages + 1), key=NUMBER, label_visibility="collapsed")
    download.download_button(
        t("ui.predictions_csv"), lambda: redact(rows.to_csv()), file_name=f"{view.name}-predictions.csv",
        mime="text/csv", key="eval.csv", on_click="ignore", icon=":material/download:", width="stretch",
    )
    first = (chosen - 1) * PAGE + 1
    st.caption(t("ui.predictions_count", first=min(first, total), last=first + len(shown) - 1, total=total))
    st.dataframe(
        pd.DataFrame(
            [(row.number, redact(row.prompt), redact(row.label), redact(row.predict)) for row in shown],
            columns=["number", "prompt", "label", "predict"],
        ),
        hide_index=True,
        row_height=70,
        height=460,
        column_config={
            "number": st.column_config.NumberColumn("#", width=50),
            "prompt": st.column_config.TextColumn(t("ui.prediction_prompt")),
            "label": st.column_config.TextColumn(t("ui.prediction_label")),
            "predict": st.column_config.TextColumn(t("ui.prediction_predict")),
        },
    )


def reader(view: RunView) -> Predictions:
    """This session's reader of the shown run's predictions."""
    held = st.session_state.get("eval.reader")
    if not isinstance(held, Predictions) or held.path != view.path / PREDICTIONS:
        held = Predictions(view.path / PREDICTIONS)
        st.session_state["eval.reader"] = held
        st.session_state[NUMBER] = 1
    return held
