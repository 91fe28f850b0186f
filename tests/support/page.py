"""The page's way from arguments to a run, without the widgets: job, plan, record, registry."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from lfdash.engine import plans
from lfdash.engine.services import Project, Services
from lfdash.jobs.args import job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.launchers.base import Launched
from lfdash.llamafactory.locate import VARIABLE, Cli
from lfdash.queue.store import QueueSettings
from lfdash.runs.record import TERMINAL, Handle
from lfdash.runs.view import RunView
from tests.support import ROOT
from tests.support.runs import wait_end, wait_for

DEMO = yaml.safe_load((ROOT / "configs" / "presets" / "demo.yaml").read_text(encoding="utf-8"))
SECONDS = 400.0  # a run of a few steps takes 12 on an idle machine, nearly all of them imports


@dataclass
class Page:
    """A dashboard's services on a copy of the demo workspace."""

    services: Services

    @classmethod
    def open(cls, demo_workspace: Path, root: Path, roots: Iterable[Path] = (), cli: Cli | None = None) -> Page:
        """Copies the workspace to `root` and starts the services there.

        roots: other folders that may be written to. cli: the llamafactory-cli that LFDASH_CLI names, if it does.
        """
        shutil.copytree(demo_workspace, root)
        with mock.patch.dict(os.environ, {VARIABLE: cli.path} if cli else {}):
            services = Services(Project(ROOT), root, roots)
        assert services.cli == cli or cli is None
        services.registry.start()
        services.registry.queue.set_settings(QueueSettings(slots=3))  # see Together; and one more
        return cls(services)

    def job(self, changes: Mapping[str, Any], kind: str | None = None, name: str = "") -> JobConfig:
        """The demo's job with changes; None takes an argument out."""
        args = {key: value for key, value in {**DEMO, **changes}.items() if value is not None}
        job = job_from_args(args, kind=kind)
        return JobConfig(job.kind, {**job.values, f"{job.kind}.output_dir": name}, job.extra)

    def start(self, name: str, changes: Mapping[str, Any], kind: str | None = None) -> Handle:
        """Starts a job as the Start button does, without asking for its problems."""
        return self.start_job(self.job(changes, kind, name), name)

    def start_job(self, job: JobConfig, name: str) -> Handle:
        prepared = plans.prepare(self.services, job, "made by a test", f"id-{Path(name).name}")
        outcome = self.services.registry.launch(prepared.plan, prepared.record)
        assert isinstance(outcome, Launched), outcome
        return outcome.handle

    def run(self, name: str, changes: Mapping[str, Any], kind: str | None = None, seconds: float = SECONDS) -> RunView:
        """Starts a job and waits for its end."""
        return wait_end(self.services.registry, self.start(name, changes, kind).run_id, seconds)


class Together:
    """Runs that go on two at a time: there are two cores, and a run of a few steps needs one.

    jobs: name -> how its job is made, which may wait for another run. start: what starts a job. Runs are started while
    somebody waits for one, first the wanted ones. No thread: starting a run copies the environment, and pytest changes
    that between two tests.
    """

    def __init__(
        self, page: Page, jobs: Mapping[str, Callable[[], JobConfig]], start: Callable[[JobConfig], Handle],
        wanted: Iterable[str],
    ) -> None:
        self._registry, self._jobs, self._start = page.services.registry, jobs, start
        self._waiting = list(wanted)
        self._alive: dict[str, Handle] = {}
        self._ends: dict[str, RunView] = {}

    def __getitem__(self, name: str) -> RunView:
        """The run once it is over."""
        if name not in self._alive and name not in self._ends:
            self._begin(name)
        wait_for(lambda: self._look(name), SECONDS)
        return self._ends[name]

    def _begin(self, name: str) -> None:
        if name in self._waiting:
            self._waiting.remove(name)
        self._alive[name] = self._start(self._jobs[name]())

    def _look(self, name: str) -> bool:
        """Notes what has ended and starts what there is room for; whether the run of that name is over."""
        for other, handle in list(self._alive.items()):
            view = self._registry.get(handle.run_id)
            if view is not None and view.state in TERMINAL:
                self._ends[other] = view
                del self._alive[other]
        while self._waiting and len(self._alive) < 2:
            self._begin(self._waiting[0])
        return name in self._ends


def asked(request: pytest.FixtureRequest, argument: str) -> list[Any]:
    """The values of a parametrised argument in the chosen tests of the module that asks."""
    items = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    return [item.callspec.params[argument] for item in items if argument in item.callspec.params]
