"""`lfdash sweep`: what it would run, what it makes, lists, shows, stops; its words and its JSON."""

from __future__ import annotations

import errno
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


def test_the_same_sweep_is_made_once_while_it_goes_on(folder: Path) -> None:
    assert lfdash("sweep", file(folder)).code == 0
    assert lfdash("sweep", file(folder), "--json").json["refused"] == "sweep_twin"
    again = lfdash("sweep", file(folder))
    assert again.code != 0 and "“mine”" in again.err
    assert len(lfdash("sweep", "ls", "--json").json) == 1
    assert lfdash("sweep", "stop", "mine").code == 0
    assert lfdash("sweep", file(folder)).code == 0


def test_its_runs_are_for_the_target_that_is_named(folder: Path) -> None:
    said = lfdash("sweep", file(folder), "--dry-run", "--target", "gone", "--json")
    assert said.code == 1 and [one["code"] for one in said.json["problems"]] == ["target_gone"]


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


def forbidden(*_: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")  # no mode of a file keeps root from reading it


def spoil(journal: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may have become of a journal."""
    whole = journal.read_bytes()
    if how == "gone":
        journal.unlink()
    elif how == "folder":
        journal.unlink()
        journal.mkdir()
    elif how == "unreadable":
        monkeypatch.setattr("lfdash.engine.sweep_study.read_edges", forbidden)
    else:
        journal.write_bytes({"garbage": b"\xff\x00no\n", "cut": whole[7:], "empty": b"", "odd": b"[1]\n"}[how])


@pytest.mark.parametrize("how", ["garbage", "cut", "empty", "odd", "gone", "folder", "unreadable"])
def test_a_journal_that_cannot_be_read_is_said_with_the_file_and_the_remedy(
    folder: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_id = lfdash("sweep", file(folder)).out.strip()
    journal = folder / ".lfdash" / "sweeps" / sweep_id / "journal.log"
    spoil(journal, how, monkeypatch)
    for command in ("show", "stop", "go-on"):
        said = lfdash("sweep", command, "mine")
        assert said.code == 1 and not said.out, command
        assert str(journal) in said.err and "Restore the file from a copy" in said.err
        assert "Traceback" not in said.err and "\n  File" not in said.err
        assert lfdash("sweep", command, sweep_id, "--json").json["refused"] == "sweep_journal"
    said = lfdash("sweep", "ls")
    assert said.code == 0 and str(journal) in said.err and "Traceback" not in said.err
    assert lfdash("sweep", "ls", "--json").json == []
    if how != "unreadable":  # that is said of every file
        other = lfdash("sweep", file(folder, SWEEP.replace("mine", "other"))).out.strip()
        assert [one["id"] for one in lfdash("sweep", "ls", "--json").json] == [other], "the others stay"


def test_a_line_that_was_cut_by_a_killed_process_is_no_damage(folder: Path) -> None:
    sweep_id = lfdash("sweep", file(folder)).out.strip()
    with (folder / ".lfdash" / "sweeps" / sweep_id / "journal.log").open("ab") as journal:
        journal.write(b'{"op_code":4,"work')
    assert lfdash("sweep", "show", "mine").code == 0
    assert lfdash("sweep", "go-on", "mine", "--json").json["trials"][0]["run"] == "lr1e-4_r8"


def test_sweeps_that_cannot_be_listed_are_said(folder: Path) -> None:
    root = folder / ".lfdash" / "sweeps"
    root.parent.mkdir(exist_ok=True)
    root.write_text("a file", encoding="utf-8")
    for words in (("ls",), ("show", "mine"), ("stop", "mine")):
        said = lfdash("sweep", *words)
        assert said.code == 1 and str(root) in said.err and "Traceback" not in said.err
    assert lfdash("sweep", "ls", "--json").json["refused"] == "sweeps_unlisted"


def test_what_is_over_is_not_stopped(folder: Path) -> None:
    sweep_id = lfdash("sweep", file(folder)).out.strip()
    record = folder / ".lfdash" / "sweeps" / sweep_id
    journal = (record / "journal.log").read_text(encoding="utf-8").splitlines(keepends=True)
    (record / "journal.log").write_text("".join(journal[:1]), encoding="utf-8")  # a grid of which nothing is left
    assert lfdash("sweep", "stop", "mine", "--json").json["refused"] == "sweep_over"
    assert lfdash("sweep", "show", "mine", "--json").json["state"] == "done"
