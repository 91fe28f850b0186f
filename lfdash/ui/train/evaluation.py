"""The predictions of an evaluation, searchable and page by page."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from functools import partial

import pandas as pd
import streamlit as st

from lfdash.runs.predictions import PREDICTIONS, Prediction, Predictions, Search
from lfdash.runs.view import RunView
from lfdash.ui.shared import dialogs
from lfdash.ui.shared.text import t

PAGE = 20  # rows a page
SEARCH_S = 0.15  # seconds that a search may take before what it has found so far is shown
PROMPT, LABEL = 300, 230  # px; the answer has what is left, beside the label
LOOK_S = 0.4  # seconds between two looks of a search that is not through
FIND, NUMBER = "eval.find", "eval.page"


def draw_predictions(view: RunView, redact: Callable[[str], str]) -> None:
    """Prompt, label and answer of each row; the file is read page by page, and searched a stretch at a time."""
    rows = reader(view)
    if not rows.count():
        st.caption(t("ui.predictions_none"))
        return
    find, download = st.columns([5, 1.4], vertical_alignment="bottom")
    wanted = find.text_input(
        t("ui.predictions_find"), key=FIND, type="search", placeholder=t("ui.predictions_find"),
        label_visibility="collapsed", icon=":material/search:", live=True,
    )
    download.download_button(
        t("ui.predictions_csv"), partial(csv_file, view, redact), file_name=f"{view.name}-predictions.csv",
        mime="text/csv", key="eval.csv", on_click="ignore", icon=":material/download:", width="stretch",
    )
    search = searched(rows, wanted) if wanted else None
    going_on = search is not None and not search.done
    draw = partial(draw_found, rows, search, redact, going_on)
    st.fragment(draw, run_every=LOOK_S if going_on else None)()


def draw_found(rows: Predictions, search: Search | None, redact: Callable[[str], str], going_on: bool) -> None:
    """A page of the rows, or of those that a search has found so far; once it is through, the page rests."""
    if search is not None and going_on:
        look(search)
        if search.done and not dialogs.is_open():
            st.rerun()
    total = len(rows) if search is None else len(search.hits)
    words, number = st.columns([5, 1.4], vertical_alignment="center")
    with number:
        chosen = number_of(max(1, -(-total // PAGE)))
    begin = (chosen - 1) * PAGE
    shown = rows.page(begin, PAGE) if search is None else rows.at(search.hits[begin : begin + PAGE])
    first = min(begin + 1, total)
    told = t("ui.predictions_no_match")
    if total:
        told = t("ui.predictions_count", first=first, last=begin + len(shown), total=total)
    if search is not None and not search.done:
        told = t("ui.predictions_so_far", told=told, share=f"{search.looked / len(rows):.0%}")
    words.caption(told)
    draw_rows(shown, redact)


def number_of(pages: int) -> int:
    """The page to show, of so many."""
    chosen = st.selectbox(t("ui.predictions_page"), range(1, pages + 1), key=NUMBER, label_visibility="collapsed")
    return int(chosen or 1)


def draw_rows(shown: Sequence[Prediction], redact: Callable[[str], str]) -> None:
    """Rows as a table."""
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
            "prompt": st.column_config.TextColumn(t("ui.prediction_prompt"), width=PROMPT),
            "label": st.column_config.TextColumn(t("ui.prediction_label"), width=LABEL),
            "predict": st.column_config.TextColumn(t("ui.prediction_predict")),
        },
    )


def csv_file(view: RunView, redact: Callable[[str], str]) -> io.BytesIO:
    """All rows as CSV, made when somebody wants them."""
    file = io.BytesIO()
    for line in Predictions(view.path / PREDICTIONS).csv():
        file.write(redact(line).encode())
    file.seek(0)
    return file


def searched(rows: Predictions, text: str) -> Search:
    """This session's search for a text; a new one has looked as far as it came at once."""
    held = st.session_state.get("eval.search")
    if not isinstance(held, Search) or held.rows is not rows or held.text != text:
        held = Search(rows, text)
        st.session_state["eval.search"] = held
        look(held)
    return held


def look(search: Search) -> None:
    """Searches on for as long as a key may take."""
    end = time.monotonic() + SEARCH_S
    search.go_on(lambda: time.monotonic() >= end)


def reader(view: RunView) -> Predictions:
    """This session's reader of the shown run's predictions."""
    held = st.session_state.get("eval.reader")
    if not isinstance(held, Predictions) or held.path != view.path / PREDICTIONS:
        held = Predictions(view.path / PREDICTIONS)
        st.session_state["eval.reader"] = held
        st.session_state[NUMBER] = 1
    return held
