"""What would begin by itself and is not to: an attempt that was made and never begun is taken away, so that it can be
made anew; a run that its scheduler has ended stays."""

from __future__ import annotations

import logging

from lfdash.engine.handing import Handing
from lfdash.engine.rights import Right
from lfdash.launchers import folder
from lfdash.launchers.base import InterruptingLauncher, Level
from lfdash.outcomes import Refused
from lfdash.runs.record import TERMINAL

logger = logging.getLogger(__name__)


def take_back(handing: Handing, run_id: str) -> bool:
    """Takes a run's newest attempt away that was made and never begun, so that it can be made anew; False when it
    has begun, or that cannot be seen now."""

    def take(right: Right) -> bool | Refused:
        view = next((view for view in handing.watcher.views if view.run_id == run_id), None)
        if view is None or view.record is None:
            return False
        launcher = handing.launcher(view.record)
        handle = launcher.adopt(view.paths, view.record)
        if not launcher.poll(handle).unused or not launcher.give_up(handle):
            return False
        logger.warning("run %s was never started: it is made anew", run_id)
        folder.take_away(view.paths, run_id, view.attempt)
        handing.watcher.let_go(run_id, view.record.launcher)
        right.look()
        return True

    return handing.with_right(take) is True


def call_off(handing: Handing, run_id: str, level: Level) -> Refused | None:
    """Has a run stay that its scheduler has ended, so that it does not go on by itself: that is noted in
    the attempt that is over; one that has followed it in this moment is stopped.

    Refused: unknown, not_running (nothing would follow it), another_launch, readonly, disk.
    """

    def leave(right: Right) -> Refused | None:
        view = next((view for view in handing.watcher.views if view.run_id == run_id), None)
        if view is None or view.record is None:
            return Refused("unknown")
        launcher = handing.launcher(view.record)
        handle = launcher.adopt(view.paths, view.record)
        if view.state not in TERMINAL:
            return launcher.stop(handle, level)
        if not isinstance(launcher, InterruptingLauncher) or not launcher.interruption(handle).why:
            return Refused("not_running")
        view.paths.attempt(view.attempt).stays.touch()
        right.look()
        return None

    return handing.with_right(leave)
