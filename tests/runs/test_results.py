"""Scores and predictions of an evaluation."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from lfdash.runs.results import Predictions, read_scores


def line(n: int, answer: str = "") -> str:
    return json.dumps({"prompt": f"Question {n}", "predict": answer or f"guess {n}", "label": f"truth {n}"}) + "\n"


def test_scores_come_from_the_first_result_file(tmp_path: Path) -> None:
    assert read_scores(tmp_path) == {}
    (tmp_path / "predict_results.json").write_text('{"predict_rouge-1": 12.5, "predict_bleu-4": NaN, "text": "x"}')
    assert list(read_scores(tmp_path)) == ["predict_bleu-4", "predict_rouge-1"]
    (tmp_path / "all_results.json").write_text("{broken")
    assert read_scores(tmp_path)["predict_rouge-1"] == 12.5
    (tmp_path / "all_results.json").write_text('{"eval_loss": 1}')
    assert read_scores(tmp_path) == {"eval_loss": 1}


def test_pages_of_a_file_that_grows(tmp_path: Path) -> None:
    path = tmp_path / "generated_predictions.jsonl"
    rows = Predictions(path)
    assert (rows.count(), rows.page(0, 10)) == (0, [])
    path.write_text("".join(line(n) for n in range(25)))
    assert rows.count() == 25
    assert [row.number for row in rows.page(20, 10)] == [21, 22, 23, 24, 25]
    assert rows.page(3, 1)[0].label == "truth 3"
    with path.open("a") as file:
        file.write(line(25) + '{"prompt": "half')
    assert rows.count() == 26
    assert rows.page(25, 5)[0].prompt == "Question 25"
    path.write_text(line(7))  # replaced by a shorter one
    assert rows.count() == 1
    assert rows.page(0, 5)[0].prompt == "Question 7"


def test_search_looks_into_every_column(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("".join(line(n, "Zürich" if n % 10 == 0 else "") for n in range(100)) + "not json\n")
    rows = Predictions(path)
    hits, total = rows.search("zÜRICH", 2, 3)
    assert total == 10
    assert [row.number for row in hits] == [21, 31, 41]
    assert rows.search("nothing", 0, 5) == ([], 0)
    assert rows.search("not json", 0, 5)[0][0].prompt == "not json"


def test_csv_is_whole_and_harmless(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(line(1, '=cmd("x")') + line(2, 'two\nlines, "quoted"'))
    table = list(csv.reader(io.StringIO(Predictions(path).to_csv())))
    assert table[0] == ["prompt", "label", "predict"]
    assert table[1][2] == '\'=cmd("x")'
    assert table[2][2] == 'two\nlines, "quoted"'
