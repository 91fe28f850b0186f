"""A real dashboard is killed at each write of a sweep, or has another one beside it: each trial is started once, and
none is lost."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from lfdash.demo.__main__ import make_data
from lfdash.supervisor.failpoints import POINTS, VARIABLE
from tests.faults.table import Row, fault
from tests.support.models import pretend_model
from tests.support.runs import fake_cli, wait_for
from tests.support.server import Server, start_server
from tests.support.terminal import DEMO, end_runs, lfdash

SWEEP = "\nsweep: {name: s, settings: {learning_rate: [0.003, 0.001, 0.00001], lora_rank: [8, 16]}, %s}\n"
OTHERS = ("sweep.written", "sweep.changed")  # a person's, not those of carrying it on
OF_A_SWEEP = [point for point in POINTS if point.startswith("sweep.") and point not in OTHERS]
EARLY = "stop_early: median, after_trials: 2, after_percent: 10, parallel: 1, direction: minimize"


class Dashboards:
    """Dashboards on one workspace, one after the other or beside each other."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        self.servers: list[Server] = []

    def start(self, **env: str) -> Server:
        self.servers.append(start_server(self.workspace, 8671, env))
        return self.servers[-1]

    def sweep(self, options: str, *changes: str) -> None:
        file = self.workspace.parent / "sweep.yaml"
        file.write_text(DEMO.read_text(encoding="utf-8") + SWEEP % options, encoding="utf-8")
        sets = [word for change in changes for word in ("--set", change)]
        said = lfdash("sweep", file, "--workspace", self.workspace, *sets)
        assert said.code == 0, said.err

    def show(self) -> dict[str, Any]:
        shown: dict[str, Any] = lfdash("sweep", "show", "s", "--workspace", self.workspace, "--json").json
        return shown

    def until(self, holds: Callable[[dict[str, Any]], bool], seconds: float = 90.0) -> dict[str, Any]:
        wait_for(lambda: holds(self.show()), seconds)
        return self.show()

    def starts(self) -> dict[str, int]:
        """How many attempts each run on disk has."""
        runs = [path.parent for path in self.workspace.rglob("run.json")]
        return {run.name: len(os.listdir(run / "attempts")) for run in runs}

    def close(self) -> None:
        for server in self.servers:
            server.process.kill()
            server.process.wait(20)
        end_runs(self.workspace)


@pytest.fixture
def dashboards(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboards]:
    monkeypatch.setenv("LFDASH_CLI", fake_cli(workspace.parent))
    monkeypatch.setenv("FAKE_ARGS", json.dumps({"steps": 30, "delay": 0.05, "scale": "learning_rate"}))
    make_data(workspace / "data")
    pretend_model(workspace)
    found = Dashboards(workspace)
    yield found
    found.close()


@pytest.mark.parametrize("point", OF_A_SWEEP)
@fault(
    "dashboard killed while it carries a sweep on", how="kill -9 at each write",
    expected="the next dashboard goes on; each trial is started once, none is lost",
)
def test_killed_at_each_write(
    dashboards: Dashboards, row: Row, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = point == "sweep.stops"
    if early:  # long enough to be seen while it goes on
        monkeypatch.setenv("FAKE_ARGS", json.dumps({"steps": 100, "delay": 0.08, "scale": "learning_rate"}))
    dashboards.sweep(EARLY.replace("minimize", "maximize") if early else "parallel: 2")
    killed = dashboards.start(**{VARIABLE: f"{point}=kill"})
    assert killed.process.wait(90) == -signal.SIGKILL
    dashboards.start()
    shown = dashboards.until(lambda found: found["state"] == "done")
    assert [one["state"] for one in shown["trials"]].count("failed") == 0 and len(shown["trials"]) == 6
    assert len(dashboards.starts()) == 6 and set(dashboards.starts().values()) == {1}
    row.note(f"{shown['ended']} of 6 ended, each started once", restarts=1, faults=1)


@fault(
    "two dashboards carry one sweep on", how="two real servers, one of them killed in its middle",
    expected="each trial is started once",
)
def test_two_dashboards(dashboards: Dashboards, row: Row) -> None:
    dashboards.sweep("parallel: 2")
    first, _second = dashboards.start(), dashboards.start()
    dashboards.until(lambda found: found["ended"] >= 1)
    first.process.kill()
    shown = dashboards.until(lambda found: found["state"] == "done")
    assert [one["state"] for one in shown["trials"]] == ["complete"] * 6
    assert len(dashboards.starts()) == 6 and set(dashboards.starts().values()) == {1}
    row.note("6 of 6, each started once", faults=1)


@pytest.mark.long  # six trainings
@pytest.mark.train_env
@fault(
    "dashboard killed in the middle of a sweep that trains", how="kill -9, the real llamafactory-cli",
    expected="the runs go on, the next dashboard goes on; the best found is the best of the logs",
)
def test_a_sweep_that_trains(demo_copy: Path, workspace: Path, row: Row) -> None:
    for part in ("data", "models"):
        shutil.copytree(demo_copy / part, workspace / part)
    dashboards = Dashboards(workspace)
    try:
        dashboards.sweep(EARLY, "max_samples=200", "num_train_epochs=2")
        first = dashboards.start()
        dashboards.until(lambda found: found["ended"] >= 1, 300)
        first.process.kill()
        dashboards.start()
        shown = dashboards.until(lambda found: found["state"] == "done", 500)
    finally:
        dashboards.close()
    states = [one["state"] for one in shown["trials"]]
    assert set(states) == {"complete", "pruned"} and len(states) == 6
    assert set(dashboards.starts().values()) == {1} and len(dashboards.starts()) == 6
    logs = {path.parent.name: path.read_text().splitlines() for path in workspace.rglob("saves/**/trainer_log.jsonl")}
    values = {name: [one["loss"] for one in map(json.loads, lines) if "loss" in one] for name, lines in logs.items()}
    losses = {name: median(found[-max(3, math.ceil(len(found) / 10)) :]) for name, found in values.items()}
    complete = {one["run"] for one in shown["trials"] if one["state"] == "complete"}
    assert shown["best"]["run"] == min(complete, key=lambda name: losses[name])
    row.note(f"{states.count('pruned')} of 6 stopped early, best {shown['best']['run']}", restarts=1, faults=1)
