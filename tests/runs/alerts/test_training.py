"""The rules over losses: what they are for is seen, and soon; what looks like it is not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lfdash.engine.alert_words import what_in
from lfdash.locales import available
from lfdash.runs.alerts.alert import Facts, Found
from lfdash.runs.alerts.levels import LossLevels
from lfdash.runs.alerts.rules import BY_NAME
from lfdash.runs.alerts.settings import defaults
from lfdash.runs.metrics.frame import MetricFrame
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView
from tests.support.columns import Row, columns, dead_since, until

TRAINING = ("nan", "diverged", "plateau", "overfit")


def first_alerts(frame: MetricFrame, planned: int, **limits: float) -> dict[str, tuple[int, Found]]:
    """Each training rule that becomes true while the columns grow row by row: at which step, and what it says."""
    levels, found = LossLevels(), dict[str, tuple[int, Found]]()
    for rows in range(1, len(frame) + 1):
        part = until(frame, rows)
        levels.take(part, dead_since(part), planned)
        for name in TRAINING:
            rule = BY_NAME[name]
            own: Mapping[str, float] = {**defaults(rule).limits, **limits}
            told = rule.check(Facts(levels=levels), own)
            if told is not None:
                found.setdefault(name, (int(part["step"][-1]), told))
    return found


def falling(count: int = 400, *, noise: float = 0.1, start: float = 2.5, end: float = 1.0, seed: int = 1) -> list[Row]:
    """The rows of a healthy training."""
    random = np.random.default_rng(seed)
    return [
        {
            "step": step, "loss": end + (start - end) * math.exp(-step / (count / 6)) + random.normal(0, noise),
            "learning_rate": 1e-4 * (1 - step / (count + 1)), "grad_norm": 1.0,
        }
        for step in range(1, count + 1)
    ]


@pytest.mark.parametrize(("state", "told"), [(RunState.SUCCEEDED, True), (RunState.RUNNING, False)])
def test_of_a_run_that_is_over_one_loss_that_is_no_number_is_told(state: RunState, told: bool) -> None:
    """It saved what that step has left, so there is nothing to be waited for."""
    frame, levels, rule = columns([*falling(5), {"step": 6, "loss": math.nan}]), LossLevels(), BY_NAME["nan"]
    levels.take(frame, 6.0, 6)
    view = RunView("id-r1", "r1", Path("/w/r1"), "r1", state)
    found = rule.check(Facts(view, levels), defaults(rule).limits)
    assert (None if found is None else found.step) == (6 if told else None)


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_a_healthy_training_alerts_nothing(noise: float, seed: int) -> None:
    assert first_alerts(columns(falling(noise=noise, seed=seed)), 400) == {}


def test_spikes_and_an_outlier_are_no_divergence() -> None:
    rows = falling(300)
    for place in (50, 51, 120, 200, 201, 202):
        rows[place] = {**rows[place], "loss": 40.0}
    assert first_alerts(columns(rows), 300) == {}


def test_a_divergence_is_seen_within_the_rows_that_are_asked_for() -> None:
    high = [{"step": step, "loss": 6.0 + (step % 3) / 10, "learning_rate": 1e-4} for step in range(201, 240)]
    rows = falling(200) + high
    found = first_alerts(columns(rows), 300)
    assert list(found) == ["diverged"]
    seen, told = found["diverged"]
    assert seen <= 206 and told.step is not None and 200 <= told.step <= 201
    assert float(told.params["best"]) < 1.3 and 5 < float(told.params["loss"]) < 7
    assert first_alerts(columns(rows), 300, rows=30)["diverged"][0] > 220


def test_a_divergence_from_the_first_steps_on_is_seen() -> None:
    losses = [5.5, 5.4, 5.6, 5.5, 5.5, 9.0, 15.0, 22.0, 30.0, 41.0, 52.0, 60.0]
    found = first_alerts(columns({"step": step, "loss": loss} for step, loss in enumerate(losses, 1)), 100)
    assert found["diverged"][0] <= 12


def test_what_a_resume_replaces_is_forgotten() -> None:
    """A run that diverged was resumed from before: the new rows alone count."""
    bad = [{"step": step, "loss": 9.0} for step in range(101, 140)]
    good = [{"step": step, "loss": 1.0} for step in range(101, 200)]
    levels = LossLevels()
    levels.take(columns(falling(100) + bad))
    limits = defaults(BY_NAME["diverged"]).limits
    assert BY_NAME["diverged"].check(Facts(levels=levels), limits) is not None
    levels.take(columns(falling(100) + bad + good))
    assert BY_NAME["diverged"].check(Facts(levels=levels), limits) is None


@pytest.mark.parametrize("scale", [0.02, 0.0003])
def test_the_loss_of_a_policy_scatters_around_zero_and_is_no_divergence(scale: float) -> None:
    random = np.random.default_rng(0)
    rows = [{"step": step, "loss": random.normal(0, scale)} for step in range(1, 400)]
    assert first_alerts(columns(rows), 400) == {}
    scored = [{**row, "reward": 1.0, "loss": abs(row["loss"]) * step} for step, row in enumerate(rows)]
    assert first_alerts(columns(scored), 400) == {}


def test_a_loss_that_is_no_number_is_seen_after_three() -> None:
    rows = falling(50) + [{"step": step, "loss": math.nan} for step in range(51, 60)]
    seen, told = first_alerts(columns(rows), 100)["nan"]
    assert (seen, told.step) == (53, 51)
    assert first_alerts(columns(rows), 100, rows=7)["nan"][0] == 57


def test_a_loss_logged_as_zero_is_seen_by_the_gradient_norm() -> None:
    rows = falling(50) + [{"step": step, "loss": 0.0, "grad_norm": math.nan} for step in range(51, 60)]
    assert first_alerts(columns(rows), 100)["nan"][1].step == 51


def test_a_loss_that_falls_to_zero_at_once_is_dead_and_one_that_is_learned_to_zero_is_not() -> None:
    dead = [{"step": step, "loss": 1.5 if step < 30 else 0.0} for step in range(1, 60)]
    assert first_alerts(columns(dead), 100)["nan"][1].step == 30
    learned = [{"step": step, "loss": round(3 * math.exp(-step / 8), 4), "grad_norm": 0.01} for step in range(1, 200)]
    assert "nan" not in first_alerts(columns(learned), 200)
    without_norms = [{name: row[name] for name in ("step", "loss")} for row in learned]
    assert "nan" not in first_alerts(columns(without_norms), 200)


def test_a_gradient_of_zero_beside_a_loss_is_dead_and_beside_none_it_is_the_end() -> None:
    """As a real training at a learning rate of 1000 ended: one loss for ever, and no gradient."""
    rows = falling(50) + [{"step": step, "loss": 6.6883, "grad_norm": 0.0} for step in range(51, 80)]
    seen, told = first_alerts(columns(rows), 100)["nan"]
    assert (seen, told.step, told.params["loss"], told.occasion) == (60, 51, "6.688", "gradient")
    learned = [{**row, "loss": 0.001} if row["step"] > 50 else row for row in rows]
    assert "nan" not in first_alerts(columns(learned), 100)


def test_a_run_that_learns_nothing_stands_still() -> None:
    random = np.random.default_rng(3)
    rows = [{"step": step, "loss": 3.0 + random.normal(0, 0.05), "learning_rate": 1e-4} for step in range(1, 1001)]
    seen, told = first_alerts(columns(rows), 1000)["plateau"]
    assert 400 <= seen <= 700 and told.params["steps"] == 400
    decayed = [{**row, "learning_rate": 1e-4 if row["step"] < 100 else 1e-6} for row in rows]
    assert first_alerts(columns(decayed), 1000) == {}


def test_a_loss_that_falls_slowly_under_much_noise_is_hardly_ever_called_still() -> None:
    """It falls by less than a scatter's half in the whole run: chance alone may make it stand still for a while."""
    alerted = 0
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(0, 0.25, 500)
        losses = [3.0 - step / 4000 + noise[step - 1] for step in range(1, 501)]
        frame = columns({"step": step, "loss": loss, "lr": 1.0} for step, loss in enumerate(losses, 1))
        alerted += bool(first_alerts(frame, 500))
    assert alerted <= 1


