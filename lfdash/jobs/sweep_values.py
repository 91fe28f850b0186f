"""The values that one setting takes in a sweep: read from a list or a range, written as they were, told in a name."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lfdash.jobs.field import Field
from lfdash.jobs.fields import BY_ID, ROWS, arguments
from lfdash.jobs.job import coerce
from lfdash.jobs.kinds import DEFAULT
from lfdash.outcomes import Problem, Value

MOST_VALUES = 100  # of one setting
SWEPT = ("int", "float", "bool", "choice")
NUMBERS = ("int", "float")
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
RANGE = re.compile(rf"\s*({NUMBER})\s*\.\.\s*({NUMBER})(?:\s+(log|linear))?(?:\s+(\d{{1,6}}))?\s*")
SHORT = {
    "learning_rate": "lr", "lora_rank": "r", "lora_alpha": "a", "lora_dropout": "drop", "batch_size": "bs",
    "gradient_accumulation_steps": "ga", "num_train_epochs": "ep", "lr_scheduler_type": "sched", "cutoff_len": "len",
    "warmup_ratio": "wr", "warmup_steps": "wu", "weight_decay": "wd", "max_steps": "steps", "pref_beta": "beta",
    "finetuning_type": "", "compute_type": "",
}


@dataclass(frozen=True)
class Dimension:
    """A setting of the sweep. field: its id. values: what it takes, in order; empty for a range without a number of
    values, from which a strategy draws. low, high: the ends of a range, inclusive. log: it is drawn, or divided, by
    its logarithm. steps: the number of values that a range is divided into."""

    field: str
    values: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False
    steps: int | None = None

    @property
    def row(self) -> Field:
        """The setting's row in the table."""
        return BY_ID[self.field]

    @property
    def continuous(self) -> bool:
        """Whether it has no list of values."""
        return not self.values

    def written(self) -> str | list[Value]:
        """As a `sweep` mapping holds it."""
        if self.low is None or self.high is None:
            return list(self.values)
        steps = [] if self.steps is None else [str(self.steps)]
        return " ".join([f"{plain(self.low)}..{plain(self.high)}", "log" if self.log else "linear", *steps])


def key_of(row: Field) -> str:
    """What a setting is called in a `sweep` mapping: its argument where it is one, else its own name."""
    names = arguments(row)
    return names[0] if len(names) == 1 else row.name


def can_be_swept(row: Field) -> bool:
    """Whether a setting may have several values: a number, a choice or a switch that becomes an argument."""
    return row.kind in SWEPT and bool(arguments(row)) and not (row.secret or row.env or row.hidden)


def row_named(name: str) -> Field | None:
    """The setting of training that an argument, or a field's own name, means."""
    found = [row for row in ROWS[DEFAULT.name] if name in (key_of(row), row.name, row.id)]
    return next((row for row in found if can_be_swept(row)), next(iter(found), None))


def read_dimension(row: Field, raw: Any) -> Dimension | Problem:
    """The values of one setting.

    raw: a list, or a text: `1e-5, 5e-5` or a range `1e-5..1e-3 log 5` (`log` or `linear`, which is what it is without a
    word; the number of values may be left out where a strategy draws).
    Problem: sweep_not_swept, sweep_range_*, sweep_one, sweep_many_values, sweep_twice, and what `coerce` refuses.
    """
    if not can_be_swept(row):
        return Problem(row.id, "sweep_not_swept", {"name": key_of(row)})
    if isinstance(raw, str) and ".." in raw:
        return read_range(row, raw)
    parts = [part.strip() for part in raw.split(",")] if isinstance(raw, str) else raw
    if not isinstance(parts, list | tuple):
        parts = [parts]
    values: list[Value] = []
    for part in parts:
        got = coerce(row, part)
        if got.problem is not None:
            return got.problem
        if got.value is None:
            continue
        if any(got.value == value for value in values):
            return Problem(row.id, "sweep_twice", {"value": got.value})
        values.append(got.value)
    if len(values) < 2:
        return Problem(row.id, "sweep_one", {"name": key_of(row)})
    if len(values) > MOST_VALUES:
        return Problem(row.id, "sweep_many_values", {"count": len(values), "max": MOST_VALUES})
    return Dimension(row.id, tuple(values))


