"""The last look at a plan before it is run, and its way to the launcher: what every start has in common, whatever made
its turn come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import Timeout

from lfdash.engine.rights import Right, Rights
from lfdash.engine.watcher import Watcher
from lfdash.errors import ConfigError
from lfdash.jobs import yaml_format
from lfdash.launchers.base import Launched, Launcher
from lfdash.outcomes import Refused, refused_by
from lfdash.queue.genuine import MADE
from lfdash.runs.paths import private
from lfdash.runs.places import ATTEMPTS, MAKES_RUN, around, is_walked, note_elsewhere
from lfdash.runs.plan import ARGS_FILE, LaunchPlan
from lfdash.runs.record import RunRecord
from lfdash.supervisor import failpoints
from lfdash.workspace.allowed_paths import Roots
from lfdash.workspace.run_keys import RunKeys
from lfdash.workspace.secret_store import SecretStore

T = TypeVar("T")


class Handing:
    """Hands the runs of one workspace to their launchers, under the right to start.

    roots: where paths may lead.
    """

    def __init__(self, watcher: Watcher, rights: Rights, secret_store: SecretStore, roots: Roots) -> None:
        self.watcher = watcher
        self.keys = RunKeys(private(watcher.workspace), secret_store.hide)
        self._rights = rights
        self._secret_store = secret_store
        self._roots = roots

    def with_right(self, act: Callable[[Right], T | Refused]) -> T | Refused:
        """Does something under the right to start. Refused: another_launch, and what the disk does not let be."""
        try:
            with self._rights.taken() as right:
                return act(right)
        except Timeout:
            return Refused("another_launch")
        except OSError as error:
            return refused_by(error, private(self.watcher.workspace))

    def unfit(self, plan: LaunchPlan) -> Refused | None:
        """Why a plan must not be written down, let alone started; None when it may."""
        exposed = self._secret_store.found_in([*plan.argv, *plan.env.values(), plan.output_dir, *plan.files.values()])
        return (
            check_output(plan)
            or check_place(plan)
            or check_paths(plan, self._roots)
            or (Refused("secret_in_plan", {"name": exposed}) if exposed else None)
        )

    def submit(self, right: Right, plan: LaunchPlan, record: RunRecord) -> Launched | Refused:
        """Hands a run to the launcher, with its secrets."""
        unfit = self.unfit(plan)  # a link may be another now than when it was queued
        may = unfit or right.to_start(plan, record)
        if isinstance(may, Refused):
            return may
        record = may
        note = self.note_place(plan)
        secrets = self.secrets(plan)
        failpoints.hit("launch.checked")
        outcome = self.launcher(record).submit(plan, record, secrets)
        failpoints.hit("launch.submitted")
        if isinstance(outcome, Refused):
            self.keys.forget(plan.run_id, plan.attempt)
            if note is not None:
                note.unlink(missing_ok=True)
            return outcome
        self.watcher.hold(plan.run_id, outcome.handle)
        right.look()
        return outcome

    def launcher(self, record: RunRecord) -> Launcher:
        """Who starts a run."""
        return self.watcher.launchers.get(record.launcher)

    def secrets(self, plan: LaunchPlan) -> dict[str, str]:
        """The secrets of a run: those that are kept here, and those that are made for it."""
        secrets = {name: self._secret_store.get(name) for name in plan.secrets if name not in MADE}
        return secrets | {name: self.keys.make(plan.run_id, plan.attempt) for name in plan.secrets if name in MADE}

    def missing(self, plan: LaunchPlan) -> list[str]:
        """The names of the secrets that a run needs and nobody has typed."""
        return [name for name in plan.secrets if name not in MADE and not self._secret_store.get(name)]

    def note_place(self, plan: LaunchPlan) -> Path | None:
        """Notes where a run lies that no walk below saves/ finds, so that it is found again. OSError when that is not
        possible."""
        root = Path(plan.cwd) / plan.output_dir
        if is_walked(self.watcher.workspace, root):
            return None
        return note_elsewhere(self.watcher.workspace, plan.run_id, root)


def check_output(plan: LaunchPlan) -> Refused | None:
    """Refuses a plan without an output folder, or with one that climbs out of the workspace."""
    if not plan.output_dir.strip("./ "):
        return Refused("no_output")
    if ".." in Path(plan.output_dir).parts:
        return Refused("outside", {"path": plan.output_dir})
    return None


def check_place(plan: LaunchPlan) -> Refused | None:
    """Refuses a plan whose output folder lies in the folder of a run, where it would be deleted and moved with it, or
    is named like a file of ours."""
    root = Path(plan.cwd) / plan.output_dir
    if root.name in MAKES_RUN or ATTEMPTS in Path(plan.output_dir).parts:
        return Refused("name_reserved", {"path": plan.output_dir})
    try:
        outer = around(root) if plan.attempt == 1 else None
    except OSError as error:
        return refused_by(error, root)
    return None if outer is None else Refused("inside_run", {"path": plan.output_dir, "run": str(outer)})


def check_paths(plan: LaunchPlan, roots: Roots) -> Refused | None:
    """Refuses a plan that writes, or reads, where it may not, links followed: the last look before it is run."""
    try:
        args = yaml_format.load(plan.files[ARGS_FILE]).args
    except ConfigError as error:
        return Refused("start_failed", {"reason": f"{ARGS_FILE}: {error}"})
    output = str(Path(plan.cwd) / plan.output_dir)
    found = next(roots.outside({**args, "output_dir": output}), None)
    found = found or next(roots.outside({"output_dir": args.get("output_dir")}), None)
    return Refused("outside", {"path": found[1]}) if found else None
