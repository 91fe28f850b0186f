"""The predictions of an evaluation: page by page, searched, without secrets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.runs import predictions
from lfdash.runs.predictions import PREDICTIONS
from lfdash.ui.shared.text import t
from lfdash.ui.train import evaluation
from tests.support import app as pages


@dataclass(frozen=True)
class Shown:
    """As much of a run as the results need."""

    path: Path
    name: str = "scored"


def results_page() -> None:
    import streamlit as st

    from lfdash.ui.train import evaluation

    view = st.session_state["view"]
    evaluation.draw_predictions(view, lambda text: text.replace("TOKEN", "***"))


def visit(folder: Path) -> AppTest:
    app = AppTest.from_function(results_page)
    app.session_state["view"] = Shown(folder)
    return pages.good(app.run())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"prompt": f"ask {n}", "label": "say", "predict": "odd TOKEN" if n == 27 else "hello"} for n in range(30)]
    (tmp_path / PREDICTIONS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_the_first_page_of_predictions(folder: Path) -> None:
    (rows,) = [item.value for item in visit(folder).dataframe]
    assert list(rows["prompt"]) == [f"ask {n}" for n in range(evaluation.PAGE)]


def test_the_last_page_and_a_search_show_the_rest_without_secrets(folder: Path) -> None:
    app = visit(folder)
    app.selectbox(key=evaluation.NUMBER).set_value(2)
    rows = pages.good(app.run()).dataframe[0].value
    assert list(rows["prompt"]) == [f"ask {n}" for n in range(20, 30)] and "odd ***" in list(rows["predict"])
    assert t("ui.predictions_count", first=21, last=30, total=30) in [item.value for item in app.caption]
    app.selectbox(key=evaluation.NUMBER).set_value(1)
    app.text_input(key=evaluation.FIND).set_value("ODD")
    assert list(pages.good(app.run()).dataframe[0].value["prompt"]) == ["ask 27"]
    app.text_input(key=evaluation.FIND).set_value("nowhere")
    assert t("ui.predictions_no_match") in [item.value for item in pages.good(app.run()).caption]


def test_a_search_that_takes_long_shows_what_it_has_and_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictions, "CHUNK", 300)
    monkeypatch.setattr(evaluation, "SEARCH_S", 0.0)
    looks = pages.looks(monkeypatch)
    app = visit(folder)
    app.text_input(key=evaluation.FIND).set_value("ask")
    looked = []
    for _ in range(30):  # as the browser does while it is not through
        pages.good(app.run())
        told = next(item.value for item in app.caption if " of " in item.value)
        looked.append(len(app.session_state["eval.search"].hits))
        if "so far" not in told:
            break
        assert told.endswith("searched…") and len(app.dataframe[0].value) == min(looked[-1], evaluation.PAGE)
    assert looked == sorted(set(looked)) and len(looked) > 2
    assert set(looks[1:-1]) == {evaluation.LOOK_S} and looks[0] is looks[-1] is None
    assert told == t("ui.predictions_count", first=1, last=20, total=30)


def test_what_is_downloaded_holds_no_secrets(folder: Path) -> None:
    view: Any = Shown(folder)
    text = evaluation.csv_file(view, lambda text: text.replace("TOKEN", "***")).read().decode()
    assert len(text.splitlines()) == 31 and "odd ***" in text and "TOKEN" not in text


def test_without_results_it_says_so(tmp_path: Path) -> None:
    said = [item.value for item in visit(tmp_path).caption]
    assert said == [t("ui.predictions_none")]


def test_a_prediction_that_was_copied_is_shown_with_its_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pages.with_fake_runs(tmp_path / "workspace", monkeypatch) as services:
        folder = services.workspace.root / "saves" / "m" / "lora" / "copied"
        folder.mkdir(parents=True)
        (folder / "trainer_log.jsonl").write_text('{"current_steps": 5, "total_steps": 5}\n')
        (folder / PREDICTIONS).write_text('{"prompt": "p", "predict": "a", "label": "l"}\n')
        (folder / "predict_results.json").write_text('{"predict_bleu-4": 2.22}')
        services.registry.refresh()
        (view,) = services.registry.snapshot()
        app = pages.start()
        app.query_params["run"] = view.run_id
        app.switch_page("pages/evaluate.py")
        shown = pages.good(app.run())
        (scores,) = shown.dataframe
        assert list(scores.value["value"]) == [2.22]