def test_a_run_that_has_learned_stands_still_only_with_its_evaluations() -> None:
    rows = [{"step": step, "loss": 3.0 if step < 50 else 1.0, "learning_rate": 1e-4} for step in range(1, 1001)]
    assert first_alerts(columns(rows), 1000) == {}
    evaluated = [{**row, **({"eval_loss": 1.2} if row["step"] % 50 == 0 else {})} for row in rows]
    assert list(first_alerts(columns(evaluated), 1000)) == ["plateau"]


def evaluated(losses: list[float], train: list[float]) -> MetricFrame:
    """A training with an evaluation each ten steps. train: the training loss then."""
    rows = []
    for place, (loss, level) in enumerate(zip(losses, train, strict=True)):
        rows += [{"step": place * 10 + step, "loss": level} for step in range(1, 11)]
        rows.append({"step": place * 10 + 10, "eval_loss": loss})
    return columns(rows)


def test_overfitting_is_evaluations_that_rise_while_the_training_falls() -> None:
    found = first_alerts(evaluated([2.0, 1.5, 1.6, 1.7, 1.9, 2.1], [2.0, 1.5, 1.2, 0.9, 0.6, 0.4]), 60)
    seen, told = found["overfit"]
    assert (seen, told.step, told.params["best"]) == (50, 20, "1.5")


