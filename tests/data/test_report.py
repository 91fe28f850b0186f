"""What LLaMA-Factory would make of a file: counted where the rules are certain, None where they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lfdash.data.report import report_entry, report_file
from lfdash.demo import __main__ as demo
from lfdash.locales import available, problem_in

QA = {"instruction": "q", "output": "a"}


def written(folder: Path, rows: list[Any], name: str = "a.json") -> Path:
    path = folder / name
    lines = name.endswith(".jsonl")
    path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_rows_without_an_answer_are_named(tmp_path: Path, name: str) -> None:
    rows = [QA, {"instruction": "q"}, {**QA, "output": None}, QA, {**QA, "instruction": None}]
    report = report_file(written(tmp_path, rows, name))
    made = {"file_name": name, "columns": {"prompt": "instruction", "response": "output"}}
    assert (report.format, report.entry, report.rows, report.usable) == ("alpaca", made, 5, 3)
    assert [(part.reason, part.rows) for part in report.left_out] == [("no_response", (2, 3))]
    assert [(problem.code, problem.level) for problem in report.problems] == [("data_left_out", "warning")]


def test_a_column_that_is_not_what_it_is_called_is_told(tmp_path: Path) -> None:
    row = {"prompt": "q", "completion": "a", "label": "true"}
    report = report_file(written(tmp_path, [row]))
    assert (report.format, report.usable, [p.code for p in report.problems]) == ("alpaca", 1, ["data_odd_mark"])
    pair = [{"role": "assistant", "content": "a"}]
    report = report_file(written(tmp_path, [{"prompt": "q", "chosen": pair, "rejected": pair}]))
    codes = ["data_no_format", "data_odd_pair"]
    assert report.problems[1].params["column"] == "chosen, rejected"
    assert (report.format, [p.code for p in report.problems]) == (None, codes)
    assert all(problem_in(code, problem) for problem in report.problems for code in available())


def test_values_of_a_csv_file_have_the_types_of_whole_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("instruction,output\nq,1\nq,2\n")
    assert [p.code for p in report_file(tmp_path / "a.csv").problems] == ["data_no_format", "data_odd"]
    (tmp_path / "a.csv").write_text("instruction,output\nq,1\nq,\nq,x\n")
    report = report_file(tmp_path / "a.csv")
    assert (report.format, report.rows, report.usable, report.left_out[0].rows) == ("alpaca", 3, 2, (2,))


def test_text_and_folders_of_it(tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    for number in range(2):
        (tmp_path / "books" / f"{number}.txt").write_text("one\n\ntwo\n")
    report = report_file(tmp_path / "books")
    made = {"file_name": "books", "columns": {"prompt": "text"}}
    assert (report.format, report.entry, report.rows, report.usable) == ("text", made, 6, 6)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    def codes(path: Path) -> list[tuple[str, Any]]:
        return [(problem.code, problem.params.get("line")) for problem in report_file(path).problems]

    assert codes(tmp_path / "gone.json") == [("data_missing", None)]
    late = tmp_path / "late.jsonl"
    late.write_text("\n".join([json.dumps(QA)] * 60) + "\n\n{\n")
    assert codes(late) == [("data_syntax", 62)], "the first fifty rows are not all"
    assert report_file(late).rows is None
    odd = report_file(written(tmp_path, [{"a": 1}]))
    assert ([p.code for p in odd.problems], odd.format, odd.entry, odd.rows) == (["data_no_format"], None, None, 1)
    gone = report_entry(tmp_path / "gone.json", "x", {"file_name": "gone.json"})
    assert ([p.code for p in gone.problems], gone.rows) == (["data_missing"], None)
    assert report_entry(tmp_path / "a.json", "x", {"formatting": "mine"}).format is None


def test_an_entry_that_names_nothing_that_is_read_is_no_plain_text(tmp_path: Path) -> None:
    """Each row would be an empty text: it is the entry that is wrong."""
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    path = written(tmp_path, [{"messages": turns}] * 2)
    report = report_entry(path, "x", {"format": "sharegpt", "columns": {"messages": "messages"}})
    assert (report.format, report.rows, report.usable) == ("alpaca", 2, 0)
    assert [problem.code for problem in report.problems] == ["data_none_usable", "data_key_near", "data_unread"]
    plain = report_entry(written(tmp_path, [{"a": "x"}]), "x", {"columns": {"prompt": "a"}})
    assert (plain.format, plain.usable, plain.problems) == ("text", 1, ())


def test_a_dataset_of_a_hub_has_no_rows_here() -> None:
    report = report_entry(None, "x", {"hf_hub_url": "a/b", "ranking": True}, "sft")
    assert (report.format, report.rows, report.usable) == ("pairs", None, None)
    assert [problem.code for problem in report.problems] == ["data_entry_lacks"] * 2 + ["dataset_ranked"]
    assert all(problem_in(code, problem) for problem in report.problems for code in available())


def test_the_demos_own_data(tmp_path: Path) -> None:
    demo.make_data(tmp_path)
    entries = json.loads((tmp_path / "dataset_info.json").read_text())
    found = {name: report_entry(tmp_path / one["file_name"], name, one) for name, one in entries.items()}
    assert {name: (report.format, report.rows, report.usable, report.problems) for name, report in found.items()} == {
        "demo_sft": ("alpaca", 600, 600, ()), "demo_chat": ("sharegpt", 200, 200, ()),
        "demo_pairs": ("chat_pairs", 200, 200, ()), "demo_kto": ("chat_kto", 200, 200, ()),
        "demo_pt": ("text", 150, 150, ()),
    }
