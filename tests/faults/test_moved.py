"""A workspace is moved while a dashboard is open on it: nothing is made anew at the old place."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfdash.runs.record import RunState
from tests.faults.dashboards import Zygote
from tests.faults.runs import becomes, new, starts
from tests.faults.table import Row, fault
from tests.support.runs import fake_cli


@pytest.mark.parametrize("another", [False, True], ids=["nothing there", "another workspace there"])
@fault(
    "the workspace is moved under a live dashboard", how="mv, also with another workspace put in its place",
    expected="Start and Queue refuse, nothing is written at the old place; the run goes on in the new one",
)
def test_the_workspace_is_moved(zygote: Zygote, workspace: Path, row: Row, another: bool) -> None:
    cli, flag, moved = fake_cli(workspace.parent), workspace.parent / "flag", workspace.with_name("moved")
    does = [
        ["launch", {"name": "r1", "cli": cli, "steps": 40, "delay": 0.05}],
        ["wait", {"name": "r1", "state": "RUNNING"}],
        ["when", {"path": str(flag)}], ["launch", {"name": "r2", "cli": cli}], ["enqueue", {"name": "r3", "cli": cli}],
    ]
    dash = zygote.dashboard(workspace, *does)
    dash.wait("wait")
    workspace.rename(moved)
    before = []
    if another:
        workspace.mkdir()
        new(workspace).identity.check()
        before = sorted(workspace.rglob("*"))
    flag.touch()
    for word in ("launch", "enqueue"):
        dash.wait("done")
        said = [line["outcome"] for line in dash.said() if line["word"] == word][-1]
        assert "workspace_gone" in said, said
    assert sorted(workspace.rglob("*")) == before and workspace.exists() == another
    registry = new(moved)
    assert starts(becomes(registry, RunState.SUCCEEDED).paths) == 1
    dash.kill()
    assert sorted(workspace.rglob("*")) == before and workspace.exists() == another
    row.note("both refused, the old place untouched, the run ended in the new one", faults=1)
