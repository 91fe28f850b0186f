"""What LLaMA-Factory would make of a file: counted where the rules are certain, None where they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lfdash.data.report import DatasetReport, LeftOut, report_entry, report_file
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
    assert report == DatasetReport(
        "alpaca", {"file_name": name, "columns": {"prompt": "instruction", "response": "output"}}, 5, 3,
        (LeftOut("no_response", 2, (2, 3)),),
    )


def test_ten_rows_are_named_and_all_are_counted(tmp_path: Path) -> None:
    (left_out,) = report_file(written(tmp_path, [QA, *[{"instruction": "q"}] * 25])).left_out
    assert (left_out.count, left_out.rows) == (25, tuple(range(2, 12)))


def test_parquet_in_several_batches(tmp_path: Path) -> None:
    answers = [None if number % 100 == 0 else "a" for number in range(600)]
    pq.write_table(pa.table({"instruction": ["q"] * 600, "output": answers}), tmp_path / "a.parquet")
    report = report_file(tmp_path / "a.parquet")
    assert (report.rows, report.usable, report.left_out[0].rows) == (600, 594, (1, 101, 201, 301, 401, 501))


@pytest.mark.parametrize(
    ("row", "stage", "reason"),
    [
        ({"instruction": "q", "output": "a", "label": True}, "kto", None),
        ({"instruction": "q", "output": "a", "label": "true"}, "kto", "no_mark"),
        ({"instruction": "q", "output": "a", "label": True}, "sft", "two_answers"),
        ({"instruction": "q", "chosen": "a", "rejected": "b"}, "dpo", None),
        ({"instruction": "q", "chosen": "a", "rejected": None}, "rm", "no_pair"),
        ({"instruction": "q", "output": "a"}, "kto", "no_mark"),
        ({"instruction": "q"}, "ppo", None),
        ({"text": "a"}, "pt", None),
        ({"text": "a"}, "", None),
        ({"instruction": "q", "output": "a", "label": False}, "", None),
    ],
)
def test_what_a_stage_takes(tmp_path: Path, row: dict[str, Any], stage: str, reason: str | None) -> None:
    found = {"file_name": "a.json", "columns": {"prompt": "text" if "text" in row else "instruction"}}
    found["columns"] |= {role: role for role in ("chosen", "rejected") if role in row}
    found["columns"] |= {"response": "output"} if "output" in row else {}
    found["columns"] |= {"kto_tag": "label"} if "label" in row else {}
    found |= {"ranking": True} if "chosen" in row else {}
    report = report_entry(written(tmp_path, [row, row]), "x", found, stage)
    assert report.problems == ()
    assert [(part.reason, part.count) for part in report.left_out] == ([(reason, 2)] if reason else [])
    assert report.usable == (0 if reason else 2)


def test_data_of_another_stage_is_refused_as_a_whole(tmp_path: Path) -> None:
    path = written(tmp_path, [QA, QA])
    report = report_file(path, "dpo")
    assert [problem.code for problem in report.problems] == ["dataset_unranked"]
    assert (report.usable, report.left_out) == (0, (LeftOut("stage", 2, (1, 2)),))
    ranked = {"file_name": "a.json", "ranking": True, "columns": {"prompt": "instruction", "chosen": "output"}}
    assert [problem.code for problem in report_entry(path, "x", ranked, "sft").problems] == ["dataset_ranked"]


@pytest.mark.parametrize(
    "rows",
    [
        [{"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}],  # turns
        [QA, {**QA, "output": 3}],  # the loader refuses a column of two types, or makes one of them
        [{"instruction": 3, "output": "a"}],
    ],
)
def test_what_is_not_certain_is_not_counted(tmp_path: Path, rows: list[Any]) -> None:
    report = report_file(written(tmp_path, rows))
    assert report.format in ("alpaca", "sharegpt") and report.entry is not None
    assert (report.rows, report.usable, report.left_out) == (len(rows), None, ())


def test_values_of_a_csv_file_have_no_types(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("instruction,output\nq,1\nq,2\n")
    report = report_file(tmp_path / "a.csv")
    assert (report.format, report.rows, report.usable) == ("alpaca", 2, None)


def test_an_entry_that_takes_a_part_is_not_counted(tmp_path: Path) -> None:
    found = {"file_name": "a.json", "columns": {"prompt": "instruction", "response": "output"}, "num_samples": 1}
    assert report_entry(written(tmp_path, [QA, QA]), "x", found).usable is None


def test_a_column_that_no_row_has_is_a_problem(tmp_path: Path) -> None:
    """LLaMA-Factory's own default names `input`, and ends with a KeyError where the file has none."""
    report = report_entry(written(tmp_path, [QA]), "x", {"file_name": "a.json"})
    assert [(p.code, p.params["column"]) for p in report.problems] == [("data_no_column", "input")]
    assert (report.format, report.rows, report.usable) == ("alpaca", 1, None)


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


def test_a_dataset_of_a_hub_has_no_rows_here() -> None:
    report = report_entry(None, "x", {"hf_hub_url": "a/b", "ranking": True}, "sft")
    assert (report.format, report.rows, report.usable) == ("pairs", None, None)
    assert [problem.code for problem in report.problems] == ["dataset_ranked"]
    assert all(problem_in(code, problem) for problem in report.problems for code in available())


def test_the_demos_own_data(tmp_path: Path) -> None:
    demo.make_data(tmp_path)
    entries = json.loads((tmp_path / "dataset_info.json").read_text())
    found = {name: report_entry(tmp_path / one["file_name"], name, one) for name, one in entries.items()}
    assert {name: (report.format, report.rows, report.usable, report.problems) for name, report in found.items()} == {
        "demo_sft": ("alpaca", 600, 600, ()), "demo_chat": ("sharegpt", 200, None, ()),
        "demo_pairs": ("chat_pairs", 200, None, ()), "demo_kto": ("chat_kto", 200, None, ()),
        "demo_pt": ("text", 150, 150, ()),
    }
