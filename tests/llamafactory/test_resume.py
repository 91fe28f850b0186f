"""The real llamafactory-cli: a run that was killed, then renamed, goes on under its new name."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import pytest

from lfdash.engine.resume import prepare_resume
from lfdash.launchers.base import Launched
from lfdash.llamafactory.locate import Cli
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView
from tests.support.page import Page
from tests.support.runs import wait_end, wait_for

pytestmark = pytest.mark.train_env


def test_a_killed_run_is_renamed_and_goes_on_from_its_checkpoint(
    demo_workspace: Path, preloaded: Cli, tmp_path: Path
) -> None:
    page = Page.open(demo_workspace, tmp_path / "workspace")
    registry = page.services.registry
    handle = page.start("first", {"max_steps": 30, "save_steps": 10})
    try:
        wait_for(lambda: (view := registry.get(handle.run_id)) and (view.progress.step or 0) >= 12, 240)
        registry.stop(handle.run_id, "kill")
        view = wait_end(registry, handle.run_id, 60)
        assert view.state is RunState.STOPPED and 10 in view.saved.checkpoints
        reached = view.progress.step or 0
        renamed = registry.archive.rename(handle.run_id, "second")
        assert isinstance(renamed, RunView), renamed
        with mock.patch.object(page.services, "cli", preloaded):  # the first attempt was the real process
            prepared = prepare_resume(page.services, renamed, 10, "made by a test")
        assert prepared is not None
        outcome = registry.launch(prepared.plan, prepared.record)
        assert isinstance(outcome, Launched), outcome
        view = wait_end(registry, handle.run_id, 240)
        assert (view.state, view.exit_code, view.attempt) == (RunState.SUCCEEDED, 0, 2), view
        assert (view.name, view.saved.step) == ("second", 30) and view.record is not None
        assert [attempt.state for attempt in view.record.attempts] == [RunState.STOPPED, RunState.SUCCEEDED]
        logged = [json.loads(line)["current_steps"] for line in view.paths.trainer_log.read_text().splitlines()]
        assert logged == [*range(1, reached + 1), *range(11, 31), 30]  # the log has the repeated steps twice
        tail = RunFeed(view.paths)
        tail.poll()
        assert tail.frame["step"].tolist() == list(range(1, 31))  # the chart has each step once
        assert not view.path.with_name("first").exists()
        wait_for(lambda: (found := registry.summaries.get(view).summary) and found.last is not None)
        assert len(registry.summaries.get(view).summary.spark) == 30
    finally:
        registry.stop(handle.run_id, "kill")
        registry.close()
