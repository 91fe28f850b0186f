"""Scores of an evaluation, and the tracker's link."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from lfdash.runs.paths import RunPaths
from lfdash.runs.results import experiment_link, read_scores


def test_scores_come_from_the_first_result_file(tmp_path: Path) -> None:
    assert read_scores(tmp_path) == {}
    (tmp_path / "predict_results.json").write_text('{"predict_rouge-1": 12.5, "predict_bleu-4": NaN, "text": "x"}')
    assert list(read_scores(tmp_path)) == ["predict_bleu-4", "predict_rouge-1"]
    (tmp_path / "all_results.json").write_text("{broken")
    assert read_scores(tmp_path)["predict_rouge-1"] == 12.5
    (tmp_path / "all_results.json").write_text('{"eval_loss": 1}')
    assert read_scores(tmp_path) == {"eval_loss": 1}


def test_numbers_and_names_that_cannot_be_shown(tmp_path: Path) -> None:
    (tmp_path / "all_results.json").write_text('{"a": ' + "9" * 400 + ', "\\ud800": 1}')
    found = read_scores(tmp_path)
    assert math.isnan(found["a"]) and found["\\ud800"] == 1.0


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"cloud": {"experiment_url": ' + "9" * 5000 + "}}", '{"cloud": []}', "[]", "\0", ""]
)
def test_spoiled_files_have_no_scores_and_no_link(tmp_path: Path, text: str) -> None:
    paths = RunPaths(tmp_path)
    for path in (tmp_path / "all_results.json", paths.swanlab):
        path.write_text(text)
    assert read_scores(tmp_path) == {} and experiment_link(paths) is None
