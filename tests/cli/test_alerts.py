"""`lfdash alerts`: what was alerted."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from lfdash.engine.alert_turn import Turn
from lfdash.runs.alerts import file
from lfdash.runs.alerts.alert import Alert
from lfdash.runs.paths import RunPaths
from lfdash.workspace.alert_store import AlertStore
from tests.support.terminal import lfdash

WHEN = 1795730000.0


def told(workspace: Path) -> None:
    """Alerts of the run "good" and of the workspace, as a dashboard writes them."""
    paths = RunPaths(workspace / "saves" / "demo-llama" / "lora" / "good")
    run_id = json.loads(paths.record.read_text())["run_id"]
    store = AlertStore(workspace / ".lfdash" / "alerts")
    for alert in (
        Alert("diverged", run_id, "good", 1, "", 4, WHEN, {"loss": "9", "best": "1", "at": 2}),
        Alert("disk", "", "", 0, "2026-11-26", None, WHEN + 60, {"free": "1.0", "hours": ""}),
    ):
        store.add(alert)
        if alert.run_id:
            file.append(paths.alerts, alert)


def test_nothing_was_alerted(seen: Path) -> None:
    said = lfdash("alerts")
    assert (said.code, said.out) == (0, "") and "Nothing" in said.err
    assert lfdash("alerts", "--json").json == []


def test_of_all_and_of_one_run(copied: Path) -> None:
    told(copied)
    lines = lfdash("alerts").out.splitlines()
    assert len(lines) == 3 and "Loss diverges" in lines[1] and "the lowest level was about 1 near step 2" in lines[1]
    assert "Disk nearly full" in lines[2] and "1.0 GB are free" in lines[2]
    assert len(lfdash("alerts", "good").out.splitlines()) == 2
    assert lfdash("alerts", "bad").out == ""


def test_who_should_send_what_waits(seen: Path) -> None:
    store = AlertStore(seen / ".lfdash" / "alerts")
    store.folder.mkdir(parents=True, exist_ok=True)
    turn = Turn(store)
    assert turn.hold()
    assert "another dashboard" not in lfdash("alerts").err, "nothing waits"
    store.put(Alert("disk", "", "", 0, "2026-11-26", None, time.time(), {}))
    said = lfdash("alerts")
    assert f"process {os.getpid()} on" in said.err and "to be sent: 1." in said.err and said.code == 0
    assert lfdash("alerts", "--json").json == []
    turn.release()
    assert "another dashboard" not in lfdash("alerts").err


def test_that_alerts_cannot_be_written_is_said(seen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "cannot write" not in lfdash("alerts").err
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode, **more: ".lfdash" not in str(path) and access(path, mode))
    said = lfdash("alerts")
    assert said.code == 0 and f"cannot write alerts to {seen / '.lfdash' / 'alerts'} (Permission denied)" in said.err


def test_for_a_program(copied: Path) -> None:
    told(copied)
    first, second = lfdash("alerts", "--json").json
    assert list(first) == ["rule", "run_id", "run", "attempt", "step", "time", "message", "params"]
    assert (first["rule"], first["run"], first["step"]) == ("diverged", "good", 4)
    assert first["time"] == "2026-11-26T21:53:20Z"
    assert (second["run_id"], second["run"], second["attempt"], second["step"]) == (None, None, None, None)


def test_a_run_that_is_not_there(seen: Path) -> None:
    assert lfdash("alerts", "nobody").code == 2
