"""A run in one row, for lists that programs read: the same columns everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from lfdash.runs.record import RunState, Why
from lfdash.runs.summary_cache import Known
from lfdash.runs.table import duration
from lfdash.runs.view import RunView

LAST = 1 << 33  # epoch seconds: a later start is none, and no table can hold it


@dataclass(frozen=True)
class RunRow:
    """What is told of a run; None = not known.

    kind: "train", "eval" or "export"; kind, model, stage, method: as LLaMA-Factory calls them. loss, eval_loss: the
    newest of each. started: of its newest attempt, epoch seconds. seconds: all attempts together. folder: relative to
    the workspace; absolute where it lies elsewhere. stalled: seconds without a step, of a run that goes on but does not
    step any more. dead_step: since which step the loss is no number. tokens_per_s: of the whole run where it is over,
    else of its newest lines. lost: why nothing tells how it ended (record.py, Why), of one that is LOST.
    ended_early: whether it finished before its last planned step. target: the cluster that it is on. job, job_state,
    job_reason: of one that its scheduler knows now: the number of its job, and the scheduler's own words. job_starts:
    when one that waits there is expected to start, epoch seconds.
    """

    id: str
    name: str
    state: RunState
    kind: str
    model: str | None
    stage: str | None
    method: str | None
    step: int | None
    total: int | None
    loss: float | None
    eval_loss: float | None
    started: float | None
    seconds: float | None
    folder: str
    stalled: float | None = None
    dead_step: int | None = None
    tokens_per_s: float | None = None
    lost: Why | None = None
    ended_early: bool = False
    target: str | None = None
    job: str | None = None
    job_state: str | None = None
    job_reason: str | None = None
    job_starts: float | None = None


def row_of(view: RunView, known: Known) -> RunRow:
    """The row of a run. known: what its log says of it."""
    about, summary = known.about, known.summary
    view = view.with_whole(summary.whole)
    said = view.scheduled
    return RunRow(
        id=view.run_id,
        name=view.name,
        state=view.state,
        kind=about.kind,
        model=about.model or None,
        stage=about.stage or None,
        method=about.method or None,
        step=view.progress.step,
        total=view.progress.total,
        loss=summary.last,
        eval_loss=summary.last_eval if summary.last_eval is not None else known.eval_at_end,
        started=None if view.waiting else view.started,
        seconds=duration(view),
        folder=view.output_dir,
        stalled=None if view.stall is None else view.stall.quiet_s,
        dead_step=summary.dead_step,
        tokens_per_s=view.progress.tokens_per_s,
        lost=view.lost,
        ended_early=view.ended_early,
        target=view.target or None,
        job=said.job if said is not None else None,
        job_state=said.word if said is not None else None,
        job_reason=(said.reason or None) if said is not None else None,
        job_starts=said.starts if said is not None and (said.starts or 0) < LAST else None,
    )
