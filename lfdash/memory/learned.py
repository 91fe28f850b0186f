"""An estimate that past runs on the same machine correct. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace

from lfdash.memory.estimate import Estimate
from lfdash.memory.subject import Subject

NEAREST = 5  # runs whose ratio is taken
MOST = 0.15  # share that an estimate is corrected by at most; further off, something else was measured
DIFFERS = "runs_differ"


@dataclass(frozen=True)
class PastRun:
    """A run whose memory was logged (RECORD_VRAM=1: train/callbacks.py of LLaMA-Factory). name: of the run; estimate:
    what was foretold of it; allocated, reserved: bytes that torch had at its peak, None where that was not logged."""

    name: str
    subject: Subject
    estimate: Estimate
    allocated: int | None = None
    reserved: int | None = None


@dataclass(frozen=True)
class Corrected:
    """estimate: the corrected one; run: the nearest of the runs that corrected it, "" for none; runs: how many."""

    estimate: Estimate
    run: str = ""
    runs: int = 0


def corrected(estimate: Estimate, subject: Subject, past: Iterable[PastRun]) -> Corrected:
    """An estimate, corrected by the median of measured to foretold among the five nearest runs: of the same method,
    stage and sharding, then of the same model, then of about the same size. Each of the two figures by its own."""
    near = sorted(
        (run for run in past if alike(run.subject, subject)), key=lambda run: distance(run.subject, subject)
    )
    allocated, by_allocated = ratio([(run, run.allocated, run.estimate.allocated) for run in near])
    reserved, by_reserved = ratio([(run, run.reserved, run.estimate.reserved) for run in near])
    used = by_allocated or by_reserved
    if not used:
        return Corrected(estimate)
    if max(abs(allocated - 1), abs(reserved - 1)) > MOST:
        return Corrected(replace(estimate, unknown=(*estimate.unknown, DIFFERS)))
    return Corrected(scaled(estimate, allocated, reserved), used[0].name, len(used))


def alike(one: Subject, two: Subject) -> bool:
    """Whether one training tells something of the other."""
    return (one.method, one.stage, one.sharding, one.bits, one.eager, one.fused_loss) == (
        two.method, two.stage, two.sharding, two.bits, two.eager, two.fused_loss
    )


def distance(one: Subject, two: Subject) -> tuple[bool, float]:
    """How unlike two trainings are: another model first, then sizes of model and batch."""
    sizes = math.log(one.architecture.total / two.architecture.total), math.log(one.tokens / two.tokens)
    return one.architecture != two.architecture, sum(map(abs, sizes))


def ratio(found: list[tuple[PastRun, int | None, int]]) -> tuple[float, list[PastRun]]:
    """The median of measured to foretold among the nearest runs that have the figure, and these runs; 1 without any."""
    known = [(run, measured / foretold) for run, measured, foretold in found if measured and foretold][:NEAREST]
    if not known:
        return 1.0, []
    return statistics.median(value for _, value in known), [run for run, _ in known]


def scaled(estimate: Estimate, allocated: float, reserved: float) -> Estimate:
    """An estimate whose two figures are multiplied; what torch reserves is never less than what it allocates."""
    new_allocated = round(estimate.allocated * allocated)
    new_reserved = max(new_allocated, round(estimate.reserved * reserved))
    terms = {name: round(size * allocated) for name, size in estimate.terms.items()}
    terms["driver"], terms["holes"] = estimate.terms["driver"], new_reserved - new_allocated
    terms["weights"] += new_allocated + terms["holes"] + terms["driver"] - sum(terms.values())
    return replace(
        estimate, allocated=new_allocated, reserved=new_reserved, driver=new_reserved + terms["driver"], terms=terms,
        phases={name: round(size * allocated) for name, size in estimate.phases.items()},
    )
