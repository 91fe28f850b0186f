"""The speed that transformers tells of a run that was stopped or resumed is not that of its training."""

from __future__ import annotations

import pytest

from lfdash.runs.metrics.whole import UNTOLD, Whole
from lfdash.runs.train_speed import own_speeds

TOLD = {"train_runtime": 196.0, "train_steps_per_second": 0.51, "train_samples_per_second": 16.3, "train_loss": 2.0}


def test_a_run_that_was_stopped_made_fewer_steps_than_were_planned() -> None:
    found = own_speeds(TOLD, Whole(195.0, 0.061), 12, 100)
    assert found["train_steps_per_second"] == 0.061
    assert found["train_samples_per_second"] == pytest.approx(16.3 * 12 / 100, rel=0.01)
    assert set(found) == {"train_steps_per_second", "train_samples_per_second"}


def test_a_run_that_was_resumed_took_the_time_of_all_launches() -> None:
    told = {**TOLD, "train_tokens_per_second": 900.0}
    found = own_speeds(told, Whole(1000.0, 0.1, 180.0), 100, 100)
    assert (found["train_steps_per_second"], found["train_tokens_per_second"]) == (0.1, 180.0)
    assert found["train_samples_per_second"] == pytest.approx(16.3 * 0.196)


def test_what_is_right_is_left_and_what_the_log_does_not_tell_is_not_made_up() -> None:
    assert own_speeds(TOLD, Whole(195.0, 0.5), 100, 100) == {}
    assert own_speeds(TOLD, Whole(195.0, 0.5), None, None) == {}
    assert own_speeds(TOLD, Whole(900.0, 0.52), 100, 100) == {}, "it was evaluated after its end"
    wrong = {"train_steps_per_second": None, "train_samples_per_second": None}
    assert own_speeds(TOLD, UNTOLD, 12, 100) == wrong
    assert own_speeds({"eval_loss": 1.0}, Whole(1000.0, 0.1), 12, 100) == {}
