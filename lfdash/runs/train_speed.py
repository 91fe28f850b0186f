"""How fast a training was, where its results tell it wrongly.

transformers divides the steps and samples that were planned by the time of the last launch (trainer.py,
_finalize_training and speed_metrics): of a run that was stopped, or resumed, that is too much.
"""

from __future__ import annotations

from collections.abc import Mapping

from lfdash.runs.metrics.whole import Whole

STEPS, SAMPLES, TOKENS = "train_steps_per_second", "train_samples_per_second", "train_tokens_per_second"
RUNTIME = "train_runtime"
LAST_ONLY = 0.9  # share of the whole time below which the results' time is that of the last launch alone


def own_speeds(
    scores: Mapping[str, float], whole: Whole, step: int | None, total: int | None
) -> dict[str, float | None]:
    """The speeds among a run's results that are wrong, as its log tells them; None where that does not. whole: time and
    speed of the whole training. step, total: the last one, and the last that was planned; None = not known."""
    runtime = scores.get(RUNTIME)
    took = step / whole.steps_per_s if step and whole.steps_per_s else None  # without an evaluation after its end
    resumed = runtime is not None and took is not None and runtime < LAST_ONLY * took
    stopped = step is not None and total is not None and step < total
    if not (resumed or stopped):
        return {}
    found = {STEPS: whole.steps_per_s, SAMPLES: None}
    if whole.steps_per_s is not None and runtime and total and SAMPLES in scores:
        found[SAMPLES] = scores[SAMPLES] * whole.steps_per_s * runtime / total
    if resumed:
        found[TOKENS] = whole.tokens_per_s
    return {name: value for name, value in found.items() if name in scores}
