"""From which step on a training can be resumed, and what is lost by a stop before it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from lfdash.runs.arguments import Value
from lfdash.runs.details import RunDetails
from lfdash.runs.record import STOPPABLE
from lfdash.runs.view import RunView

NEVER = 0
SAVE_STEPS, EPOCHS = 500.0, 3.0  # where none are given (transformers, TrainingArguments)


def first_checkpoint(args: Mapping[str, Value], total: int | None) -> int | None:
    """The step of the first checkpoint of a training (transformers, DefaultFlowCallback); NEVER where it saves none,
    None where that cannot be told. args: all that were given. total: planned steps, where that is known."""
    strategy, most = str(args.get("save_strategy") or "steps"), int(number(args.get("max_steps"), -1.0))
    total = most if total is None and most > 0 else total
    if strategy == "no":
        return NEVER
    if strategy == "steps":
        every = number(args.get("save_steps"), SAVE_STEPS)
        if 0 < every < 1:  # a share of all
            return None if total is None else math.ceil(every * total)
        if every <= 0:  # that of the end alone
            return total
        return int(every) if total is None else min(int(every), total)
    epochs = number(args.get("num_train_epochs"), EPOCHS)
    if strategy == "epoch" and total is not None and epochs > 0 and number(args.get("max_steps"), -1.0) <= 0:
        return min(total, math.ceil(total / epochs))
    return None


def number(value: Value | None, default: float) -> float:
    """A number that was given, as such or as text; the default for anything else."""
    try:
        found = default if value is None or isinstance(value, bool) else float(value)
    except ValueError:
        return default
    return found if math.isfinite(found) else default


def lacks_checkpoint(view: RunView, details: RunDetails) -> tuple[bool, int | None]:
    """Whether a training that goes on could not be resumed, were it stopped now; and the step of its first checkpoint,
    as `first_checkpoint`. details: of the run."""
    if view.state not in STOPPABLE or view.waiting is not None or view.record is None or view.saved.checkpoints:
        return False, None
    return True, first_checkpoint(details.args, view.progress.total) if details.complete else None
