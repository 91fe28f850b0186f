"""The facade: a workspace as a program, a notebook or the command line uses it. `lfdash.open` makes it.

What comes back is a value: an expected failure is a `Refused` (or the `Problem`s of a configuration), no exception and
no printed text. Whatever is started here is the page's run, and the reverse; no page has to be open.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lfdash.data.report import DatasetReport, report_entry, report_file
from lfdash.data.rows import SUFFIXES
from lfdash.engine import context, fitting, plans
from lfdash.engine.more import prepare_more
from lfdash.engine.opening import Config, Opened, named, open_config
from lfdash.engine.resume import prepare_resume, stored, why_not_resumed
from lfdash.engine.services import Services, find_project
from lfdash.engine.submit import How, keep_secrets, submit
from lfdash.errors import RunGone
from lfdash.jobs import checks, packages
from lfdash.jobs.args import build_args, secret_names
from lfdash.jobs.secret_arguments import hide, without
from lfdash.jobs.stages import BY_CODE
from lfdash.launchers.base import Level
from lfdash.locales import from_environment, in_language
from lfdash.outcomes import Problem, Refused
from lfdash.runs.console import last_lines
from lfdash.runs.diagnose import Diagnosis
from lfdash.runs.listing import RunRow, row_of
from lfdash.runs.metrics.frame import MetricFrame
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.report import explain
from lfdash.runs.view import RunView
from lfdash.workspace.allowed_paths import named as folders_in

if TYPE_CHECKING:  # a command that shows no table does not wait for pandas
    import pandas as pd

LOG_BYTES = 1 << 20  # of a log that is given back, at most
LOOK_EVERY_S = 0.5
NAMES_TRIED = 5  # fresh run names, where others take them at the same moment
ENDLESS = float("inf")


def open_workspace(workspace: str | os.PathLike[str] | None = None, *, create: bool = True) -> Workspace:
    """Opens a workspace; see `lfdash.open`. create: make what is missing of it."""
    folder = Path(workspace or os.environ.get("LFDASH_WORKSPACE", "workspace")).expanduser().resolve()
    roots = [Path(os.path.abspath(root)) for root in folders_in(os.environ.get("LFDASH_ROOTS", ""))]
    services = Services(find_project(), folder, roots, create=create)
    fitting.attach(services)
    services.take_found()
    services.registry.load()
    return Workspace(services)


class Workspace:
    """A workspace: its runs, its data, and jobs to be checked and started.

    services: what the page has of it, too; `lfdash.open` makes them. A `config` is a path, a mapping of
    LLaMA-Factory's arguments, or YAML text (also LlamaBoard's saved form); `changes` are arguments that are set on
    top of it, None takes one out. Relative paths in it start in the workspace. Arguments and packages are those that a
    dashboard found last on this workspace, else those that lfdash knows; LLaMA-Factory is asked (once, up to 20 s) only
    where its version is another than the one that lfdash knows.
    """

    def __init__(self, services: Services) -> None:
        self.services = services

    def __repr__(self) -> str:
        return f"<lfdash.Workspace {str(self.path)!r}>"

    @property
    def path(self) -> Path:
        """Its folder, absolute."""
        return self.services.workspace.root

    # -- jobs -------------------------------------------------------------------------------------------

    def read(
        self, config: Config, changes: Mapping[str, Any] | None = None, target: str | None = None
    ) -> Opened | Refused:
        """The job that a configuration means, ready to be run, and notes on what was filled in. See `open_config`."""
        self.services.ask_other_version()
        self.look()  # a fresh name is one that no run has
        return open_config(self.services, config, changes, target)

    def problems(self, opened: Opened) -> tuple[Problem, ...]:
        """Everything wrong with a job that was read: errors and warnings."""
        return checks.problems(opened.job, context.of(self.services, opened.job))

    def unasked(self, opened: Opened) -> tuple[Refused, list[str]] | None:
        """Why nobody knows which packages LLaMA-Factory's environment has, and which the job that was read needs; None
        where it is known, or the job needs none."""
        found = self.services.packages
        needed = packages.wanted(build_args(opened.job), context.of(self.services, opened.job))
        return (found, needed) if isinstance(found, Refused) and needed else None

    def check(
        self, config: Config, changes: Mapping[str, Any] | None = None, *, target: str | None = None
    ) -> tuple[Problem, ...] | Refused:
        """Everything wrong with a configuration, as the page says it; empty when nothing is. target: as `start`.

        Refused: config_unreadable, not_opened, target_serves (this kind of job runs on this machine only).
        """
        opened = self.read(config, changes, target)
        return opened if isinstance(opened, Refused) else self.problems(opened)

    def preview(
        self, config: Config, changes: Mapping[str, Any] | None = None, *, target: str | None = None
    ) -> LaunchPlan | Refused:
        """Exactly what would be run: `str()` of it can be pasted into a shell; for a cluster it is the batch script.
        Problems do not keep it from being made. target: as `start`.

        Refused: as `check`.
        """
        opened = self.read(config, changes, target)
        return opened if isinstance(opened, Refused) else self.plan(opened).plan

    def plan(self, opened: Opened) -> plans.Prepared:
        """The plan, the record and the devices of a job that was read."""
        return plans.prepare(self.services, opened.job, header())

    def start(
        self, config: Config, changes: Mapping[str, Any] | None = None, *, beside: bool = False,
        target: str | None = None,
    ) -> Run | Refused:
        """Starts a run now. It goes on when this program ends.

        beside: even where other runs have its devices. target: a cluster of `.lfdash/targets.toml` instead of
        where the configuration says, "" this machine; None as it says.
        Refused: as `check`, problems (`params["problems"]` has them), blocked_* (nothing can be started here), busy
        (its devices are in use: `queue` it, or start it `beside`), and as `Dispatcher.launch`.
        """
        opened = self.read(config, changes, target)
        return opened if isinstance(opened, Refused) else self.submit(opened, "beside" if beside else "start")

    def queue(
        self, config: Config, changes: Mapping[str, Any] | None = None, *, target: str | None = None
    ) -> Run | Refused:
        """Puts a job behind those that wait. Whichever dashboard runs on the workspace starts it in its turn; a cluster
        gets it at once. target: as `start`.

        Refused: as `start`, but not busy; secret_queue (a token of the configuration would be gone by then).
        """
        opened = self.read(config, changes, target)
        return opened if isinstance(opened, Refused) else self.submit(opened, "queue")

    def submit(self, opened: Opened, how: How) -> Run | Refused:
        """Starts a job that was read, or lets it wait; see `start` and `queue`."""
        for _ in range(NAMES_TRIED):
            outcome = self.submit_once(opened, how)
            if not (opened.stem and is_taken(outcome)):
                break
            self.look()
            opened = named(self.services, opened)
        return outcome

    def submit_once(self, opened: Opened, how: How) -> Run | Refused:
        """The same, without another name where the fresh one was taken meanwhile."""
        problems = self.problems(opened)
        errors = [problem for problem in problems if problem.level == "error"]
        if errors:
            return Refused("problems", {"count": len(errors), "problems": problems})
        blocked = self.services.blocked_on(opened.job.target)
        if blocked is not None:
            return blocked
        typed = secret_names(opened.job)
        if how == "queue" and typed:  # this process ends, and another one's token must not take their place
            return Refused("secret_queue", {"name": ", ".join(typed)})
        keep_secrets(self.services, opened.job)
        return self.hand_over(self.plan(opened), how)

    def hand_over(self, prepared: plans.Prepared, how: How) -> Run | Refused:
        """Hands a plan to the registry."""
        outcome = submit(self.services, prepared, how)
        return outcome if isinstance(outcome, Refused) else Run(self, outcome.run_id)

    # -- runs -------------------------------------------------------------------------------------------

    def look(self) -> tuple[RunView, ...]:
        """All runs as they stand now: those that wait, in order, then the others, newest first."""
        self.services.registry.refresh()
        views: dict[str, RunView] = {}
        for view in self.services.registry.snapshot():
            views.setdefault(view.run_id, view)  # a next attempt that waits stands before the run that it is of
        return tuple(views.values())

    def rows(self) -> tuple[RunRow, ...]:
        """All runs in a row each, in the order of `look`; their logs are read as far as they are new."""
        views = self.look()
        summaries = self.services.registry.summaries
        if not self.services.started:
            summaries.step(self.services.registry.watcher.views, ENDLESS)
            if self.services.workspace.private.is_dir():
                summaries.close()
        return tuple(row_of(view, summaries.get(view)) for view in views)

    def runs(self) -> pd.DataFrame:
        """All runs as a table, one row a run with the columns of `RunRow`; `started` and `job_starts` are
        times in UTC."""
        import pandas as pd

        names = [field.name for field in fields(RunRow)]
        table = pd.DataFrame([asdict(row) for row in self.rows()], columns=names)
        table["state"] = table["state"].map(str)
        for name in ("started", "job_starts"):
            table[name] = pd.to_datetime(table[name], unit="s", utc=True)
        return table

    def run(self, id_or_name: str | os.PathLike[str]) -> Run | Refused:
        """The run of an id, a name, or a folder (absolute, or relative to here or to the workspace).

        Refused: run_unknown, run_ambiguous (several have that name; `params["runs"]` are their ids).
        """
        views = self.look()
        text = os.fspath(id_or_name)
        found = [view for view in views if view.run_id == text]
        found = found or self.in_folder(views, text) or [view for view in views if view.name == text]
        if not found:
            return Refused("run_unknown", {"name": text, "workspace": str(self.path)})
        if len(found) > 1:
            told = ", ".join(f"{view.run_id} ({view.output_dir})" for view in found)
            return Refused("run_ambiguous", {"name": text, "told": told, "runs": [view.run_id for view in found]})
        return Run(self, found[0].run_id)

    def in_folder(self, views: tuple[RunView, ...], text: str) -> list[RunView]:
        """The run that lies in a folder; none for a word that could be a name."""
        if os.sep not in text and text not in (os.curdir, os.pardir):
            return []
        places = {os.path.realpath(base / text) for base in (Path.cwd(), self.path) if "\0" not in text}
        return [view for view in views if os.path.realpath(view.path) in places][:1]

    # -- data -------------------------------------------------------------------------------------------

    def data(self, name: str | os.PathLike[str], stage: str = "") -> DatasetReport | Refused:
        """What LLaMA-Factory would make of a dataset of the workspace's data folder, or of a file that has no entry.

        stage: what it shall be used for; "" = what data of its format are usually for. ValueError for a stage that
        there is not. Refused: data_unknown (neither a dataset nor a file).
        """
        if stage and stage not in BY_CODE:
            raise ValueError(f"no stage {stage!r}: {', '.join(BY_CODE)}")
        text = os.fspath(name)
        known = self.services.datasets("data")
        if text in known.names:
            return self.dataset(text, known.entries[text], stage)
        path = Path(text).expanduser()
        if path.suffix in SUFFIXES or path.is_file():
            return report_file(Path(os.path.realpath(path)), stage)
        if text in known.unfit:
            return DatasetReport(problems=(known.unfit[text],))
        if known.problem is not None and known.problem.code != "datasets_missing":
            return DatasetReport(problems=(known.problem,))
        return Refused("data_unknown", {"name": text, "known": ", ".join(known.names) or "–"})

    def dataset(self, name: str, found: Mapping[str, Any], stage: str) -> DatasetReport:
        """The report of a dataset. found: its entry in dataset_info.json."""
        file = found.get("file_name")
        path = self.services.roots.readable(self.services.workspace.data / str(file)) if file else None
        if file and path is None:
            return DatasetReport(entry=found, problems=(Problem(None, "name_outside", {"value": file}),))
        return report_entry(path, name, found, stage)


class Run:
    """A run of a workspace. Each question looks at it anew."""

    def __init__(self, workspace: Workspace, run_id: str) -> None:
        self.workspace = workspace
        self.id = run_id

    def __repr__(self) -> str:
        return f"<lfdash.Run {self.id!r} of {str(self.workspace.path)!r}>"

    @property
    def view(self) -> RunView:
        """Everything that is known of it now. RunGone when its folder is not there any more."""
        self.workspace.look()
        view = self.workspace.services.registry.get(self.id)
        if view is None:
            raise RunGone(f"the run {self.id} no longer exists")
        return view

    @property
    def state(self) -> RunState:
        """Where it stands."""
        return self.view.state

    @property
    def name(self) -> str:
        """Its name."""
        return self.view.name

    @property
    def path(self) -> Path:
        """Its folder, absolute."""
        return self.view.path

    def row(self) -> RunRow:
        """What a list of runs says of it."""
        return next(row for row in self.workspace.rows() if row.id == self.view.run_id)

    def wait(self, seconds: float | None = None) -> RunState:
        """Waits until it is over, `seconds` at most; how it stands then."""
        end = ENDLESS if seconds is None else time.monotonic() + seconds
        while (state := self.state) not in TERMINAL and time.monotonic() < end:
            time.sleep(LOOK_EVERY_S)
        return state

    def frame(self) -> MetricFrame:
        """What its trainer logged, as columns by step."""
        feed = self.workspace.services.feeds.of(self.view.paths)
        feed.poll()
        return feed.frame

    def metrics(self) -> pd.DataFrame:
        """What its trainer logged: one row a step, a column a quantity, NaN where a step has none."""
        import pandas as pd

        return pd.DataFrame(dict(self.frame().columns)).astype({"step": "int64"})

    def log(self, size: int = LOG_BYTES) -> str:
        """The end of its output as a terminal would show it, without secrets; `size` bytes at most. Of a run without
        console.log, as one that was copied: of the log that LLaMA-Factory wrote itself."""
        text = "\n".join(last_lines(self.view.paths.printed, size=size))
        return self.workspace.services.registry.redact(hide(text))

    def diagnosis(self) -> Diagnosis | None:
        """The known cause of its failure; None when it did not fail, or nothing known fits."""
        view = self.view
        return explain(view) if view.state in (RunState.FAILED, RunState.LOST) else None

    def settings(self) -> dict[str, Any] | None:
        """LLaMA-Factory's arguments that it was started with, without secrets; None when they cannot be read."""
        document = stored(self.view)
        return None if document is None else without(document.args)[0]

    def stop(self, level: Level = "graceful") -> Refused | None:
        """Asks it to stop and returns at once; a job that waits is cancelled. None when it was asked.

        level: "graceful" saves what was learned, "term" and "kill" are harder. Refused: as `ProcessRegistry.stop`.
        """
        self.workspace.look()
        return self.workspace.services.registry.stop(self.id, level)

    def resume(self, step: int | None = None, *, beside: bool = False) -> Run | Refused:
        """Starts its next attempt from a checkpoint.

        step: of the checkpoint; None = the newest. beside: as `Workspace.start`.
        Refused: resume_* (why it cannot be resumed), no_configuration, no_checkpoint, blocked_*, and as
        `Dispatcher.launch`.
        """
        view, services = self.view, self.workspace.services
        refused = why_not_resumed(view) or services.blocked_on(view.target)
        if refused is not None:
            return refused
        steps = view.saved.checkpoints
        step = max(steps) if step is None else step
        if step not in steps:
            return Refused("no_checkpoint", {"step": step, "known": ", ".join(map(str, steps))})
        prepared = prepare_resume(services, view, step, header())
        if prepared is None:
            return Refused("no_configuration")
        return self.workspace.hand_over(prepared, "beside" if beside else "start")

    def more_epochs(self, total: float, *, beside: bool = False) -> Run | Refused:
        """Starts a new run that brings its training to `total` epochs: from its newest checkpoint, or from its weights
        where it has none (`lfdash.engine.more` says what that means for the learning rate). This run stays as it is.

        beside: as `Workspace.start`.
        Refused: resume_plain, resume_alive, more_*, no_configuration, blocked_*, and as `Dispatcher.launch`.
        """
        view, services = self.view, self.workspace.services
        blocked = services.blocked_on(view.target)
        if blocked is not None:
            return blocked
        prepared = prepare_more(services, view, total, header())
        if isinstance(prepared, Refused):
            return prepared
        return self.workspace.hand_over(prepared, "beside" if beside else "start")


def is_taken(outcome: Run | Refused) -> bool:
    """Whether a run name that was free a moment ago is another's now."""
    if not isinstance(outcome, Refused):
        return False
    problems = outcome.params.get("problems", ())
    return outcome.code == "exists" or {p.code for p in problems if p.level == "error"} == {"name_taken"}


def header() -> str:
    """The comment at the top of a run's YAML file, in the language of this process."""
    return in_language(from_environment(os.environ), "ui.yaml_header")
