"""How far a trainer_state.json says that a training came; read from its edges."""

from __future__ import annotations

import math
import re
from pathlib import Path

from lfdash.files import is_absent, look_json, read_edges

EDGE = 1 << 12  # bytes of trainer_state.json in which a number stands that is before, or behind, its long history
LARGEST_STATE = 1 << 26
MOST_STEPS = 1 << 53
GLOBAL_STEP = re.compile(rb'\n  "global_step": (\d{1,15}),\n')
MAX_STEPS = re.compile(rb'\n  "max_steps": (\d{1,15}),\n')


def read_steps(path: Path | str) -> tuple[int | None, int | None]:
    """(global_step, max_steps) of a trainer_state.json; None for what it does not say. OSError when reading failed.

    transformers writes the keys in order, one a line (trainer_callback.py, save_to_json): only the file's edges are
    read, unless it looks otherwise.
    """
    try:
        head, tail = read_edges(path, EDGE)
    except OSError as error:
        if is_absent(error):
            return None, None
        raise
    step, most = GLOBAL_STEP.search(head), MAX_STEPS.search(tail)
    if step and most:
        return int(step[1]), int(most[1])
    state = look_json(path, limit=LARGEST_STATE)
    return whole(state.get("global_step")), whole(state.get("max_steps"))


def whole(value: object) -> int | None:
    """A number of steps; None for anything else."""
    if isinstance(value, float) and math.isfinite(value):
        value = int(value)
    return value if isinstance(value, int) and abs(value) < MOST_STEPS else None
