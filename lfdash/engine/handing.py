"""The last look at a plan before it is run, and its way to the launcher: what every start has in common, whatever made
its turn come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from filelock import Timeout

from lfdash.engine.later import Later
from lfdash.engine.rights import Right, Rights
from lfdash.engine.watcher import Watcher
from lfdash.errors import ConfigError
from lfdash.files import look_json, look_mark
from lfdash.jobs import yaml_format
from lfdash.launchers.base import Launched, Launcher
from lfdash.outcomes import Refused, refused_by
from lfdash.queue.genuine import MADE
from lfdash.runs.paths import RunPaths, private
from lfdash.runs.places import ATTEMPTS, MAKES_RUN, around, is_walked, note_elsewhere
from lfdash.runs.plan import ARGS_FILE, LaunchPlan
from lfdash.runs.record import RunRecord
from lfdash.supervisor import failpoints
from lfdash.workspace.allowed_paths import Roots
from lfdash.workspace.run_keys import RunKeys
from lfdash.workspace.secret_store import SecretStore

HOLD_S = 1.0  # that a submission may take while nobody else can start a run
LOOK_S = 0.2  # between two looks whether it may go on alone
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

    def with_right(self, act: Callable[[Right], T | Refused | Later[T | Refused]]) -> T | Refused:
        """Does something under the right to start; what it leaves for later is waited for without that. Refused:
        another_launch, and what the disk does not let be."""
        try:
            with self._rights.taken() as right:
                done = act(right)
            return done.outcome() if isinstance(done, Later) else done
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

    def submit(
        self, right: Right, plan: LaunchPlan, record: RunRecord
    ) -> Launched | Refused | Later[Launched | Refused]:
        """Hands a run to the launcher, with its secrets. Later: a scheduler takes its time; the run's folder is made,
        so that nobody starts it a second time."""
        unfit = self.unfit(plan)  # a link may be another now than when it was queued
        may = unfit or right.to_start(plan, record)
        if isinstance(may, Refused):
            return may
        record = may
        note = self.note_place(plan)
        secrets = self.secrets(plan)
        failpoints.hit("launch.checked")
        launcher = self.launcher(record)

        def settle(outcome: Launched | Refused) -> Launched | Refused:
            failpoints.hit("launch.submitted")
            if isinstance(outcome, Refused):
                self.undone(plan, note)
            else:
                self.watcher.hold(plan.run_id, outcome.handle)
            return outcome

        if launcher.local:
            return self._looked(right, settle(launcher.submit(plan, record, secrets)))
        return self.apart(right, lambda: launcher.submit(plan, record, secrets), settle, plan)

    def apart(
        self, right: Right, submit: Callable[[], T | Refused], settle: Callable[[T | Refused], T | Refused],
        plan: LaunchPlan,
    ) -> T | Refused | Later[T | Refused]:
        """Submits in a thread. Where that takes long, the right to start is not needed any more once the folders are
        made: what is left for later is settled without it. plan: of the run whose folder is made last."""
        later = Later(submit, lambda outcome: self._looked(None, settle(outcome)))
        if later.wait(HOLD_S):
            return later.outcome()
        while not later.wait(LOOK_S):
            if is_made(plan):
                return later
        return later.outcome()

    def _looked(self, right: Right | None, outcome: T | Refused) -> T | Refused:
        """An outcome, once the runs were looked at."""
        if right is None:
            self._rights.look()
        elif not isinstance(outcome, Refused):
            right.look()
        return outcome

    def undone(self, plan: LaunchPlan, note: Path | None) -> None:
        """Forgets what was noted for a run that was not started."""
        self.keys.forget(plan.run_id, plan.attempt)
        if note is not None:
            note.unlink(missing_ok=True)

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


def is_made(plan: LaunchPlan) -> bool:
    """Whether the folder of a plan's attempt is there, and its run's record names it."""
    paths = RunPaths(Path(plan.cwd) / plan.output_dir)
    try:
        if look_mark(paths.attempt(plan.attempt).spec) is None:
            return False
        record = look_json(paths.record)
    except OSError:
        return False
    attempts = record.get("attempts")
    numbers = [one.get("number") for one in attempts if isinstance(one, dict)] if isinstance(attempts, list) else []
    return record.get("run_id") == plan.run_id and plan.attempt in numbers


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
