"""What a whole training will be: tokens, steps, checkpoints, disk; the measured lengths of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lfdash.engine import context
from lfdash.engine.services import Services
from lfdash.jobs.args import build_args, build_env
from lfdash.jobs.job import JobConfig
from lfdash.jobs.preflight import rows_used
from lfdash.jobs.rules import listed, number
from lfdash.llamafactory.token_lengths import SAMPLE, Lengths, count_tokens
from lfdash.memory.subject import Subject
from lfdash.memory.totals import Totals, totals
from lfdash.outcomes import Refused


@dataclass(frozen=True)
class WholeRun:
    """totals: of the training. measured: whether the lengths of its rows were; without, tokens are not known."""

    totals: Totals
    measured: bool


def whole_run(services: Services, job: JobConfig, subject: Subject) -> WholeRun | None:
    """A training altogether; None where neither its rows nor their lengths are known. subject: of the job."""
    args = build_args(job)
    rows = rows_used(args, context.of(services, job))
    lengths = services.row_lengths.of(args)
    if lengths is not None and lengths.tokens:
        found = totals(replace(subject, lengths=lengths.tokens), rows)
        return None if found is None else WholeRun(found, True)
    if not rows or subject.packed:
        return None  # how many sequences packing makes depends on the lengths
    found = totals(replace(subject, lengths=(1,) * min(rows, SAMPLE)), rows)
    return None if found is None else WholeRun(replace(found, tokens=None, seen=None), False)


def every_length(services: Services, args: Mapping[str, Any]) -> tuple[int, ...]:
    """The lengths of all rows of a job; () where they were not measured, or only those of a sample: the longest row may
    be another."""
    found, names = services.row_lengths.of(args), listed(args.get("dataset"))
    if found is None:
        return ()
    counts = services.data.rows(str(args.get("dataset_dir") or "data"), names)
    if any(counts.get(name, SAMPLE + 1) > SAMPLE for name in names):
        return ()
    limit = int(number(args, "max_samples"))
    return found.tokens[:limit] if limit > 0 and len(names) == 1 else found.tokens


def measure_lengths(services: Services, job: JobConfig) -> Lengths | Refused:
    """Has LLaMA-Factory count the tokens of at most SAMPLE rows of each dataset; takes as long as its imports. What it
    answers is kept. Refused: sees_outside, or as `count_tokens`; the cli's own refusal where there is none."""
    args = build_args(job)
    outside = next(services.roots.outside(args), None)
    if outside is not None:
        return Refused("sees_outside", {"name": outside[0], "value": outside[1]})
    if isinstance(services.cli, Refused):
        return services.cli
    found = count_tokens(services.cli, services.workspace.root, args, build_env(job), services.warm)
    if isinstance(found, Lengths):
        services.row_lengths.keep(args, found)
    return found
