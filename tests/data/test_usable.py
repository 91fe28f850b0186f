"""How many rows of a dataset are usable, by whatever entry; the rules for rows are compared with LLaMA-Factory's own in
tests/llamafactory/test_converting.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lfdash.data import rows as reader
from lfdash.data.files import data_files
from lfdash.data.usable import LeftOut, Usable, check, check_path
from lfdash.locales import available, in_language, problem_in

QA = {"instruction": "q", "output": "a"}
COLUMNS = {"columns": {"prompt": "instruction", "response": "output"}}
OPENAI = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
          "system_tag": "system"}
Q, A, S = ({"role": role, "content": "x"} for role in ("user", "assistant", "system"))


def written(folder: Path, rows: list[Any], name: str = "a.json") -> Path:
    path = folder / name
    path.write_text("\n".join(map(json.dumps, rows)) if name.endswith("l") else json.dumps(rows), encoding="utf-8")
    return path


def chat(**more: Any) -> dict[str, Any]:
    return {"formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": OPENAI, **more}


def codes(found: Usable) -> list[str]:
    """Its problems; every one has a text in every language."""
    assert all(problem_in(code, problem) for problem in found.problems for code in available())
    return [problem.code for problem in found.problems]


def test_system_turns_without_a_tag_are_left_out_and_named(tmp_path: Path) -> None:
    rows = [{"messages": [Q, A]}, {"messages": [S, Q, A]}] * 20
    old = chat(tags={tag: word for tag, word in OPENAI.items() if tag != "system_tag"})
    found = check_path(written(tmp_path, rows), "mine", old, "sft")
    assert (found.rows, found.usable) == (40, 20)
    assert found.left_out == (LeftOut("role_untagged", 20, tuple(range(2, 21, 2)), "system"),)
    (problem,) = found.problems
    assert (problem.code, problem.level) == ("data_left_out", "warning")
    assert "20 of 40 rows" in problem_in("en", problem)
    assert "role “system” has no tag in the entry (20 rows: 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, …)" in problem_in(
        "en", problem
    )
    assert check_path(tmp_path / "a.json", "mine", chat(), "sft") == Usable(40, 40)


ODD = {  # entries made by hand -> what is said of them
    "a key of another name": ({"format": "sharegpt", "columns": {"messages": "messages"}},
                              ["data_none_usable", "data_key_near", "data_unread"]),
    "no tags": ({"formatting": "sharegpt", "columns": {"messages": "messages"}}, ["data_no_turn_key"]),
    "a column that is not there": ({"formatting": "sharegpt", "columns": {"messages": "turns"}, "tags": OPENAI},
                                   ["data_no_column"]),
    "an unknown formatting": (chat(formatting="chatml"), ["data_formatting"]),
    "tags without the keys": (chat(tags={"user_tag": "user"}), ["data_entry_lacks", "data_entry_lacks"]),
    "ranking without a pair": (chat(ranking=True), ["data_entry_lacks", "data_entry_lacks", "dataset_ranked"]),
    "a role of another name": (chat(columns={"conversation": "messages"}), ["data_key_near", "data_entry_lacks"]),
    "an unknown key": (chat(colour="red"), ["data_key"]),
    "an unknown tag": (chat(tags={**OPENAI, "tool_tag": "tool"}), ["data_key_near"]),
    "a wrong word": (chat(tags={**OPENAI, "user_tag": "human"}), ["data_none_usable"]),
    "an unknown word for openai": (chat(formatting="openai", tags={**OPENAI, "user_tag": "human"}), ["data_stops"]),
}


@pytest.mark.parametrize("case", ODD)
def test_what_is_wrong_with_an_entry_is_told(tmp_path: Path, case: str) -> None:
    entry, wanted = ODD[case]
    found = check_path(written(tmp_path, [{"messages": [Q, A]}] * 3), "mine", entry, "sft")
    assert codes(found) == wanted and found.rows == 3
    assert found.usable == (0 if found.fails else 3)
    keys = [problem.params.get("near") for problem in found.problems if problem.code == "data_key_near"]
    assert keys in ([], ["formatting"], ["columns.messages"], ["tags.observation_tag"])


def test_data_of_another_stage_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [QA])
    assert codes(check_path(path, "x", COLUMNS, "dpo")) == ["dataset_unranked"]
    pair = {"ranking": True, "columns": {"prompt": "instruction", "chosen": "output", "rejected": "output"}}
    assert codes(check_path(path, "x", pair, "sft")) == ["dataset_ranked"]
    assert check_path(path, "x", pair, "rm") == Usable(1, 1)


@pytest.mark.parametrize(
    ("row", "stage", "reason"),
    [
        ({**QA, "label": True}, "kto", None), ({**QA, "label": "true"}, "kto", "no_mark"),
        ({**QA, "label": True}, "sft", "two_answers"),
        ({"instruction": "q", "chosen": "a", "rejected": "b"}, "dpo", None),
        ({"instruction": "q", "chosen": "a", "rejected": None}, "rm", "no_pair"), (QA, "kto", "no_mark"),
        ({"instruction": "q"}, "ppo", None), ({"text": "a"}, "pt", None),
    ],
)
def test_what_a_stage_takes(tmp_path: Path, row: dict[str, Any], stage: str, reason: str | None) -> None:
    names = {"instruction": "prompt", "text": "prompt", "output": "response", "label": "kto_tag", "chosen": "chosen",
             "rejected": "rejected"}
    entry: dict[str, Any] = {"columns": {names[name]: name for name in row}, "ranking": "chosen" in row}
    found = check_path(written(tmp_path, [row, row]), "x", entry, stage)
    assert [(part.reason, part.count) for part in found.left_out] == ([(reason, 2)] if reason else [])
    assert found.usable == (0 if reason else 2) and codes(found) == (["data_none_usable"] if reason else [])


@pytest.mark.parametrize(
    ("rows", "code", "told"),
    [
        ([QA, {**QA, "output": 3}], "data_types", {"column": "output", "row": 2, "first": "text", "second": "number"}),
        ([{**QA, "more": [{"a": 1}]}, {**QA, "more": [{"a": "x"}]}], "data_types", {"column": "more.[].a", "row": 2}),
        ([{"instruction": 3, "output": "a"}], "data_stops", {}), ([], "data_empty", {"file": "a.json"}),
        ([{"instruction": "q"}], "data_no_column", {"column": "output"}),
    ],
)
def test_what_ends_llamafactory_is_an_error(tmp_path: Path, rows: list[Any], code: str, told: dict[str, Any]) -> None:
    found = check_path(written(tmp_path, rows), "x", COLUMNS, "sft")
    assert codes(found) == [code] and (found.rows, found.usable) == (len(rows), 0)
    assert told.items() <= found.problems[0].params.items()


def test_history_that_is_passed_over_is_told(tmp_path: Path) -> None:
    entry = {"columns": {**COLUMNS["columns"], "history": "before"}}
    found = check_path(written(tmp_path, [{**QA, "before": "q: a"}]), "x", entry, "sft")
    assert (found.usable, codes(found)) == (1, ["data_history"])
    assert codes(check_path(written(tmp_path, [{**QA, "before": [["q", "a"]]}]), "x", entry, "sft")) == []


def test_numbers_of_both_kinds_are_one_type(tmp_path: Path) -> None:
    assert check_path(written(tmp_path, [{**QA, "n": 1}, {**QA, "n": 1.5}, QA]), "x", COLUMNS, "sft") == Usable(3, 3)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_what_comes_late_in_a_large_file_of_lines_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """LLaMA-Factory's loader takes the types of the first piece for all (seen with files of 12 MB)."""
    monkeypatch.setattr(reader, "JSON_BATCH", 100)
    rows = [*[QA] * 9, {**QA, "system": "s"}, QA]
    found = check_path(written(tmp_path, rows, name), "x", COLUMNS, "sft")
    if name == "a.json":  # a list is read as a whole
        assert found == Usable(11, 11)
        return
    assert codes(found) == ["data_late"] and found.problems[0].params["row"] == 10
    written(tmp_path, [{**QA, "system": "s"}, *rows], name)
    assert check_path(tmp_path / name, "x", COLUMNS, "sft") == Usable(12, 12)


