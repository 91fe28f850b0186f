"""The page's way from arguments to a run, without the widgets: job, plan, record, registry."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lfdash.args import job_from_args
from lfdash.job import JobConfig
from lfdash.launchers.base import Handle, Launched
from lfdash.store import RunView
from lfdash.ui import actions, plans
from lfdash.ui.session import Project, Services
from tests.runs import wait_end

ROOT = Path(__file__).resolve().parents[1]
DEMO = yaml.safe_load((ROOT / "configs" / "presets" / "demo.yaml").read_text(encoding="utf-8"))


@dataclass
class Page:
    """A dashboard's services on a copy of the demo workspace."""

    services: Services

    @classmethod
    def open(cls, demo_workspace: Path, root: Path) -> Page:
        """Copies the workspace to `root` and starts the services there."""
        shutil.copytree(demo_workspace, root)
        services = Services(Project(ROOT), root)
        services.registry.start()
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
        plan = plans.make(self.services, job, f"id-{Path(name).name}")
        outcome = self.services.registry.launch(plan, actions.record(job, plan))
        assert isinstance(outcome, Launched), outcome
        return outcome.handle

    def run(self, name: str, changes: Mapping[str, Any], kind: str | None = None, seconds: float = 240) -> RunView:
        """Starts a job and waits for its end."""
        return wait_end(self.services.registry, self.start(name, changes, kind).run_id, seconds)
