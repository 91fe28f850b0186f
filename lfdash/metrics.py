"""Rows of a trainer log -> columns to draw and one line of progress."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a run is; None where the log does not say.

    percent: 0-100. elapsed_s, remaining_s: seconds. loss: the newest training loss. tokens_per_s: recent speed.
    """

    step: int | None = None
    total: int | None = None
    percent: float | None = None
    epoch: float | None = None
    elapsed_s: float | None = None
    remaining_s: float | None = None
    loss: float | None = None
    tokens_per_s: float | None = None
