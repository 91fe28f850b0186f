"""`lfdash sweep`: what it would run, what it makes, lists, shows, stops; its words and its JSON."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfdash.demo.__main__ import make_data
from tests.cli.test_docs import example
from tests.support.models import pretend_model
from tests.support.runs import fake_cli
from tests.support.terminal import DEMO, lfdash

SWEEP = """
sweep:
  name: mine
  settings:
    learning_rate: 1e-4..1e-2 log 3
    lora_rank: [8, 16]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace, to which the commands are sent."""
    monkeypatch.setenv("LFDASH_CLI", fake_cli(tmp_path))
    monkeypatch.setenv("LFDASH_WORKSPACE", str(tmp_path / "workspace"))
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    make_data(tmp_path / "workspace" / "data")
    pretend_model(tmp_path / "workspace")
    return tmp_path / "workspace"


def file(folder: Path, text: str = SWEEP) -> Path:
    path = folder.parent / "my.yaml"
    path.write_text(DEMO.read_text(encoding="utf-8") + text, encoding="utf-8")
    return path


def test_a_dry_run_lists_the_runs_and_makes_nothing(folder: Path) -> None:
    said = lfdash("sweep", file(folder), "--dry-run")
    assert said.code == 0, said.err
    assert [line.split()[0] for line in said.out.splitlines()[1:]] == [
        f"lr{rate}_r{rank}" for rate in ("1e-4", "1e-3", "0.01") for rank in (8, 16)
    ]
    assert "Runs: 6" in said.err and not (folder / ".lfdash" / "sweeps").exists()
    answer = lfdash("sweep", file(folder), "--dry-run", "--json").json
    assert answer["count"] == 6 == len(answer["runs"])
    assert answer["runs"][0] == {"name": "lr1e-4_r8", "settings": {"learning_rate": 1e-4, "lora_rank": 8}}


def test_a_sweep_is_made_listed_shown_stopped_and_gone_on_with(folder: Path) -> None:
    said = lfdash("sweep", file(folder), "--set", "num_train_epochs=1")
    assert said.code == 0, said.err
    sweep_id = said.out.strip()
    listed = lfdash("sweep", "ls", "--json").json
    assert [(one["id"], one["name"], one["state"], one["count"]) for one in listed] == [(sweep_id, "mine", "going", 6)]
    assert sweep_id in lfdash("sweep", "ls").out
    assert lfdash("sweep", "stop", "mine", "--json").json["state"] == "stopped"
    shown = lfdash("sweep", "go-on", sweep_id, "--json").json
    assert shown["state"] == "going" and [one["run"] for one in shown["trials"]][:1] == ["lr1e-4_r8"]
    assert len([row for row in lfdash("ls", "--json").json if row["state"] == "QUEUED"]) == 6
    assert lfdash("sweep", "show", "mine").out.count("in progress") == 6
    assert list(example("sweep")) == list(shown) and list(example("sweep")["trials"][0]) == list(shown["trials"][0])


def test_what_is_wrong_is_said_with_field_value_and_remedy(folder: Path) -> None:
    said = lfdash("sweep", file(folder, "sweep: {settings: {learning_rate: '1e-3, 7', nope: [1, 2]}}\n"))
    assert said.code == 1
    assert "learning_rate" in said.err and "7 is out of range" in said.err and "“nope”" in said.err
    answer = lfdash("sweep", file(folder, "sweep: {settings: {lora_rank: [8]}}\n"), "--json").json
    assert answer["refused"] == "problems" and answer["problems"][0]["argument"] == "lora_rank"
    none = lfdash("sweep", file(folder, ""), "--json")
    assert none.code == 1 and none.json["refused"] == "sweep_file"
    assert lfdash("sweep", "show").code == 2 and lfdash("sweep", file(folder), "x").code == 2
    assert lfdash("sweep", "show", "x", "--json").json["refused"] == "sweep_unknown"
    assert "no sweeps" in lfdash("sweep", "ls").err


def test_a_sweep_that_cannot_be_read_is_said(folder: Path) -> None:
    sweep_id = lfdash("sweep", file(folder)).out.strip()
    (folder / ".lfdash" / "sweeps" / sweep_id / "sweep.json").write_text("{", encoding="utf-8")
    said = lfdash("sweep", "ls")
    assert said.code == 0 and sweep_id in said.err and "cannot be read" in said.err
    assert lfdash("sweep", "show", sweep_id, "--json").json["refused"] == "sweep_unreadable"
