"""Where a sweep's runs go: who takes several of them together, and whether they may be started without anybody who
looks at them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from lfdash.engine.services import Services
from lfdash.engine.taking_back import take_back
from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import Sweep
from lfdash.launchers.base import ArrayLauncher
from lfdash.launchers.table import is_target
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView

REST_S = 30.0  # after a scheduler that took no array
LASTING = ("never", "no_output", "outside", "secret_in_plan", "name_reserved", "inside_run", "secret_missing")


@dataclass
class Rests:
    """What this process remembers of schedulers that took no array. until: sweep -> by the monotonic clock. most:
    sweep -> runs of its next array."""

    until: dict[str, float] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)

    def rest(self, sweep_id: str, runs: int) -> None:
        """Nothing is submitted for a while, and then half as much: there may be a limit of jobs."""
        self.until[sweep_id] = time.monotonic() + REST_S
        self.most[sweep_id] = max(1, runs // 2)

    def rests(self, sweep_id: str) -> bool:
        """Whether nothing is to be submitted just now."""
        return time.monotonic() < self.until.get(sweep_id, 0.0)


def together(services: Services, job: JobConfig, sweep: Sweep) -> ArrayLauncher | None:
    """Who takes the runs of a sweep together; None where they are handed over one by one."""
    target = job.target
    if not target or sweep.strategy == "tpe" or sweep.count < 2:
        return None
    launcher = services.launcher_on(target)
    return launcher if isinstance(launcher, ArrayLauncher) and launcher.most_together() > 1 else None


def waits_for_user(services: Services, job: JobConfig) -> bool:
    """Whether a sweep's next runs are started only by whoever says so: nobody of this account has used its target as
    it is now, and both may be somebody else's."""
    target = job.target
    return bool(target) and not services.registry.dispatcher.trusts(services.launcher_on(target).name)


def vouch(services: Services, job: JobConfig) -> None:
    """Somebody here wants a sweep to run."""
    if job.target:
        services.registry.dispatcher.vouch_for(services.launcher_on(job.target).name)


def is_undecided(services: Services, view: RunView) -> bool:
    """Whether it is not known yet if the submission of a run was cut off; one that never came is taken away here, so
    that it is handed over again."""
    if view.record is None or not is_target(view.record.launcher):
        return False
    if view.state is RunState.STARTING:
        return view.scheduled is None
    never = view.state in TERMINAL and view.exit_code is None
    return never and take_back(services.registry.dispatcher.handing, view.run_id)
