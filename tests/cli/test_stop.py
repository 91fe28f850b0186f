"""`lfdash stop RUN`: saved first, ended at once on request; a job that waits is taken out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_ls import COLUMNS
from tests.support.runs import wait_for
from tests.support.terminal import DEMO, lfdash


def started(monkeypatch: pytest.MonkeyPatch, args: str) -> str:
    """The id of a run that goes on."""
    monkeypatch.setenv("FAKE_ARGS", args)
    run_id: str = lfdash("start", DEMO, "--json").json["id"]
    wait_for(lambda: lfdash("logs", run_id).out.count("ready"))
    return run_id


def test_a_run_saves_and_ends(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = started(monkeypatch, '{"steps": 600, "delay": 0.1}')
    said = lfdash("stop", run_id, "--json")
    assert (said.code, list(said.json)) == (0, COLUMNS)
    assert said.json["state"] in ("STOPPING", "STOPPED")
    assert lfdash("logs", "-f", run_id).code == 0
    row = lfdash("show", run_id, "--json").json
    assert row["state"] == "STOPPED"
    assert (workspace / row["folder"] / "adapter_model.safetensors").exists()
    again = lfdash("stop", run_id, "--json")
    assert (again.code, again.json["refused"]) == (1, "not_running")
    assert lfdash("stop", run_id).err == "lfdash: The run has already ended.\n"


def test_that_it_cannot_be_resumed_is_said(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = started(monkeypatch, '{"steps": 600, "delay": 0.1}')
    said = lfdash("stop", run_id)
    assert said.code == 0 and "this run cannot be resumed" in said.err
    assert lfdash("logs", "-f", run_id).code == 0


def test_kill_ends_one_that_does_not_listen(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = started(monkeypatch, '{"stubborn": 1}')
    assert lfdash("stop", run_id).code == 0
    assert lfdash("show", run_id, "--json").json["state"] == "STOPPING"
    assert lfdash("stop", run_id, "--kill").code == 0
    assert lfdash("logs", "-f", run_id).code == 0
    assert lfdash("show", run_id, "--json").json["state"] == "STOPPED"


def test_a_job_that_waits_is_taken_out(workspace: Path) -> None:
    for as_json in (False, True):
        run = lfdash("queue", DEMO, "--json").json
        said = lfdash("stop", run["name"], *(["--json"] if as_json else []))
        assert said.code == 0
        assert said.json["state"] == "STOPPED" if as_json else run["name"] in said.out
        assert lfdash("ls", "--json").json == []


def test_a_run_must_be_named(seen: Path) -> None:
    said = lfdash("stop")
    assert (said.code, said.out) == (2, "") and "RUN" in said.err
