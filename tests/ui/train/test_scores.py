"""The results of an evaluation: what was evaluated, the scores in words, the timings apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.demo.__main__ import make_data
from lfdash.engine.services import Services
from lfdash.runs.results import WORDS, metric_of, metrics
from lfdash.ui.shared.text import t
from tests.support import app as pages
from tests.support.many import add_run

# as `llamafactory-cli train` 0.9.5 writes it for do_predict with predict_with_generate
WRITTEN = {
    "predict_bleu-4": 61.2, "predict_model_preparation_time": 0.002, "predict_rouge-1": 70.5, "predict_rouge-2": 60.0,
    "predict_rouge-l": 69.0, "predict_runtime": 12.5, "predict_samples_per_second": 4.0,
    "predict_steps_per_second": 2.0, "predict_new": 1.0,
}
ARGS = {
    "adapter_name_or_path": "saves/demo-llama/lora/taught", "eval_dataset": "demo_sft", "max_samples": 50,
    "dataset_dir": "data",
}


@pytest.fixture
def services(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    with pages.with_fake_runs(workspace, monkeypatch) as found:
        yield found


def visit(services: Services, written: dict[str, float], args: dict[str, Any]) -> AppTest:
    """Evaluate, where an evaluation of the run *taught* is over."""
    make_data(services.workspace.data)
    add_run(services.workspace.root, "taught", age=90)
    paths = add_run(services.workspace.root, "scored", kind="eval", args=args)
    (paths.root / "all_results.json").write_text(json.dumps(written))
    services.registry.refresh()
    return pages.good(pages.start().switch_page("pages/evaluate.py").run())


def test_results_name_model_adapter_data_and_metrics_and_keep_timings_apart(services: Services) -> None:
    app = visit(services, WRITTEN, ARGS)
    scores, timings = [item.value for item in app.dataframe]
    assert list(scores["word"]) == ["BLEU-4", "ROUGE-1", "ROUGE-2", "ROUGE-L", "predict_new"]
    assert scores.iloc[0]["name"] == "predict_bleu-4" and scores.iloc[0]["value"] == 61.2
    assert scores.iloc[0]["meaning"] == t("ui.metric_bleu_4_help") and scores.iloc[-1]["meaning"] == ""
    assert list(timings["word"]) == [
        t(f"ui.metric_{word}")
        for word in ("runtime", "samples_per_second", "steps_per_second", "model_preparation_time")
    ]
    what = t("ui.source_adapter", adapter="**taught**", model="**models/demo-llama**")
    said = t("ui.results_of", what=what, target="**demo\\_sft**", rows=t("ui.source_rows", count=50))
    assert said in [item.value for item in app.markdown]


def test_of_a_run_without_settings_it_is_said_that_they_are_not_known(services: Services) -> None:
    app = visit(services, {"eval_loss": 1.0}, {})
    view = services.registry.get("id-scored")
    assert view is not None
    view.paths.training_args.unlink()
    app = pages.good(app.run())
    assert t("ui.results_unknown") in [item.value for item in app.markdown]
    assert [item.value["word"][0] for item in app.dataframe] == [t("ui.metric_loss")]


def test_every_metric_has_its_words() -> None:
    for word, timing in WORDS.items():
        assert t(f"ui.metric_{word}") and (timing or t(f"ui.metric_{word}_help"))
    assert metric_of("eval_accuracy", 0.5).word == "accuracy" and metric_of("train_loss", 1.0).word == "loss"
    assert metric_of("total_flos", 1.0).timing and metric_of("eval_custom_runtime", 1.0).timing
    assert [one.name for one in metrics({"z": 1.0, "eval_loss": 2.0})] == ["eval_loss", "z"]


def test_without_results_it_says_so(services: Services) -> None:
    assert t("ui.scores_none") in [item.value for item in visit(services, {}, ARGS).caption]
