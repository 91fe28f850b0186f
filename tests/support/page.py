"""The page's way from arguments to a run, without the widgets: job, plan, record, registry."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from lfdash.engine import plans
from lfdash.engine.services import Project, Services
from lfdash.jobs.args import job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.launchers.base import Launched
from lfdash.queue.store import QueueSettings
from lfdash.runs.record import Handle
from lfdash.runs.view import RunView
from tests.support import ROOT
from tests.support.runs import wait_end

DEMO = yaml.safe_load((ROOT / "configs" / "presets" / "demo.yaml").read_text(encoding="utf-8"))
SECONDS = 400.0  # a run of a few steps takes 12 on an idle machine, nearly all of them imports


@dataclass
class Page:
    """A dashboard's services on a copy of the demo workspace."""

    services: Services
    starting: threading.Lock = field(default_factory=threading.Lock)  # a workspace starts one run at a time

    @classmethod
    def open(cls, demo_workspace: Path, root: Path, roots: Iterable[Path] = ()) -> Page:
        """Copies the workspace to `root` and starts the services there. roots: other folders that may be written to."""
        shutil.copytree(demo_workspace, root)
        services = Services(Project(ROOT), root, roots)
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
        with self.starting:
            outcome = self.services.registry.launch(prepared.plan, prepared.record)
        assert isinstance(outcome, Launched), outcome
        return outcome.handle

    def run(self, name: str, changes: Mapping[str, Any], kind: str | None = None, seconds: float = SECONDS) -> RunView:
        """Starts a job and waits for its end."""
        return wait_end(self.services.registry, self.start(name, changes, kind).run_id, seconds)

    def run_job(self, job: JobConfig, name: str, seconds: float = SECONDS) -> RunView:
        """Starts a job as it stands and waits for its end."""
        return wait_end(self.services.registry, self.start_job(job, name).run_id, seconds)


class Together:
    """Runs that go on two at a time: there are two cores, and a run of a few steps needs one.

    jobs: name -> how its job is made, which may wait for another run. run: what is done with a job. What is not
    among the wanted is started when it is asked for.
    """

    def __init__(self, jobs: Mapping[str, Callable[[], JobConfig]], run: Callable[[JobConfig], RunView]) -> None:
        self._jobs, self._run = jobs, run
        self._places, self._lock = threading.Semaphore(2), threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=len(jobs))
        self._ends: dict[str, Future[RunView]] = {}

    def start(self, wanted: Iterable[str]) -> None:
        """Starts the jobs that will be asked for."""
        for name in wanted:
            self._start(name)

    def _start(self, name: str) -> Future[RunView]:
        with self._lock:
            if name not in self._ends:
                self._ends[name] = self._pool.submit(self._do, name)
            return self._ends[name]

    def _do(self, name: str) -> RunView:
        job = self._jobs[name]()
        with self._places:
            return self._run(job)

    def __getitem__(self, name: str) -> RunView:
        """The run once it is over."""
        return self._start(name).result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


def asked(request: pytest.FixtureRequest, argument: str) -> list[Any]:
    """The values of a parametrised argument in the chosen tests of the module that asks."""
    items = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    return [item.callspec.params[argument] for item in items if argument in item.callspec.params]