def on_datasets(losses: dict[str, list[float]], train: list[float]) -> MetricFrame:
    """The same with several datasets, as the console tells of them. losses: by dataset."""
    rows: list[dict[str, float]] = []
    for place, level in enumerate(train):
        rows += [{"step": place * 10 + step, "loss": level, "lr": 1e-4} for step in range(1, 11)]
    frame = columns(rows)
    told = {}
    for name, values in losses.items():
        column = told[f"eval_{name}_loss"] = np.full(len(frame), math.nan)
        column[9::10] = values
    return replace(frame, columns={**frame.columns, **told})


RISING, FALLING, TRAIN = [2.0, 1.5, 1.6, 1.7, 1.9, 2.1], [2.0, 1.8, 1.6, 1.4, 1.2, 1.0], [2.0, 1.5, 1.2, 0.9, 0.6, 0.4]


def test_of_several_datasets_each_is_judged_and_named() -> None:
    found = first_alerts(on_datasets({"a": FALLING, "wiki_en": RISING}, TRAIN), 60)
    seen, told = found["overfit"]
    assert (seen, told.step, told.params["dataset"], told.params["best"]) == (50, 20, "wiki_en", "1.5")
    alert = told.alert("overfit", None, 0.0)
    for code in available():
        assert "wiki_en" in what_in(code, alert) and "1.9" in what_in(code, alert)
    assert "overfit" not in first_alerts(on_datasets({"a": FALLING, "b": FALLING}, TRAIN), 60)
    single = first_alerts(evaluated(RISING, TRAIN), 60)["overfit"][1]
    assert "dataset" not in single.params


def test_what_the_console_says_of_datasets_may_come_after_the_rows() -> None:
    frame, levels = on_datasets({"a": RISING}, TRAIN), LossLevels()
    known = {name: column for name, column in frame.columns.items() if name != "eval_a_loss"}
    levels.take(replace(frame, columns=known))
    for count in (0, 25, 60):  # of the places that the console has told of
        late = np.where(np.arange(len(frame)) < count, frame["eval_a_loss"], math.nan)
        levels.take(replace(frame, columns={**known, "eval_a_loss": late}))
        assert [one.loss for one in levels.evaluations("eval_a_loss")] == RISING[: count // 10][::-1]


def test_a_run_stands_still_only_where_it_does_so_on_all_datasets() -> None:
    rows = [{"step": step, "loss": 3.0 if step < 50 else 1.0, "lr": 1e-4} for step in range(1, 1001)]
    frame = columns(rows)
    flat, falling = np.full(1000, math.nan), np.full(1000, math.nan)
    flat[49::50], falling[49::50] = 1.2, np.linspace(3.0, 1.0, 20)
    for extra, told in ((flat, ["plateau"]), (falling, [])):
        more = {**frame.columns, "eval_a_loss": flat, "eval_b_loss": extra}
        assert list(first_alerts(replace(frame, columns=more), 1000)) == told


def test_a_slow_rise_is_seen_after_twice_as_many_evaluations() -> None:
    """As the tiny model does on a dozen rows."""
    losses = [3.517, 3.299, 3.274, 3.435, 3.496, 3.519, 3.546, 3.568, 3.587]
    found = first_alerts(evaluated(losses, [3.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01]), 90)
    assert (found["overfit"][0], found["overfit"][1].step) == (90, 30)


@pytest.mark.parametrize(
    ("losses", "train"),
    [
        ([2.0, 1.5, 1.55, 1.58, 1.6, 1.61], [2.0, 1.5, 1.2, 0.9, 0.6, 0.4]),  # hardly
        ([2.0, 1.5, 1.7, 1.8, 1.9, 2.0], [2.0, 1.5, 1.5, 1.5, 1.6, 1.6]),  # the training does not fall: it is worse
        ([2.0, 1.5, 1.9, 1.6, 1.9, 1.55], [2.0, 1.5, 1.2, 0.9, 0.6, 0.4]),  # up and down
        ([2.0, 1.5, 1.4, 1.3, 1.2, 1.1], [2.0, 1.5, 1.2, 0.9, 0.6, 0.4]),
    ],
)
def test_other_evaluations_are_no_overfitting(losses: list[float], train: list[float]) -> None:
    assert "overfit" not in first_alerts(evaluated(losses, train), 60)
