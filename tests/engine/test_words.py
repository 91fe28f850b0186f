"""How a run stands, in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfdash.engine.words import no_checkpoint_in
from lfdash.runs.details import RunDetails
from lfdash.runs.metrics.progress import Progress
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView
from tests.support.runs import plan_for, record_for


@pytest.mark.parametrize(
    ("total", "words"),
    [
        (1000, "the first is saved at step 50."),
        (32, "nothing is saved before its end (step 32)."),
        (None, "the first is saved at step 50, or at the end of the run if that comes earlier."),
    ],
)
def test_when_the_first_checkpoint_comes_is_said_as_far_as_it_is_known(
    tmp_path: Path, total: int | None, words: str
) -> None:
    record = record_for(plan_for(tmp_path / "ws"))
    view = RunView(
        "id", "any", tmp_path, "", RunState.RUNNING, record=record, progress=Progress(step=3, total=total),
    )
    assert no_checkpoint_in("en", view, RunDetails({"save_steps": 50})).endswith(words)
