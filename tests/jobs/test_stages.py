"""Every stage has what a stage needs; a stage that LlamaBoard lacks goes through its files all the same."""

from __future__ import annotations

import json

import pytest

from lfdash.jobs import stages
from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.fields import BY_ID
from lfdash.jobs.job import JobConfig
from lfdash.jobs.llamaboard_format import job_from_state, state_from_job
from lfdash.jobs.presets import list_presets
from lfdash.jobs.stages import BY_CODE, METHODS, Stage
from lfdash.locales import DEFAULT_LANGUAGE, lookup, problem_in
from lfdash.outcomes import Problem
from tests.support import ROOT


@pytest.mark.parametrize("code", BY_CODE)
def test_a_stage_has_a_word_and_a_preset(code: str) -> None:
    assert lookup(DEFAULT_LANGUAGE, "choices", f"train.training_stage.{code}")
    assert any(preset.args.get("stage") == code for preset in list_presets(ROOT / "configs" / "presets"))


def test_the_form_offers_what_the_tables_hold() -> None:
    assert BY_ID["train.training_stage"].choices == tuple(BY_CODE)
    assert BY_ID["top.finetuning_type"].choices == METHODS


def test_a_stage_that_llamaboard_lacks_goes_through_its_extra_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BY_CODE, "odpo", Stage("odpo"))
    values = job_from_args({"model_name_or_path": "org/m", "do_train": True}).values
    job = JobConfig("train", {**values, "train.training_stage": "odpo"})
    state = state_from_job(job)
    assert state["train.training_stage"] == BY_CODE["sft"].board
    assert json.loads(state["train.extra_args"])["stage"] == "odpo"
    assert build_args(job_from_state(state))["stage"] == "odpo"


def test_a_problem_tells_stages_by_their_words() -> None:
    problem = Problem(None, "dataset_ranked", {"value": "pairs", "stages": stages.RANKED})
    assert "which only these stages use: Reward model, DPO" in problem_in("en", problem)
