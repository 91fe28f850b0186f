"""What past runs on the same card say of an estimate: by how much it was off. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lfdash.memory.correction import Learned, Off
from lfdash.memory.estimate import Estimate
from lfdash.memory.subject import LOSS, WHAT, Subject

NEAREST = 5  # runs whose ratio is taken
Kind = tuple[object, ...]
Sizes = Callable[["PastRun"], tuple[int | None, int]]


@dataclass(frozen=True)
class PastRun:
    """A run whose memory was measured. name: of the run; estimate: what the closed form said of it; allocated,
    reserved: bytes that torch had at its peak, None where these were not logged (RECORD_VRAM=1: train/callbacks.py of
    LLaMA-Factory); driver: bytes by which its card was fuller than before it, None where that is not known."""

    name: str
    subject: Subject
    estimate: Estimate
    allocated: int | None = None
    reserved: int | None = None
    driver: int | None = None


class PastRuns:
    """What past runs say of a training, and of the same with other settings. near: the training.

    A kind (`Subject.kind`) is told of by the five nearest runs of it: of the same model first, then of about the same
    size. Without any, by those that differ in nothing but whether the loss is fused. Another kind of which nobody tells
    keeps what is known of `near`, so that one setting is compared with another by the same correction.
    """

    def __init__(self, runs: Iterable[PastRun], near: Subject) -> None:
        known = [run for run in runs if run.allocated or run.reserved or run.driver]
        self._runs = sorted(known, key=lambda run: distance(run.subject, near))
        self._near = near.kind
        self._found: dict[Kind, Learned | None] = {}

    def of(self, kind: Kind) -> Learned | None:
        """As `correction.Past`."""
        if kind not in self._found:
            found = self._own(kind)
            if found is None and kind != self._near and kind[:WHAT] == self._near[:WHAT]:
                found = self._own(self._near)
            self._found[kind] = found
        return self._found[kind]

    def _own(self, kind: Kind) -> Learned | None:
        """What runs of a kind say, or of one that is like it."""
        same = [run for run in self._runs if run.subject.kind == kind]
        like = [run for run in self._runs if but_for_loss(run.subject.kind) == but_for_loss(kind)]
        return learned_from(same or like)


def but_for_loss(kind: Kind) -> Kind:
    """A kind without whether the loss is fused."""
    return (*kind[:LOSS], *kind[LOSS + 1 :])


def learned_from(runs: list[PastRun]) -> Learned | None:
    """The median of measured to foretold among the first of some runs, each figure by its own: what PyTorch allocated
    by that, what it reserved by that. What the card showed stands in where none of them logged what was reserved."""
    allocated, of_allocated = off(runs, lambda run: (run.allocated, run.estimate.allocated))
    # Of rows of other lengths room of each is kept, which says nothing. Packed ones are as long as each other.
    even = [run for run in runs if run.subject.packed or not run.subject.padded]
    reserved, of_reserved = off(even, lambda run: (run.reserved, run.estimate.reserved))
    driver, of_driver = off(even, lambda run: (run.driver, run.estimate.driver)) if reserved is None else (None, [])
    used = of_reserved or of_driver or of_allocated
    return Learned(used[0].name, len(used), allocated, reserved, driver) if used else None


def distance(one: Subject, two: Subject) -> tuple[bool, float]:
    """How unlike two trainings are: another model first, then sizes of model and batch."""
    pairs = (one.architecture.total, two.architecture.total), (one.tokens, two.tokens)
    # a difference of logarithms, since a run's own settings may name any size
    far = sum(abs(math.log(max(1, first)) - math.log(max(1, second))) for first, second in pairs)
    return one.architecture != two.architecture, far


def off(runs: list[PastRun], sizes: Sizes) -> tuple[Off | None, list[PastRun]]:
    """By how much the first runs that have a figure were off, and these runs. sizes: of a run, measured and foretold.
    """
    known = [(run, *both) for run in runs if (both := sizes(run))[0] and both[1]][:NEAREST]
    if not known:
        return None, []
    ratio = statistics.median(measured / foretold for _, measured, foretold in known if measured)
    gap = statistics.median(measured - foretold for _, measured, foretold in known if measured)
    return Off(ratio, round(gap)), [run for run, _, _ in known]