def test_only_rows_within_the_limit_count(tmp_path: Path) -> None:
    path = written(tmp_path, [QA, {"instruction": "q"}, QA, {"instruction": 3}], "a.jsonl")
    path.write_text(path.read_text().replace("3}", "\"q\"}"))
    assert check_path(path, "x", COLUMNS, "sft").usable == 2
    assert check_path(path, "x", COLUMNS, "sft", 1) == Usable(4, 1)
    found = check_path(path, "x", COLUMNS, "sft", 2)
    assert (found.rows, found.usable, found.problems[0].params["rows"]) == (4, 1, 2)


def test_an_entry_that_takes_a_part_is_not_counted(tmp_path: Path) -> None:
    path = written(tmp_path, [QA, QA, {"instruction": "q"}])
    assert check_path(path, "x", {**COLUMNS, "num_samples": 1}, "sft").usable is None
    assert check_path(written(tmp_path, [QA, QA]), "x", {**COLUMNS, "num_samples": 7}, "sft").usable == 7
    assert check_path(path, "x", {**COLUMNS, "split": "train[:1]"}, "sft").usable is None


def test_parquet_in_several_batches(tmp_path: Path) -> None:
    answers = [None if number % 100 == 0 else "a" for number in range(600)]
    pq.write_table(pa.table({"instruction": ["q"] * 600, "output": answers}), tmp_path / "a.parquet")
    found = check_path(tmp_path / "a.parquet", "x", COLUMNS, "sft")
    assert (found.rows, found.usable, found.left_out[0].rows) == (600, 594, (1, 101, 201, 301, 401, 501))


