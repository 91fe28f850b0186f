"""What LLaMA-Factory offers: the snapshot agrees with what is installed, and with our table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lfdash import probe as probing
from lfdash.cli import Cli, find_cli
from lfdash.fields import FIELDS, arguments
from lfdash.probe import ProbeFailed, probe
from lfdash.upstream import Upstream, UpstreamError, from_json, load_snapshot, search, to_json

SNAPSHOT = Path(__file__).resolve().parents[1] / "configs" / "upstream.json"


@pytest.fixture(scope="module")
def snapshot() -> Upstream:
    return load_snapshot(SNAPSHOT)


def test_the_snapshot_has_everything_but_help(snapshot: Upstream) -> None:
    assert (len(snapshot.arguments), len(snapshot.models), len(snapshot.templates)) == (346, 628, 121)
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


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 99}', '{"version": 1}'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UpstreamError):
        from_json(text, "snapshot")


def test_search_finds_names_first(snapshot: Upstream) -> None:
    helped = replace(snapshot.arguments["seed"], help="about the weight of decay")
    small = replace(snapshot, arguments={"seed": helped, "weight_decay": snapshot.arguments["weight_decay"]})
    assert [argument.name for argument in search(small, "Weight  decay")] == ["weight_decay", "seed"]
    assert search(small, "nothing") == []


def test_a_probe_that_fails_says_why(tmp_path: Path) -> None:
    gone = probe(Cli("/no/llamafactory-cli", "/no/python"), tmp_path)
    assert isinstance(gone, ProbeFailed)
    assert "/no/python" in gone.reason
    assert isinstance(probe(Cli("/no/llamafactory-cli", None), tmp_path), ProbeFailed)


@pytest.mark.train_env
def test_the_snapshot_is_what_is_installed(tmp_path: Path, snapshot: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    cli = find_cli({})
    assert isinstance(cli, Cli)
    found = probe(cli, tmp_path)
    assert isinstance(found, Upstream)
    assert found.source == "installed"
    assert found.arguments["learning_rate"].help
    assert found.packages["llamafactory"] == found.llamafactory
    bare = from_json(to_json(found, with_help=False), "snapshot")
    assert bare == snapshot

    def never(*_: object) -> None:
        raise AssertionError("asked again although nothing changed")

    monkeypatch.setattr(probing, "ask_everything", never)
    assert probe(cli, tmp_path) == found
    (kept,) = tmp_path.glob("upstream-*.json")
    kept.write_text("broken")
    monkeypatch.setattr(probing, "ask_everything", lambda *_: SimpleNamespace(again=True))
    assert probe(cli, tmp_path) == SimpleNamespace(again=True)
