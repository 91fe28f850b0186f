"""What LLaMA-Factory offers: the snapshot agrees with our table; its JSON; the search."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lfdash.jobs.fields import FIELDS, arguments
from lfdash.llamafactory.catalogue import (
    Argument,
    Upstream,
    UpstreamError,
    fitting,
    from_json,
    load_snapshot,
    search,
    to_json,
)
from tests.support import ROOT

SNAPSHOT = ROOT / "configs" / "upstream.json"
HEAD = '{"version": 1, "llamafactory": "", "transformers": "", "templates": [], '


@pytest.fixture(scope="module")
def snapshot() -> Upstream:
    return load_snapshot(SNAPSHOT)


def test_the_snapshot_has_everything_but_help(snapshot: Upstream) -> None:
    assert (len(snapshot.arguments), len(snapshot.models), len(snapshot.templates)) == (343, 628, 121)
    assert not any(argument.help for argument in snapshot.arguments.values())
    assert snapshot.models["Qwen2-VL-7B-Instruct"].multimodal
    assert snapshot.models["Qwen2.5-7B-Instruct"].template == "qwen"


def test_every_row_of_the_table_sets_known_arguments(snapshot: Upstream) -> None:
    for row in FIELDS:
        for name in arguments(row):
            assert name in snapshot.arguments, row.id
            argument = snapshot.arguments[name]
            if row.absent is not None and row.to_args is None:
                assert row.absent == argument.default, row.id
            if row.kind == "choice" and isinstance(row.choices, tuple) and argument.choices and row.to_args is None:
                assert set(row.choices) <= set(argument.choices), row.id


def test_json_there_and_back(snapshot: Upstream) -> None:
    helped = replace(snapshot.arguments["lora_rank"], help="words")
    full = replace(snapshot, arguments={"lora_rank": helped}, packages={"trl": "1"})
    assert from_json(to_json(full, with_help=True), "snapshot") == full
    assert from_json(to_json(full, with_help=False), "snapshot").arguments["lora_rank"].help == ""


@pytest.mark.parametrize("default", [None, False, 0, 0.0, "", (), {}, "words", ("a", "b"), {"key": [1]}])
def test_every_default_survives_as_it_is(snapshot: Upstream, default: object) -> None:
    one = Argument("some", "SomeArguments", "str", "text", default, ("a",), False, "", ("train", "export"))
    small = replace(snapshot, arguments={"some": one}, models={})
    back = from_json(to_json(small, with_help=False)).arguments["some"]
    assert back == one
    assert type(back.default) is type(default)


@pytest.mark.parametrize(
    ("template", "other", "fits"),
    [
        ("qwen3", "qwen3_nothink", True), ("qwen3_nothink", "qwen3", True), ("qwen3_vl", "qwen3_vl_nothink", True),
        ("qwen3_5", "qwen3_5_nothink", True), ("qwen3", "llama3", False), ("qwen2_vl", "qwen", False),
        ("ernie", "ernie_nothink", False),  # these two write their turns differently
        ("llama3", "llama3", True), ("", "default", False),
    ],
)
def test_templates_of_one_family(snapshot: Upstream, template: str, other: str, fits: bool) -> None:
    assert (other in fitting(snapshot, template)) == fits


def test_the_families_come_back_from_the_file(snapshot: Upstream) -> None:
    assert from_json(to_json(snapshot, with_help=False)).families == snapshot.families != ()


def test_the_snapshot_holds_no_packages(snapshot: Upstream) -> None:
    assert from_json(to_json(replace(snapshot, packages={"trl": "1"}), with_help=False)).packages == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        HEAD.replace("1", "2", 1) + '"models": [], "arguments": []}',
        '{"version": 1}',
        HEAD + '"models": [], "arguments": [1]}',
        HEAD + '"models": [{"nam": ""}], "arguments": []}',
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UpstreamError):
        from_json(text)


def test_search_finds_names_first(snapshot: Upstream) -> None:
    helped = replace(snapshot.arguments["seed"], help="about the weight of decay")
    small = replace(snapshot, arguments={"seed": helped, "weight_decay": snapshot.arguments["weight_decay"]})
    assert [argument.name for argument in search(small, "Weight  decay")] == ["weight_decay", "seed"]
    assert search(small, "nothing") == []
