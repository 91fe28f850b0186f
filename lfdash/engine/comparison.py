"""Runs that are compared, with what their folders tell; those that cannot be are told by name, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lfdash.engine.services import Services
from lfdash.runs.arguments import LONGEST
from lfdash.runs.compare.address import Comparison
from lfdash.runs.compare.scores import Evaluation, Origins, evaluation, of_runs
from lfdash.runs.compare.settings import SettingRow, differing
from lfdash.runs.compare.table import Measured, peak_memory
from lfdash.runs.given import NOTHING, GivenArguments, given_arguments, of_text
from lfdash.runs.results import read_scores
from lfdash.runs.table import duration
from lfdash.runs.train_speed import own_speeds
from lfdash.runs.view import RunView

EVALUATION, EXPORT = "eval", "export"  # kinds (lfdash.jobs.kinds)


@dataclass(frozen=True)
class Subject:
    """A run that is compared. place: the number of its colour. name: what it is called; its id where nothing tells.
    view: None for a run that is not there. kind: of job. stage: "" = not known. given: its arguments. remarks: what is
    to be told of it: "missing" (no such run), "deleted" (in the trash), "waits" (in the queue), "evaluation" or
    "export" (it has no curves), "pointer" (its files are git-lfs pointers), "empty" (nothing logged yet), "spoiled"
    (its record cannot be read), "unseen" (its folder cannot be read now), "card" (of its settings only those in its
    model card are known), "no_settings", "spoiled_settings"."""

    run_id: str
    place: int
    name: str
    view: RunView | None = None
    kind: str = ""
    stage: str = ""
    given: GivenArguments = NOTHING
    remarks: tuple[str, ...] = ()


def subjects_of(services: Services, wanted: Comparison) -> tuple[Subject, ...]:
    """The runs of a comparison, in the order of their places."""
    deleted = None
    found = []
    for run_id in wanted.ids:
        view = services.registry.get(run_id)
        if view is not None:
            found.append(subject_of(services, view, wanted.place(run_id)))
            continue
        if deleted is None:
            deleted = {item.run_id: item.title for item in services.registry.archive.trash.items()}
        remark = "deleted" if run_id in deleted else "missing"
        found.append(Subject(run_id, wanted.place(run_id), deleted.get(run_id, run_id), remarks=(remark,)))
    return tuple(found)


def subject_of(services: Services, view: RunView, place: int) -> Subject:
    """A run that is there."""
    about = services.registry.summaries.get(view).about
    kind = about.kind
    given = of_text(view.waiting.settings) if view.waiting is not None else given_arguments(view.paths)
    return Subject(view.run_id, place, view.name, view, kind, about.stage, given, tuple(remarks_of(view, kind, given)))


def remarks_of(view: RunView, kind: str, given: GivenArguments) -> Iterable[str]:
    """What is to be told of a run that is there; see Subject."""
    if view.spoiled:
        yield "spoiled"
    if view.unseen is not None:
        yield "unseen"
    if view.waiting is not None:
        yield "waits"
        return
    if kind in (EVALUATION, EXPORT):
        yield "evaluation" if kind == EVALUATION else "export"
    elif view.progress.step is None:
        yield "pointer" if view.lost == "pointer" else "empty"
    if not given.known:
        yield {"card": "card", "spoiled": "spoiled_settings"}.get(given.source, "no_settings")


def measured(services: Services, view: RunView) -> Measured:
    """A run whose numbers are told, as far as its feed was read."""
    if view.waiting is not None:
        return Measured()
    memory = peak_memory(services.machine_histories.of(view.paths.machine).poll())
    return Measured(services.feeds.of(view.paths), duration(view), memory, view.record is not None)


def settings_of(services: Services, subjects: Sequence[Subject]) -> tuple[SettingRow, ...]:
    """The settings that differ among the runs that are there."""
    return differing([subject.given for subject in subjects], services.argument_types())


def short_arguments(services: Services, view: RunView) -> Mapping[str, Any]:
    """The arguments of one of many runs: as the runs table knows them, a list as one text; from its file where one of
    them is too long for that."""
    args = services.registry.summaries.get(view).details.args
    cut = any(isinstance(value, str) and len(value) >= LONGEST for value in args.values())
    return args if args and not cut else given_arguments(view.paths).args


def speeds_of(services: Services, view: RunView, scores: Mapping[str, float]) -> Mapping[str, float | None]:
    """The speeds among the results of a run that are wrong, as its log tells them."""
    whole = services.registry.summaries.get(view).summary.whole
    return own_speeds(scores, whole, view.progress.step, view.progress.total)


def evaluations_of(services: Services, subjects: Sequence[Subject]) -> tuple[Evaluation, ...]:
    """The scores of evaluations among the runs, of evaluations of their weights, and of what they measured at their
    own ends; see `scores.of_runs`."""
    here = [view for view in services.registry.snapshot() if view.waiting is None]
    kinds = {view.run_id: services.registry.summaries.get(view).about.kind for view in here}
    exports = {view.run_id: short_arguments(services, view) for view in here if kinds[view.run_id] == EXPORT}
    origins = Origins(services.workspace.root, {view.run_id: view.path for view in here}, exports)
    wanted = {subject.run_id for subject in subjects}
    found = []
    for view in here:
        if kinds[view.run_id] != EVALUATION and view.run_id not in wanted:
            continue
        args = short_arguments(services, view)
        origin = origins.of(args) if kinds[view.run_id] == EVALUATION else None
        if view.run_id in wanted or (origin is not None and origin.run_id in wanted):
            one = evaluation(view.run_id, view.name, args, read_scores(view.path), origin)
            found.append(replace(one, speeds=speeds_of(services, view, one.scores)))
    ids = [subject.run_id for subject in subjects]
    return tuple(one for one in of_runs(found, ids) if one.scores or kinds[one.run_id] == EVALUATION)
