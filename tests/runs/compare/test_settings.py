"""The settings that differ: only those, given or not, whatever the values are; short, and yet told apart."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.jobs.environment import ArgumentType
from lfdash.runs.compare.settings import (
    OF_EACH_RUN,
    Cell,
    differing,
    equal,
    plain_text,
    shortened,
    to_csv,
    to_markdown,
)
from lfdash.runs.given import GivenArguments

NAMES = st.sampled_from(["learning_rate", "lora_rank", "dataset", "bf16", "my_own", "output_dir", "template"])
VALUES = st.one_of(
    st.booleans(), st.integers(0, 3), st.floats(0, 2, allow_nan=False), st.sampled_from(["a", "b", "1", "a,b"]),
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=2), st.none(),
)
ARGS = st.dictionaries(NAMES, VALUES)


def run(env: dict[str, str] | None = None, /, **args: Any) -> GivenArguments:
    return GivenArguments(args, env or {}, "file")


@given(st.lists(ARGS, min_size=2, max_size=4))
def test_what_differs_is_what_a_plain_look_finds(runs: list[dict[str, Any]]) -> None:
    rows = differing([GivenArguments(args, {}, "file") for args in runs])
    missing = object()
    wanted = {
        name for name in {name for args in runs for name in args} - OF_EACH_RUN
        if any(
            (args.get(name, missing) is missing) != (runs[0].get(name, missing) is missing)
            or (name in args and not equal(name, args[name], runs[0][name]))
            for args in runs[1:]
        )
    }
    assert {row.name for row in rows} == wanted
    for row in rows:
        for cell, args in zip(row.cells, runs, strict=True):
            assert cell == (Cell("given", args[row.name]) if row.name in args else Cell("not_given"))


def test_given_or_not_and_what_stands_then() -> None:
    defaults = {"lora_rank": ArgumentType("int", default=8), "seed": ArgumentType("int", default=42)}
    rows = differing([run(lora_rank=16, seed=42, odd=1), run()], defaults)
    assert [(row.name, row.cells, row.in_effect) for row in rows] == [
        ("lora_rank", (Cell("given", 16), Cell("default", 8)), True),
        ("seed", (Cell("given", 42), Cell("default", 42)), False),
        ("odd", (Cell("given", 1), Cell("not_given")), True),
    ]


def test_nothing_given_may_be_anything_where_its_default_is_not_known() -> None:
    (row,) = differing([run(own=None), run()])
    assert row.cells == (Cell("given", None), Cell("not_given")) and row.in_effect


def test_a_run_of_which_nothing_is_known_makes_no_difference() -> None:
    plain = GivenArguments()
    assert differing([run(lora_rank=8), plain, run(lora_rank=8)]) == ()
    (row,) = differing([run(lora_rank=8), plain, run(lora_rank=16)])
    assert row.cells == (Cell("given", 8), Cell("not_known"), Cell("given", 16))
    card = GivenArguments({"learning_rate": 0.1}, {}, "card")
    assert [row.name for row in differing([card, run(learning_rate=0.2, lora_rank=4)])] == ["learning_rate"]


def test_groups_and_order_are_those_of_the_examples() -> None:
    rows = differing([
        run({"A": "1"}, learning_rate=1e-4, model_name_or_path="a", lora_rank=8, dataset="x", own=1),
        run({}, learning_rate=2e-4, model_name_or_path="b", lora_rank=16, dataset="y", own=2),
    ])
    assert [(row.group, row.name) for row in rows] == [
        ("model", "model_name_or_path"), ("method", "lora_rank"), ("dataset", "dataset"), ("train", "learning_rate"),
        ("train", "own"), ("environment", "A"),
    ]


@pytest.mark.parametrize(
    ("name", "a", "b", "same"),
    [
        ("learning_rate", 1, 1.0, True), ("learning_rate", "1e-4", 0.0001, True), ("bf16", True, 1, False),
        ("dataset", "a,b", ["a", "b"], True), ("dataset", "b,a", ["a", "b"], False), ("dataset", ["a"], None, False),
        ("interleave_probs", "0.5, 0.5", [0.5, 0.5], True), ("template", "llama3", "qwen", False),
        ("template", "1", "1.0", False), ("a", float("nan"), float("nan"), True), ("a", None, "", False),
    ],
)
def test_when_values_are_the_same(name: str, a: Any, b: Any, same: bool) -> None:
    assert equal(name, a, b) is same and equal(name, b, a) is same


@given(st.lists(st.text(alphabet="ab/ ", max_size=80), min_size=1, max_size=6), st.integers(8, 20))
def test_short_texts_are_told_apart_where_the_long_ones_are(texts: list[str], longest: int) -> None:
    short = shortened(texts, longest)
    assert [[a == b for b in short] for a in short] == [[a == b for b in texts] for a in texts]
    assert all(text == cut for text, cut in zip(texts, short, strict=True) if len(text) <= longest)


def test_long_values_keep_what_tells_them_apart() -> None:
    texts = ["/data/models/very/long/way/to/Qwen2.5-7B-Instruct", "/data/models/very/long/way/to/Qwen2.5-14B-Instruct"]
    assert shortened(texts, 30) == ["/data/mode…Qwen2.5-7B-Instruct", "/data/mode…wen2.5-14B-Instruct"]
    texts = ["the beginning " + "x" * 100 + letter + "y" * 100 + "the end" for letter in "AB"]
    assert all(letter in text and len(text) < 45 for letter, text in zip("AB", shortened(texts, 40), strict=True))


def test_values_that_differ_in_several_places_are_told_whole() -> None:
    texts = ["a" * 60 + one + "b" * 60 + other + "c" * 60 for one, other in ("11", "12", "21")]
    assert shortened(texts, 30) == texts


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"), (None, "null"), (5e-5, "5e-05"), (1e-4, "0.0001"), (3, "3"), ("a\nb", "a b"), ("", '""'),
        (["a", "b"], "a, b"), ({"a": [1]}, '{"a": [1]}'), ([{"a": 1}], '[{"a": 1}]'),
    ],
)
def test_values_as_a_configuration_has_them(value: Any, text: str) -> None:
    assert plain_text(value) == text


def test_files() -> None:
    defaults = {"lora_rank": ArgumentType("int", default=8)}
    rows = differing([run(lora_rank=16, template="=1+1", own="a|b"), run(template="x")], defaults)
    cells = list(csv.reader(io.StringIO(to_csv(rows, ["one", "=two"]))))
    assert cells == [
        ["group", "setting", "one", "'=two"], ["method", "lora_rank", "16", "(8)"],
        ["dataset", "template", "'=1+1", "x"], ["train", "own", "a|b", ""],
    ]
    text = to_markdown(rows, ["one", "t|wo"], lambda cell: cell.replace("x", "•"))
    assert text.split("\n")[0] == "| setting | one | t\\|wo |"
    assert "| `own` | a\\|b |  |" in text and "| `template` | =1+1 | • |" in text


def test_what_the_folder_tells_is_compared_and_told_from_what_was_given() -> None:
    whole = run(model_name_or_path="Qwen/Qwen2.5-3B", finetuning_type="full", dataset="a")
    same = GivenArguments(folder={"model_name_or_path": "qwen2.5-3B", "finetuning_type": "full"})
    folder = {"model_name_or_path": "Mistral-7B", "finetuning_type": "lora"}
    other = GivenArguments({"lora_rank": 8}, {}, "card", folder)
    assert differing([whole, same]) == ()
    rows = {row.name: row for row in differing([other, same, whole])}
    assert [cell.how for cell in rows["model_name_or_path"].cells] == ["folder", "folder", "given"]
    assert rows["finetuning_type"].cells[0] == Cell("folder", "lora")
    assert "dataset" not in rows  # of the others it is not known


def test_two_models_of_one_name_are_not_made_the_same_by_a_folder() -> None:
    short = GivenArguments(folder={"model_name_or_path": "x"})
    assert differing([short, run(model_name_or_path="a/x"), run(model_name_or_path="b/x")])
