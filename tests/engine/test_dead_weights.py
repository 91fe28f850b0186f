"""Weights of a run whose loss is no number are told of wherever a job names them, as long as it does."""

from __future__ import annotations

import errno
import json
import math
from pathlib import Path
from typing import Any

import pytest

import lfdash
from lfdash.engine import dead_weights
from lfdash.outcomes import Problem
from tests.engine.test_on_disk import NO_GPU, opened, write
from tests.support.alerts import unreadable
from tests.support.feeds import written
from tests.support.jobs import GOOD

RUN = "saves/m/lora/r"
ROWS = [{"current_steps": step, "total_steps": 60, "loss": 2.0 if step < 30 else math.nan} for step in range(1, 61)]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> lfdash.Workspace:
    """A workspace with a run that diverged at step 30."""
    for step in ("", "/checkpoint-10", "/checkpoint-20", "/checkpoint-40"):
        write(tmp_path / f"{RUN}{step}" / "adapter_config.json", "{}")
        write(tmp_path / f"{RUN}{step}" / "adapter_model.safetensors", "")
        write(tmp_path / f"{RUN}{step}" / "trainer_state.json", "{}")
    write(tmp_path / RUN / "checkpoint-25" / "half", "")
    write(tmp_path / RUN / "trainer_log.jsonl", written(ROWS))
    return opened(tmp_path, monkeypatch, NO_GPU)


def told(workspace: lfdash.Workspace, **args: Any) -> list[Problem]:
    given = {"dataset": "demo_sft", "output_dir": "saves/m/lora/s", **args}
    problems = workspace.check({**GOOD, **given})
    assert isinstance(problems, tuple), problems
    return [problem for problem in problems if problem.code.startswith("weights_dead")]


def test_an_adapter_of_such_a_run_is_a_warning_with_the_checkpoint_from_before(workspace: lfdash.Workspace) -> None:
    (problem,) = told(workspace, adapter_name_or_path=RUN)
    assert (problem.code, problem.level, problem.field) == ("weights_dead_earlier", "warning", "top.checkpoint_path")
    assert problem.params == {"value": RUN, "step": 30, "earlier": "checkpoint-20"}
    assert problem.fix == {"top.checkpoint_path": [f"{RUN}/checkpoint-20"]}
    assert told(workspace, adapter_name_or_path=f"{RUN}/checkpoint-20") == []
    (late,) = told(workspace, adapter_name_or_path=f"{RUN}/checkpoint-40")
    assert late.params["value"] == f"{RUN}/checkpoint-40" and late.fix == problem.fix


def test_every_argument_that_names_weights_is_looked_at(workspace: lfdash.Workspace, tmp_path: Path) -> None:
    write(tmp_path / RUN / "config.json", "{}")
    (model,) = told(workspace, model_name_or_path=RUN)
    assert (model.code, model.field, model.fix) == ("weights_dead", "top.model_path", None)
    assert [one.params["value"] for one in told(workspace, ref_model=RUN, ref_model_adapters=f"{RUN}/checkpoint-40")
            ] == [RUN, f"{RUN}/checkpoint-40"]
    (resumed,) = told(workspace, resume_from_checkpoint=f"{RUN}/checkpoint-40")
    assert resumed.fix == {"train.resume_from_checkpoint": f"{RUN}/checkpoint-20"}
    assert told(workspace, adapter_name_or_path=str(tmp_path / RUN))[0].params["value"] == str(tmp_path / RUN)


def test_of_other_runs_nothing_is_said(workspace: lfdash.Workspace, tmp_path: Path) -> None:
    log = tmp_path / RUN / "trainer_log.jsonl"
    log.write_text(written([*ROWS, {"current_steps": 61, "total_steps": 99, "loss": 1.0}]))
    assert told(workspace, adapter_name_or_path=RUN) == [], "it goes on from an earlier checkpoint"
    log.unlink()
    assert told(workspace, adapter_name_or_path=RUN) == []


def test_where_the_best_weights_were_loaded_at_the_end_those_count(
    workspace: lfdash.Workspace, tmp_path: Path
) -> None:
    write(tmp_path / RUN / "training_args.yaml", "load_best_model_at_end: true\n")
    for best, codes in ((20, []), (40, ["weights_dead_earlier"])):
        state = {"best_model_checkpoint": f"/somewhere/{RUN}/checkpoint-{best}"}
        write(tmp_path / RUN / "trainer_state.json", json.dumps(state))
        assert [one.code for one in told(workspace, adapter_name_or_path=RUN)] == codes


def test_what_cannot_be_looked_at_is_not_called_useless(
    workspace: lfdash.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unreadable(monkeypatch, errno.EACCES, "trainer_log.jsonl"):
        assert dead_weights.dead_weights(workspace.services, {"adapter_name_or_path": RUN}) == {}
    assert dead_weights.dead_weights(workspace.services, {"adapter_name_or_path": RUN})


@pytest.mark.parametrize(
    ("name", "step"), [("checkpoint-7", 7), ("checkpoint-", None), ("r", None), ("checkpoint-٣", None), ("7", None)]
)
def test_a_checkpoint_is_known_by_its_name(name: str, step: int | None) -> None:
    assert dead_weights.checkpoint_in(name) == step