def read_range(row: Field, text: str) -> Dimension | Problem:
    """A range of numbers. Problem: sweep_range_shape, _kind, _order, _log, _steps, and what `coerce` refuses."""
    match = RANGE.fullmatch(text)
    if match is None or row.kind not in NUMBERS:
        return Problem(row.id, "sweep_range_shape" if row.kind in NUMBERS else "sweep_range_kind", {"value": text[:80]})
    ends = []
    for part in match.group(1, 2):
        got = coerce(row, part)
        if got.problem is not None:
            return got.problem
        assert isinstance(got.value, int | float)
        ends.append(float(got.value))
    (low, high), log = ends, match.group(3) == "log"
    steps = None if match.group(4) is None else int(match.group(4))
    if low >= high:
        return Problem(row.id, "sweep_range_order", {"value": text, "low": plain(low), "high": plain(high)})
    if log and low <= 0:
        return Problem(row.id, "sweep_range_log", {"value": text, "low": plain(low)})
    if steps is not None and not 2 <= steps <= MOST_VALUES:
        return Problem(row.id, "sweep_range_steps", {"value": text, "count": steps, "max": MOST_VALUES})
    values = () if steps is None else divided(row, low, high, steps, log=log)
    return Dimension(row.id, values, low, high, log, steps)


def divided(row: Field, low: float, high: float, steps: int, *, log: bool) -> tuple[Value, ...]:
    """A range's values, its two ends among them, at equal distances or ratios; whole numbers each once."""
    if log:
        found = [math.exp(math.log(low) + (math.log(high) - math.log(low)) * n / (steps - 1)) for n in range(steps)]
    else:
        found = [low + (high - low) * n / (steps - 1) for n in range(steps)]
    inner = [float(f"{value:.4g}") for value in found[1:-1]]
    numbers = [low, *(value for value in inner if low < value < high), high]
    if row.kind == "int":
        return tuple(dict.fromkeys(round(value) for value in numbers))
    return tuple(dict.fromkeys(numbers))


# -- names ----------------------------------------------------------------------------------------------


def plain(value: float) -> str:
    """A number as people write it: 1e-5, 0.05, 16."""
    if float(value).is_integer() and abs(value) < 1e6:
        return str(int(value))
    text = f"{value:.6g}" if abs(value) >= 0.01 else re.sub(r"\.?0*e", "e", f"{value:.5e}")
    return re.sub(r"e([+-])0*(\d)", lambda found: f"e{found[1].replace('+', '')}{found[2]}", text)


def told(value: Value) -> str:
    """A value in a run's name: a drawn number with three digits, nothing that a folder's name could not hold."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return plain(float(f"{value:.3g}")) if isinstance(value, float) else str(value)
    return re.sub(r"[^\w.]+", "-", str(value)).strip("-.")[:24]


def part_of_name(row: Field, value: Value) -> str:
    """A setting and its value in a run's name: `lr1e-5`, `packing-on`."""
    short, word = SHORT.get(row.name, row.name), told(value)
    return f"{short}{word}" if row.kind in NUMBERS or not short else f"{short}-{word}"


def name_of(values: Iterable[tuple[str, Value]], taken: Callable[[str], bool] = lambda name: False) -> str:
    """The name of a run that tells its values (field id, value): `lr1e-5_r8`; with a number behind it where it is
    taken."""
    name = "_".join(part_of_name(BY_ID[field], value) for field, value in values)[:100]
    number, found = 1, name
    while taken(found):
        number += 1
        found = f"{name}_{number}"
    return found
