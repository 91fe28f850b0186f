"""What `lfdash.runs.metrics` makes of a log, made slowly and plainly: what its quick ways are compared with."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from lfdash.runs.metrics.frame import COLUMNS
from lfdash.runs.metrics.launches import Kind, Launches
from lfdash.runs.metrics.line import number, seconds

Row = dict[str, Any]
NAN = math.nan


def rows_of(text: bytes) -> list[Row]:
    """The mappings among the whole lines of a log, without their keys of no value."""
    rows = []
    for line in text.split(b"\n")[:-1]:
        try:
            row = json.loads(line.strip(b"\0 \r\t"))
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append({key: value for key, value in row.items() if value is not None})
    return rows


class Plain:
    """A dict a step; each launch cuts what it trains again."""

    def __init__(self) -> None:
        self.steps: dict[float, dict[str, float]] = {}
        self.planned: int | None = None
        self.starts: list[float] = []  # first steps of launches after the first, of those that are still there
        self._launches = Launches()
        self._evaluated: set[float] = set()
        self._base = 0.0
        self._timed: tuple[float, float] | None = None

    def add(self, rows: list[Row]) -> None:
        for row in rows:
            step = number(row.get("current_steps"))
            if not math.isfinite(step):
                continue
            total = number(row.get("total_steps"))
            if step == 0:
                self._plan(total)
                if min(self.steps, default=1.0) >= 0:
                    self._put(0.0, row, seconds(row))
                continue
            kind = self._launches.take_row(row, step, seconds(row))
            if kind is Kind.AFTER:
                if math.isfinite(seconds(row)):
                    self.steps[max(self.steps)]["seconds"] = seconds(row) + self._base
                continue
            self._plan(total)
            if kind is Kind.BESIDE:
                if "eval_loss" in row and step in self.steps and step not in self._evaluated:
                    self.steps[step]["eval_loss"] = number(row["eval_loss"])
                    self._evaluated.add(step)
                continue
            if kind is Kind.BEGINS:
                self._launch(row, step)
            if "eval_loss" in row or ("loss" not in row and "epoch" in row):
                self._evaluated.add(step)
            self._put(step, row, seconds(row) + self._base)
            self._speed(step, row)

    def _plan(self, total: float) -> None:
        if abs(total) < 2**63:
            self.planned = int(total)

    def _launch(self, row: Row, step: float) -> None:
        trains = "loss" in row
        kept = {at: values for at, values in self.steps.items() if at < step or (at == step and not trains)}
        if not any(at > 0 for at in kept):
            kept = {}
        self.steps = kept
        self._evaluated &= {*kept}
        told = [values["seconds"] for _, values in sorted(kept.items()) if math.isfinite(values.get("seconds", NAN))]
        self._base = told[-1] if told else 0.0
        self._timed = None
        self.starts = [at for at in self.starts if at in kept and at < step]
        closing = not trains and "eval_loss" not in row and number(row.get("total_steps")) == step
        if kept and not closing:
            self.starts.append(step)

    def _put(self, step: float, row: Row, when: float) -> None:
        values = self.steps.setdefault(step, {})
        for key, name in COLUMNS.items():
            if key in row and (key in ("loss", "eval_loss") or not math.isnan(number(row[key]))):
                values[name] = number(row[key])
        if not math.isnan(when):
            values["seconds"] = when

    def _speed(self, step: float, row: Row) -> None:
        tokens, now = number(row.get("total_tokens")), seconds(row)
        if "loss" in row and tokens > 0 and now > 0:
            before, self._timed = self._timed, (tokens, now)
            if before is not None and now > before[1]:
                self.steps[step]["tokens_per_s"] = (tokens - before[0]) / (now - before[1])

    def column(self, name: str) -> list[float]:
        """A column in the order of the steps."""
        if name == "step":
            return sorted(self.steps)
        return [self.steps[step].get(name, NAN) for step in sorted(self.steps)]


def smoothed(steps: list[float], values: list[float], span: float) -> list[float]:
    """The de-biased exponential mean, value by value."""
    result, total, weight, before = [], 0.0, 0.0, None
    for step, value in zip(steps, values, strict=True):
        fade = 1.0 if before is None else 0.5 ** ((step - before) / span)
        total, weight, before = total * fade + value, weight * fade + 1.0, step
        result.append(total / weight)
    return result


def same(left: Any, right: Any) -> bool:
    """Whether numbers are the same, NaN among them."""
    return bool(np.allclose(np.asarray(left, float), np.asarray(right, float), rtol=1e-9, atol=1e-12, equal_nan=True))