def test_a_folder_is_all_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    written(tmp_path / "d", [QA, {"instruction": "q"}], "a.json")
    written(tmp_path / "d", [{"instruction": "q", "output": None}, QA], "b.jsonl")
    found = check_path(tmp_path / "d", "x", COLUMNS, "sft")
    assert (found.rows, found.usable, found.left_out[0].rows) == (4, 2, (2, 3))
    (tmp_path / "d" / "readme.md").write_text("x")
    assert codes(check_path(tmp_path / "d", "x", COLUMNS, "sft")) == ["data_folder_mixed"]
    assert codes(check_path(tmp_path / "gone", "x", COLUMNS, "sft")) == ["data_no_preview"]
    assert codes(check_path(tmp_path / "gone.json", "x", COLUMNS, "sft")) == ["data_missing"]


def test_a_look_can_be_stopped_and_says_how_far_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, [QA] * 2000)
    told: list[tuple[int, int]] = []

    def tell(taken: int, size: int) -> bool:
        told.append((taken, size))
        return len(told) < 3

    assert check(data_files(path), "x", COLUMNS, "sft", told=tell) is None
    assert len(told) == 3 and all(0 < taken <= size == path.stat().st_size for taken, size in told)


def test_a_row_that_kto_cannot_compare_with_is_told(tmp_path: Path) -> None:
    row = {**QA, "label": True}
    entry = {"columns": {**COLUMNS["columns"], "kto_tag": "label"}}
    path = written(tmp_path, [row, {"instruction": "q", "output": None, "label": None}, row])
    found = check_path(path, "x", entry, "kto")
    assert codes(found) == ["data_stops"] and found.problems[0].params["left_out"][0].reason == "kto_neighbour"


def test_every_kind_of_row_that_ends_llamafactory_is_named_at_once(tmp_path: Path) -> None:
    def turns(*roles: str) -> dict[str, Any]:
        return {"messages": [{"role": role, "content": "x"} for role in roles]}

    rows = [turns("user", "assistant"), turns("developer", "user", "assistant"), turns("user", "function")]
    entry = chat(formatting="openai", tags=OPENAI)
    found = check_path(written(tmp_path, [*rows, rows[1]]), "x", entry, "sft")
    (problem,) = found.problems
    assert problem.code == "data_stops"
    assert {(part.what, part.count, part.rows) for part in problem.params["left_out"]} >= {("developer", 2, (2, 4))}
    assert len(problem.params["left_out"]) == 2


def test_every_reason_has_a_text() -> None:
    source = (Path(reader.__file__).parent / "converting.py").read_text()
    named = {word.split('"')[1] for word in source.replace("Stop(", "Verdict(").split("Verdict(")[1:] if word[0] == '"'}
    named |= {"system_later", "turn_order", "ends_with_answer", "ends_with_question", "no_mark", "no_pair"}
    assert len(named) > 15
    assert all(in_language(code, f"left.{name}", what="x") for name in named for code in available())
