"""The table of all runs: one row a run, made anew only when something about it changed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import is_not

from lfdash.runs.details import NO_DETAILS, RunDetails
from lfdash.runs.kept import no_collection
from lfdash.runs.newest_first import places_changed
from lfdash.runs.record import RunState
from lfdash.runs.summary import Summary
from lfdash.runs.summary_cache import Known, SummaryCache
from lfdash.runs.train_speed import own_speeds
from lfdash.runs.view import RunView


@dataclass(frozen=True)
class TableRow:
    """A run in the table. percent: 0-100. duration: seconds of all attempts. when: epoch seconds of its newest start,
    or of its log's last change; None for a job that waits, and where only the time of a copying is known. badges: what
    is to be told beside the state: "stalled", "dead" (its loss is no number), "spoiled" (its run.json cannot be read),
    "pointer" (git-lfs left its files out), "pending" (it waits in the queue of a cluster, and shows that in the place
    of its state), "unseen" (nobody could see how it does there), "early" (it finished before its last planned step),
    and what its alerts say. speed: tokens a second, of its newest lines. target: the cluster that it is on, "" = this
    machine. details: its arguments and results. text: what a search looks through."""

    run_id: str
    name: str
    state: RunState
    kind: str
    model: str
    stage: str
    method: str
    step: int | None
    total: int | None
    percent: float | None
    last: float | None
    best: float | None
    best_step: int | None
    best_eval: float | None
    best_eval_step: int | None
    spark: tuple[float, ...]
    duration: float | None
    when: float | None
    tags: tuple[str, ...]
    note: str
    folder: str
    error: str
    text: str = field(repr=False)
    badges: tuple[str, ...] = ()
    speed: float | None = None
    target: str = ""
    details: RunDetails = NO_DETAILS

    @property
    def datasets(self) -> tuple[str, ...]:
        """What it learns from, or is evaluated on."""
        return datasets_in(self.details)


def datasets_in(details: RunDetails) -> tuple[str, ...]:
    """The names of the datasets among the arguments of a run."""
    given = details.args.get("dataset") or details.args.get("eval_dataset")
    return tuple(filter(None, (name.strip() for name in given.split(",")))) if isinstance(given, str) else ()


PENDING = "pending"
BADGES = (PENDING, "unseen", "stalled", "dead", "spoiled", "pointer", "early", "diverged", "plateau", "overfit")
NAN = "nan"  # the rule of the alerts that says what "dead" says


def badges_of(view: RunView, known: Known) -> tuple[str, ...]:
    """What is to be told of a run beside its state: what its files say now, and what was noticed while it ran."""
    noticed = known.details.flags
    told = {
        "stalled": view.stall is not None, "dead": known.summary.dead_step is not None or NAN in noticed,
        PENDING: view.pending, "unseen": bool(view.target and view.unseen),
        "spoiled": view.spoiled, "pointer": view.lost == "pointer",
        "early": view.ended_early,
    }
    return tuple(name for name in BADGES if told.get(name, name in noticed))


def make_row(view: RunView, known: Known) -> TableRow:
    """The row of a run."""
    about, summary = known.about, known.summary
    view = view.with_whole(summary.whole)
    progress = view.progress
    words = (
        view.name, about.model, about.stage, about.method, view.output_dir, view.target, view.notes.note,
        *view.notes.tags, *datasets_in(known.details),
    )
    return TableRow(
        run_id=view.run_id,
        name=view.name,
        state=view.state,
        kind=about.kind,
        model=about.model,
        stage=about.stage,
        method=about.method,
        step=progress.step,
        total=progress.total,
        percent=view.shown_percent,
        last=summary.last,
        best=summary.best,
        best_step=summary.best_step,
        best_eval=summary.best_eval if summary.best_eval is not None else known.eval_at_end,
        best_eval_step=summary.best_eval_step,
        spark=summary.spark if summary.dead_step is None else (),  # the line of a cell can have no gap
        duration=duration(view),
        when=None if view.waiting else view.started or view.ended,
        tags=view.notes.tags,
        note=view.notes.note,
        folder=view.output_dir,
        error=view.error or "",
        text="\n".join((*words, view.error or "")).casefold(),
        badges=badges_of(view, known),
        speed=progress.tokens_per_s,
        target=view.target,
        details=with_own_speeds(known.details, view, summary),
    )


def with_own_speeds(details: RunDetails, view: RunView, summary: Summary) -> RunDetails:
    """The same with the speeds that the log tells, where those of the results are wrong; without such that it does not
    tell."""
    own = own_speeds(details.scores, summary.whole, view.progress.step, view.progress.total)
    if not own:
        return details
    known = {name: own.get(name, value) for name, value in details.scores.items()}
    return replace(details, scores={name: value for name, value in known.items() if value is not None})


def duration(view: RunView) -> float | None:
    """Seconds that all attempts of a run took, as far as known."""
    return view.elapsed_s


class Table:
    """The rows of a workspace, for all sessions. A look costs what has changed since the one before."""

    def __init__(self, summaries: SummaryCache) -> None:
        self._summaries = summaries
        self._views: Sequence[RunView] = ()  # of the last look
        self._number = -1  # of the last change of a summary that is in the rows
        self._made: dict[str, tuple[RunView, Known, TableRow]] = {}  # in the order of the rows
        self._places: dict[str, int] = {}  # of a folder among the views
        self._last: dict[str, int] = {}  # an id's last place: a next attempt that waits stands before its run
        self._rows: tuple[TableRow, ...] = ()
        self._lock = threading.Lock()

    def rows(self, views: Sequence[RunView]) -> tuple[TableRow, ...]:
        """A row for each view, in their order; the same objects, and the same tuple, where nothing changed."""
        with self._lock:
            number, folders = self._summaries.changed_since(self._number)
            places = [] if views is self._views else places_changed(self._views, views)
            if folders is None or places is None:
                with no_collection():
                    self._made = {view.run_id: self._row(view) for view in views}
                self._places = {view.output_dir: place for place, view in enumerate(views)}
                self._last = {view.run_id: place for place, view in enumerate(views)}
            else:
                places = [*places, *(self._places[folder] for folder in folders if folder in self._places)]
                for view in (views[place] for place in {self._last[views[place].run_id] for place in places}):
                    self._made[view.run_id] = self._row(view)
            self._views, self._number = views, number
            if folders is None or places is None or places:
                self._take(tuple([row for _, _, row in self._made.values()]))
            return self._rows

    def _take(self, rows: tuple[TableRow, ...]) -> None:
        if len(rows) != len(self._rows) or any(map(is_not, rows, self._rows)):
            self._rows = rows

    @property
    def latest(self) -> tuple[TableRow, ...]:
        """The rows of the last look."""
        return self._rows

    def _row(self, view: RunView) -> tuple[RunView, Known, TableRow]:
        known = self._summaries.get(view)
        held = self._made.get(view.run_id)
        if held is None or held[0] is not view or held[1] != known:
            row = make_row(view, known)
            held = (view, known, held[2] if held is not None and held[2] == row else row)
        return held
