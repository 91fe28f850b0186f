"""What past runs on the same card say of an estimate: by how much it was off. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from lfdash.memory.estimate import Estimate
from lfdash.memory.subject import Learned, Subject

NEAREST = 5  # runs whose ratio is taken
MOST = 0.15  # share that an estimate is corrected by at most; further off, something else was measured


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

    @property
    def torch_reserved(self) -> int | None:
        """What torch had reserved: as it logged, else what the card shows, without the CUDA context."""
        if self.reserved or self.driver is None:
            return self.reserved
        return max(0, self.driver - self.estimate.terms["driver"])


def learned_of(subject: Subject, past: Iterable[PastRun]) -> Learned | None:
    """The median of measured to foretold among the five nearest runs: of the same kind, then of the same model, then of
    about the same size. Each of the two figures by its own; None where no run tells anything."""
    near = sorted(
        (run for run in past if run.subject.kind == subject.kind), key=lambda run: distance(run.subject, subject)
    )
    allocated, by_allocated = ratio([(run, run.allocated, run.estimate.allocated) for run in near])
    reserved, by_reserved = ratio([(run, run.torch_reserved, run.estimate.reserved) for run in near])
    used = by_reserved or by_allocated
    if not used:
        return None
    differs = max(abs(allocated - 1), abs(reserved - 1)) > MOST
    return Learned(allocated, reserved, subject.kind, used[0].name, len(used), differs)


def distance(one: Subject, two: Subject) -> tuple[bool, float]:
    """How unlike two trainings are: another model first, then sizes of model and batch."""
    pairs = (one.architecture.total, two.architecture.total), (one.tokens, two.tokens)
    # a difference of logarithms, since a run's own settings may name any size
    far = sum(abs(math.log(max(1, first)) - math.log(max(1, second))) for first, second in pairs)
    return one.architecture != two.architecture, far


def ratio(found: list[tuple[PastRun, int | None, int]]) -> tuple[float, list[PastRun]]:
    """The median of measured to foretold among the nearest runs that have the figure, and these runs; 1 without any."""
    known = [(run, measured / foretold) for run, measured, foretold in found if measured and foretold][:NEAREST]
    if not known:
        return 1.0, []
    return statistics.median(value for _, value in known), [run for run, _ in known]
