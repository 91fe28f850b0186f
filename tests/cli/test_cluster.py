"""What the command line tells of runs on a cluster: where they wait, why and until when; as the page tells it."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path

import pytest

from lfdash.cli.runs import steps
from lfdash.launchers import slurm_jobs
from lfdash.runs.listing import RunRow
from lfdash.runs.record import RunState
from lfdash.targets.store import TargetStore
from lfdash.targets.target import Target
from tests.cli.test_check import job
from tests.support.fake_slurm import FakeSlurm
from tests.support.terminal import DEMO, lfdash


@pytest.fixture
def slurm(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """A cluster whose jobs wait."""
    slurm_jobs.KNOWN.clear()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    found = FakeSlurm(tmp_path / "slurm", monkeypatch)
    assert TargetStore(workspace / ".lfdash").put(Target("lab", "slurm", python=sys.executable), None) is None
    return found


def number(slurm: FakeSlurm) -> str:
    (found,) = slurm.jobs()
    return found


def test_a_job_that_waits_there_is_told_by_each_command(slurm: FakeSlurm) -> None:
    assert lfdash("start", DEMO, "--target", "lab", "--json").code == 0
    why = "Jobs with a higher priority come first."
    said = lfdash("ls")
    assert "IN CLUSTER QUEUE  sft" in said.out and f"lab · Slurm job {number(slurm)}" in said.out
    assert why in said.err
    (row,) = lfdash("ls", "--json").json
    assert (row["target"], row["job"], row["job_state"]) == ("lab", number(slurm), "PENDING")
    assert (row["state"], row["job_reason"], row["job_starts"]) == ("STARTING", "Priority", None)
    text = (slurm.folder / "jobs").read_text()
    slurm.says("jobs", text.replace("|N/A|", "|1893553445|"))
    slurm_jobs.KNOWN.clear()  # what was answered before
    shown = lfdash("show").out
    assert f"IN CLUSTER QUEUE. Waits in the queue of Slurm on lab (job {number(slurm)}). {why}" in shown
    assert f"Expected start: {datetime.fromtimestamp(1893553445):%Y-%m-%d %H:%M}." in shown
    assert f"Target   lab · Slurm job {number(slurm)}" in shown
    assert lfdash("show", "--json").json["job_starts"] == "2030-01-02T03:04:05Z"
    slurm.says("jobs", text.replace("|N/A|", f"|{'9' * 20}|"))
    slurm_jobs.KNOWN.clear()
    assert lfdash("show", "--json").json["job_starts"] is None and "Expected start" not in lfdash("show").out
    log = lfdash("logs")
    assert why in log.err and log.out == ""


def test_a_log_that_is_followed_says_what_the_run_waits_for_now(
    slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lfdash("start", DEMO, "--target", "lab", "--json").code == 0
    told = iter(["one", "one", "two"])
    monkeypatch.setattr("lfdash.cli.logs.waits_words", lambda _view: next(told, "two"))
    turns = iter(range(4))

    def look(_printer: object) -> None:
        if next(turns) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("lfdash.cli.logs.Printer.show_begun", look)
    said = lfdash("logs", "-f")
    assert said.code == 130 and said.err.count("IN CLUSTER QUEUE. two") == 1


def test_queue_gives_it_to_the_cluster_at_once_and_says_so(slurm: FakeSlurm) -> None:
    said = lfdash("queue", DEMO, "--target", "lab")
    assert said.code == 0 and "IN CLUSTER QUEUE" in said.out
    assert "It was given to lab at once" in said.err and "lfdash serve" not in said.err


@pytest.mark.parametrize("row", ["", '[target.gone]\nkind = "slurm"\nextra = ["--output=x"]\n'], ids=["none", "broken"])
def test_a_target_that_is_not_known_has_no_preview(workspace: Path, tmp_path: Path, row: str) -> None:
    """This machine's command would train where nobody wants it."""
    (workspace / ".lfdash").mkdir(exist_ok=True)
    (workspace / ".lfdash" / "targets.toml").write_text(row)
    said = lfdash("preview", job(tmp_path), "--target", "gone")
    assert (said.code, said.out) == (1, "") and "gone" in said.err
    told = lfdash("preview", job(tmp_path), "--target", "gone", "--json").json
    assert told["refused"] == "problems" and "argv" not in told
    assert [one["argument"] for one in told["problems"]] == ["LFDASH_TARGET"]


@pytest.mark.parametrize(("state", "done"), [(RunState.SUCCEEDED, "6/6"), (RunState.STOPPED, "5/6")])
def test_an_evaluation_that_has_finished_is_done(state: RunState, done: str) -> None:
    row = RunRow("i", "n", state, "eval", None, None, None, 5, 6, None, None, None, None, "f")
    assert steps(row) == done
