"""Places in the code where a test can make this process fail. Nothing happens unless LFDASH_FAILPOINTS is set.

    LFDASH_FAILPOINTS="launch.checked=kill; folder.before_rename=error:ENOSPC; stop.after_token=pause:/tmp/here"

Actions: kill, term, int, hup, abrt, segv (that signal, to this process), exit (at once, code 70),
error:NAME (OSError of that errno), error:NAME:FILE (as long as FILE exists), pause:FILE (writes the point's name
into FILE and waits until FILE is gone).
A point without an action does nothing. Standard library only, since the parent of a run passes such points too.
"""

from __future__ import annotations

import errno
import os
import signal
import time

VARIABLE = "LFDASH_FAILPOINTS"

# Every point, in the order in which a run passes them; tests/faults kills at each of them.
POINTS = (
    "launch.clicked", "launch.locked", "launch.checked",
    "folder.draft_made", "folder.files_written", "folder.record_written", "folder.before_rename", "folder.after_rename",
    "launch.before_popen", "launch.after_popen", "launch.submitted",
    "warm.asked", "warm.before_fork", "warm.forked", "warm.before_exec", "warm.child_waits",
    "shim.entered", "shim.locked", "shim.before_start", "shim.taken",
    "warm.shim_told", "warm.child_ready", "warm.shim_ready", "warm.child_runs",
    "shim.after_start", "shim.child_written",
    "shim.announced", "shim.child_ended", "shim.swept", "shim.before_publish", "shim.exit_written",
    "shim.after_publish",
    "write.run.json",
    "stop.before_token", "stop.after_token", "stop.signalled",
    "resume.draft_made", "resume.before_rename", "resume.after_rename", "resume.files_written",
    "queue.before_added", "queue.after_added", "queue.taken", "queue.before_removed",
    "trash.before_move", "trash.after_move",
    "sweep.written", "sweep.changed", "sweep.asked", "sweep.named", "sweep.queued", "sweep.stops", "sweep.ended",
)
# Those that only a run passes which a scheduler starts; tests/clusters kills at each of them.
CLUSTER_POINTS = (
    "scheduler.sealed", "scheduler.submitted", "scheduler.noted", "scheduler.told",
    "array.asked", "array.run_made", "array.made", "array.submitted", "array.run_noted", "array.noted",
    "array.queued",
)


def hit(point: str) -> None:
    """This process is at `point`: does what the variable says. ValueError for an action that is none."""
    told = os.environ.get(VARIABLE)
    if told:
        for item in told.split(";"):
            name, _, action = item.strip().partition("=")
            if name == point:
                act(point, action)


def act(point: str, action: str) -> None:
    """Carries an action out."""
    word, _, argument = action.partition(":")
    if word == "exit":
        os._exit(70)
    elif word == "error":
        name, _, while_there = argument.partition(":")
        if not while_there or os.path.exists(while_there):
            raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)), point)
    elif word == "pause":
        with open(argument, "w", encoding="utf-8") as file:
            file.write(point)
        while os.path.exists(argument):
            time.sleep(0.005)
    elif hasattr(signal, f"SIG{word.upper()}"):
        os.kill(os.getpid(), getattr(signal, f"SIG{word.upper()}"))
    else:
        raise ValueError(f"{VARIABLE}: {point} has no action {action!r}")
