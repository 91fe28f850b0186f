"""Where a sweep's runs go: who takes several of them together, and whether they may be started without anybody who
looks at them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lfdash.engine.rests import Rests
from lfdash.engine.services import Services
from lfdash.engine.taking_back import take_back
from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import Sweep
from lfdash.launchers.base import ArrayLauncher
from lfdash.launchers.table import is_target
from lfdash.outcomes import Refused
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView

LASTING = ("never", "no_output", "outside", "secret_in_plan", "name_reserved", "inside_run", "secret_missing")
# what sbatch says where a limit of jobs is reached (slurm_errno.c: ESLURM_ACCOUNTING_POLICY, ESLURM_INVALID_ARRAY; the
# reasons of squeue(1)); not what it says of a time limit
LIMIT = re.compile(
    r"accounting/QOS policy|job array specification|submit limit|SubmitJob|JobsLimit|MaxJob|temporarily unable", re.I
)


@dataclass
class Handover:
    """What this process remembers of handing sweeps over. rests: by a sweep's id, and by the name of a launcher. most:
    sweep -> runs of its next array, where a limit of jobs is known. unknown: sweep -> why nothing is done just now."""

    rests: Rests
    most: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, Refused] = field(default_factory=dict)

    def refused(self, sweep_id: str, launcher: str, outcome: Refused, runs: int = 1) -> None:
        """Nothing is submitted for a while. Where a limit of jobs is named, half as many are tried then. runs: so many
        were to be submitted."""
        if outcome.code == "another_launch":  # who waited for it has waited long enough
            return
        limited = outcome.code == "scheduler_refused" and LIMIT.search(str(outcome.params.get("reason"))) is not None
        if limited and runs > 1:
            self.most[sweep_id] = runs // 2
        if outcome.code == "scheduler_silent":  # each that asks it waits long
            self.rests.note(launcher, outcome)
        self.rests.note(sweep_id, outcome, grows=not limited or runs == 1)

    def accepted(self, sweep_id: str, launcher: str) -> None:
        """Something was submitted: the next array may be larger again."""
        self.rests.forget(sweep_id, launcher)
        if sweep_id in self.most:
            self.most[sweep_id] *= 2


def launcher_of(services: Services, job: JobConfig) -> str:
    """The name of the launcher of a job's target; "" for one of this machine."""
    return services.launcher_on(job.target).name if job.target else ""


def together(services: Services, job: JobConfig, sweep: Sweep) -> tuple[ArrayLauncher, int] | Refused | None:
    """Who takes the runs of a sweep together, and how many; None where they are handed over one by one. Refused: that
    is not known just now."""
    target = job.target
    if not target or sweep.strategy == "tpe" or sweep.count < 2:
        return None
    launcher = services.launcher_on(target)
    if not isinstance(launcher, ArrayLauncher):
        return None
    most = launcher.most_together()
    return most if isinstance(most, Refused) else (launcher, most) if most > 1 else None


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
