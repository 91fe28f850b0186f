"""The right to change runs: the only way to start, move, delete or rename one.

It is given out while the workspace's launch lock is held, after everything was looked at anew. So whoever has it sees
what is on disk, nobody else changes it meanwhile, and what could not be read is known to be unknown.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from lfdash.engine.watcher import Watcher
from lfdash.files import look_json, look_mark
from lfdash.launchers.table import DEFAULT
from lfdash.outcomes import Refused
from lfdash.queue.commands import LOCK_S, LaunchLock
from lfdash.runs.paths import BESIDE_RUN, RunPaths
from lfdash.runs.places import reason
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import TERMINAL, Handle, RunRecord, RunState
from lfdash.runs.view import RunView, known

ELSEWHERE_QUIET_S = 600.0  # a run of another machine whose folder changed later may go on there


class Rights:
    """Gives the right out, to one at a time among all dashboards and commands on the workspace."""

    def __init__(self, watcher: Watcher, launch_lock: LaunchLock, refresh: Callable[[], None]) -> None:
        self._watcher = watcher
        self._launch_lock = launch_lock
        self._refresh = refresh

    @contextmanager
    def taken(self, timeout: float = LOCK_S) -> Iterator[Right]:
        """The right, within a `with`. Not to be nested. Raises filelock.Timeout when somebody else has it for longer
        than `timeout` seconds, OSError when the disk does not let it be taken."""
        with self._launch_lock.held(timeout):
            right = Right(self._watcher, self._refresh)
            right.look()
            right.give_up_unused()
            try:
                yield right
            finally:
                right.withdraw()


    def look(self) -> None:
        """Looks at everything again, without the right."""
        self._refresh()


class Right:
    """The right to change runs, as long as the `with` lasts in which it was taken."""

    def __init__(self, watcher: Watcher, refresh: Callable[[], None]) -> None:
        self._watcher = watcher
        self._refresh = refresh
        self._withdrawn = False

    def look(self) -> None:
        """Looks at everything again."""
        assert not self._withdrawn, "the launch lock is not held any more"
        self._refresh()

    def give_up_unused(self) -> None:
        """Takes the right to start from every attempt that is called over without an exit code: its devices are about
        to be given away, and its supervisor may only sleep. One that began meanwhile is seen again."""
        begun = False
        for view in self._watcher.views:
            if view.record is None or view.exit_code is not None or view.state not in TERMINAL or view.lost == "host":
                continue
            launcher = self._watcher.launchers.get(view.record.launcher)
            with suppress(OSError):  # it cannot be seen: the next who takes the right tries again
                used = not launcher.give_up(launcher.adopt(view.paths, view.record))
                begun |= used and view.state is not RunState.LOST  # a lost one has used it before
        if begun:
            self.look()

    def withdraw(self) -> None:
        """Ends it: the launch lock is about to be let go."""
        self._withdrawn = True

    @property
    def unseen(self) -> tuple[str, str] | None:
        """Something that the look could not see and that may have a device, and why; None when all of that was seen."""
        return self._watcher.in_doubt

    def to_start(self, plan: LaunchPlan, record: RunRecord) -> RunRecord | Refused:
        """The record with which the attempt of a plan may start: a first one whose run is nowhere yet, or the one after
        the newest on disk, which is over.

        Refused: exists, unknown (deleted or renamed meanwhile), runs_already, unseen, elsewhere_fresh, stays (somebody
        wished that before it went on by itself).
        """
        assert not self._withdrawn, "the launch lock is not held any more"
        root = Path(plan.cwd) / plan.output_dir
        same = [view for view in self._watcher.views if view.run_id == plan.run_id]
        if plan.attempt == 1:
            return Refused("exists", {"path": same[0].output_dir}) if same else record
        view = next((view for view in same if view.path == root), None)
        if view is None:
            hidden = self.unseen
            return Refused("unseen", {"path": hidden[0], "reason": hidden[1]}) if hidden else Refused("unknown")
        over = self._over(view)
        if isinstance(over, Refused):
            return Refused("runs_already", {"run": view.name}) if over.code == "alive" else over
        if plan.attempt != over.paths.next_attempt():
            return Refused("exists", {"path": f"{plan.output_dir}/attempts/{plan.attempt:03d}"})
        assert over.record is not None
        try:
            if record.last.automatic and look_mark(over.paths.attempt(over.attempt).stays) is not None:
                return Refused("stays")
        except OSError as error:
            return Refused("unseen", {"path": over.output_dir, "reason": reason(error)})
        return replace(record, attempts=(*over.record.attempts, record.last))

    def to_move(self, run_id: str) -> RunView | Refused:
        """The run as it is now, over with every attempt that it ever had: its folder may be moved, renamed, deleted.

        Refused: unknown, alive, unseen, holds_runs (other runs lie in its folder), elsewhere_fresh (another machine's,
        and its folder has changed in the last ten minutes).
        """
        assert not self._withdrawn, "the launch lock is not held any more"
        view = next((view for view in self._watcher.views if view.run_id == run_id), None)
        if view is None:
            return Refused("unknown")
        over = self._over(view)
        if isinstance(over, Refused):
            return over
        inside = next((one for one in self._watcher.views if view.path in one.path.parents), None)
        if inside is not None:
            return Refused("holds_runs", {"run": view.name, "other": inside.output_dir})
        return over

    def _over(self, view: RunView) -> RunView | Refused:
        """A run looked at once more; refused unless every attempt on disk is over, and nobody can start one late."""
        now = self._watcher.look_at(view.path)
        if now is None:
            return Refused("unknown")
        now = replace(now, run_id=view.run_id)
        if now.unseen:
            return Refused("unseen", {"path": now.output_dir, "reason": now.unseen})
        alive = Refused("alive", {"run": now.name})
        if now.state not in TERMINAL or now.others or now.lost == "launcher":  # nobody here can tell of that one
            return alive
        if now.lost == "host" and not is_quiet(now.path, ELSEWHERE_QUIET_S):
            return Refused("elsewhere_fresh", {"run": now.name})
        try:
            ended = self._given_up(now) if now.record is not None else self._none_alive(now.paths)
        except OSError as error:
            return Refused("unseen", {"path": now.output_dir, "reason": reason(error)})
        return now if ended else alive

    def _given_up(self, view: RunView) -> bool:
        """Whether nobody can start an attempt of the run any more, and none lives."""
        record = view.record
        assert record is not None
        launcher = self._watcher.launchers.get(record.launcher)
        for attempt in record.attempts:
            one = record.upto(attempt.number)
            if known(one) is not None:
                continue
            handle = launcher.adopt(view.paths, one)
            if not launcher.give_up(handle) and launcher.poll(handle).phase not in ("ended", "lost"):
                return False
        return True

    def _none_alive(self, paths: RunPaths) -> bool:
        """The same for a folder whose run.json is none: by the control files of the attempts that lie there."""
        launcher = self._watcher.launchers.get(DEFAULT)
        for number in paths.made_attempts():
            run_id = look_json(paths.attempt(number).spec).get("run_id")
            handle = Handle(str(run_id), number, paths)
            if not launcher.give_up(handle) and launcher.poll(handle).phase not in ("ended", "lost"):
                return False
        return True


def is_quiet(folder: Path, seconds: float) -> bool:
    """Whether nothing right in a folder changed for so long (what the dashboard writes aside)."""
    try:
        changed = [entry.stat().st_mtime for entry in os.scandir(folder) if entry.name not in BESIDE_RUN]
    except OSError:
        return False
    return time.time() - max(changed, default=0.0) > seconds
