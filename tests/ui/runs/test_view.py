"""The columns of the runs table: those that differ by themselves, others as they were chosen, kept for a person."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.ui.runs import filters, view
from tests.support import app as pages
from tests.support.many import add_run
from tests.support.runs_page import names, opened, press, visit


@pytest.fixture
def sweep(services: Services) -> Services:
    """Four runs over two learning rates and two ranks, with results; the newest first."""
    for number in range(4):
        args = {"learning_rate": (1e-5, 2e-4)[number % 2], "lora_rank": (8, 16)[number // 2], "seed": 42}
        paths = add_run(services.workspace.root, f"s{number}", age=4000.0 + number, args=args)
        paths.all_results.write_text(json.dumps({"predict_rouge-1": 30.5 + number}))
    services.registry.refresh()
    services.registry.summaries.step(services.registry.snapshot(), budget=60)
    return services


def shown(app: AppTest) -> list[str]:
    return list(app.dataframe[0].proto.column_order)


def test_what_differs_among_the_runs_shown_is_a_column_by_itself(sweep: Services) -> None:
    app = visit()
    table = app.dataframe[0].value
    assert shown(app)[:9] == [  # the losses first: they are seen however many arguments differ
        "name", "state", "progress", "spark", "best_eval", "best", "last", "arg.learning_rate", "arg.lora_rank",
    ]
    assert list(table["arg.learning_rate"]) == [1e-5, 2e-4, 1e-5, 2e-4] and "arg.seed" not in table
    assert list(table["dataset"]) == ["demo_sft"] * 4
    app.text_input(key=filters.FIND).set_value("lora_rank>8")
    app = pages.good(app.run())
    assert names(app) == ["s2", "s3"] and "arg.lora_rank" not in shown(app) and "arg.learning_rate" in shown(app)


def test_columns_are_chosen_ordered_and_kept(sweep: Services, tmp_path: Path) -> None:
    app = opened(visit(), "view")
    wanted = ["score.predict_rouge-1", "arg.seed", view.DIFFERING, "note"]
    pages.widget(app, "multiselect", view.CHOSEN).set_value(wanted)
    app = pages.good(app.run())
    assert shown(app) == [
        "name", "score.predict_rouge-1", "arg.seed", "arg.learning_rate", "arg.lora_rank", "note",
    ]
    assert list(app.dataframe[0].value["score.predict_rouge-1"]) == [30.5, 31.5, 32.5, 33.5]
    assert json.loads((sweep.workspace.private / "columns.json").read_text()) == {"columns": wanted}
    again = visit()
    assert shown(again) == shown(app)
    again = press(opened(again, "view"), "runs_columns_usual")
    assert shown(again)[1] == "state" and shown(visit())[1] == "state"


@pytest.mark.parametrize("kept", ['{"columns": ["gone", 5, "state", "state"]}', '{"columns": "x"}', "[]", "broken",
    "{}"])
def test_what_was_kept_may_be_anything(sweep: Services, kept: str) -> None:
    (sweep.workspace.private / "columns.json").write_text(kept)
    columns = shown(visit())
    assert columns[:2] == ["name", "state"] and len(columns) == len(set(columns))


def test_the_best_of_those_that_are_shown_is_marked(sweep: Services) -> None:
    app = visit()
    table = app.dataframe[0].value
    marked = [name for name, states in zip(table["name"], table["state"], strict=True) if "best" in states]
    assert marked == [table["name"][table["best_eval"].idxmin()]]
    app.text_input(key=filters.FIND).set_value(f"name!={marked[0]}")
    app = pages.good(app.run())
    table = app.dataframe[0].value
    again = [name for name, states in zip(table["name"], table["state"], strict=True) if "best" in states]
    assert again == [table["name"][table["best_eval"].idxmin()]] != marked
