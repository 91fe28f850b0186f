"""`lfdash ls`: a row a run, the same columns always."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from lfdash.runs.record import RunState
from tests.support.many import add_plain, add_pointers, add_run
from tests.support.runs import wait_for
from tests.support.terminal import DEMO, lfdash

COLUMNS = [
    "id", "name", "state", "kind", "model", "stage", "method", "step", "total", "loss", "eval_loss", "started",
    "seconds", "folder", "stalled", "dead_step", "tokens_per_s", "lost", "ended_early", "target",
    "job", "job_state", "job_reason", "job_starts",
]


def test_each_column_for_a_program(seen: Path) -> None:
    said = lfdash("ls", "--json")
    assert (said.code, said.err) == (0, "")
    bad, good = said.json
    assert list(good) == list(bad) == COLUMNS
    assert re.fullmatch("[0-9a-f]{12}", good["id"])
    assert (good["name"], good["state"], good["kind"]) == ("good", "SUCCEEDED", "train")
    assert (good["model"], good["stage"], good["method"]) == ("demo-llama", "sft", "lora")
    assert (good["step"], good["total"], good["eval_loss"]) == (6, 6, None)
    assert good["loss"] == 5 / 6
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", good["started"])
    assert 0 < good["seconds"] < 60
    assert good["folder"] == "saves/demo-llama/lora/good"
    assert (bad["name"], bad["state"], bad["step"], bad["loss"]) == ("bad", "FAILED", None, None)


def test_a_table_for_a_person(seen: Path) -> None:
    head, bad, good = lfdash("ls").out.splitlines()
    assert head.split()[:4] == ["Name", "State", "Stage", "Method"]
    assert bad.split()[:2] == ["bad", "FAILED"]
    assert good.split()[:6] == ["good", "FINISHED", "sft", "lora", "6/6", "0.8333"]
    assert head.index("State") == good.index("FINISHED"), "the columns stand under their heads"


def test_a_chat_that_was_stopped_ended_as_on_the_page(workspace: Path) -> None:
    add_run(workspace, "talk", kind="chat", state=RunState.STOPPED)
    add_run(workspace, "cut", state=RunState.STOPPED)
    rows = {line.split()[0]: line.split()[1] for line in lfdash("ls").out.splitlines()}
    assert rows["talk"] == "ENDED" and rows["cut"] == "STOPPED"
    assert "ENDED" in lfdash("show", "talk").out
    assert {row["state"] for row in lfdash("ls", "--json").json} == {"STOPPED"}, "for a program it stays what it is"


def test_no_runs_and_no_workspace(workspace: Path, tmp_path: Path) -> None:
    said = lfdash("ls")
    assert (said.code, said.out) == (0, "") and str(workspace) in said.err
    assert lfdash("ls", "--json").json == []
    before = sorted(workspace.iterdir())
    assert [path.name for path in before] == ["data", "models"], "a command that reads makes nothing"
    gone = lfdash("ls", "--workspace", tmp_path / "gone")
    assert (gone.code, gone.out) == (2, "") and str(tmp_path / "gone") in gone.err
    assert not (tmp_path / "gone").exists()


def test_a_diverged_loss_is_no_number(copied: Path) -> None:
    log = copied / "saves" / "demo-llama" / "lora" / "good" / "trainer_log.jsonl"
    with log.open("a") as file:
        file.write('{"current_steps": 7, "total_steps": 9, "loss": NaN}\n')
    good = next(row for row in lfdash("ls", "--json").json if row["name"] == "good")
    assert good["loss"] is None
    assert " nan " in lfdash("ls").out and good["dead_step"] is None, "once, before the last step, may be chance"
    with log.open("a") as file:
        for step in (8, 9):
            file.write(f'{{"current_steps": {step}, "total_steps": 9, "loss": NaN}}\n')
    good = next(row for row in lfdash("ls", "--json").json if row["name"] == "good")
    assert (good["dead_step"], good["stalled"]) == (7, None)
    assert "FINISHED (NaN)" in lfdash("ls").out
    assert "FINISHED: the loss has not been a number since step 7" in lfdash("show", "good").out


def test_a_stalled_run_is_told(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ARGS", '{"steps": 40, "delay": 0.02, "freeze": "20"}')
    monkeypatch.setattr("lfdash.runs.stall.LEAST_S", 1.0)
    monkeypatch.setattr("lfdash.runs.stall.LONGEST", 0.0)
    assert lfdash("start", DEMO).code == 0
    row = wait_for(lambda: next((row for row in lfdash("ls", "--json").json if row["stalled"] is not None), None))
    assert (row["state"], row["step"]) == ("RUNNING", 20) and row["stalled"] >= 0
    assert "RUNNING (STALLED)" in lfdash("ls").out
    assert "RUNNING: no step for" in lfdash("show").out and "usually one every" in lfdash("show").out
    control = workspace / row["folder"] / "attempts" / "001" / "child.json"
    os.kill(json.loads(control.read_text())["child"], signal.SIGCONT)
    assert lfdash("logs", "-f").code == 0
    (row,) = lfdash("ls", "--json").json
    assert (row["state"], row["step"], row["stalled"]) == ("SUCCEEDED", 40, None)


def test_git_lfs_pointers_are_told_wherever_a_run_is_listed(workspace: Path) -> None:
    add_plain(workspace, "whole")
    add_pointers(workspace, "cloned")
    said = lfdash("ls")
    assert "LOST (git-lfs?)" in said.out and said.out.count("git-lfs?") == 1
    assert "`git lfs pull`" in said.err and "cloned" in said.err and "whole" not in said.err
    assert {row["name"]: row["lost"] for row in lfdash("ls", "--json").json} == {"whole": None, "cloned": "pointer"}
    for command in ("show", "diagnose"):
        assert "git-lfs pointers" in lfdash(command, "cloned").out, command
    assert lfdash("diagnose", "cloned", "--json").json["cause"] == "pointer"


def test_a_training_that_finished_before_its_end_says_at_which_step(copied: Path) -> None:
    log = copied / "saves" / "demo-llama" / "lora" / "good" / "trainer_log.jsonl"
    log.write_text(log.read_text().replace('"total_steps": 6', '"total_steps": 1600'))
    for state in log.parent.glob("trainer_state.json"):
        state.unlink()
    assert "FINISHED (ended at step 6 of 1600)" in lfdash("ls").out and lfdash("ls", "--json").json[-1]["ended_early"]
    assert "FINISHED: ended at step 6 of 1600" in lfdash("show", "good").out


def test_a_name_with_line_breaks_is_one_row(copied: Path) -> None:
    folder = copied / "saves" / "demo-llama" / "lora"
    (folder / "good").rename(folder / "new\nline\tand\x1b[2J\x85\u2028more")
    head, *rows = lfdash("ls").out.split("\n")[:-1]
    (found,) = [row for row in rows if row.startswith("new")]
    assert len(rows) == 2 and found.startswith("new�line�and�[2J�")
    assert head.index("State") == found.index("FINISHED")
    facts = lfdash("show", "new\nline\tand\x1b[2J\x85\u2028more").out.split("\n")
    assert not any(line.startswith("line") for line in facts)
