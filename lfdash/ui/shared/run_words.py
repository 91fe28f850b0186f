"""How a run's state, times and refresh interval are shown, on every page."""

from __future__ import annotations

from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView
from lfdash.ui.shared.text import t

LOOKS = {
    RunState.STARTING: "run",
    RunState.RUNNING: "run",
    RunState.STOPPING: "stop",
    RunState.SUCCEEDED: "done",
    RunState.FAILED: "fail",
    RunState.STOPPED: "stop",
    RunState.LOST: "fail",
    RunState.QUEUED: "idle",
    RunState.HELD: "idle",
    RunState.UNKNOWN: "idle",
}

BADGE_LOOKS = {"stalled": "stop", "dead": "fail"}  # of what is told beside a state (runs/table.py, BADGES)


def state_word(name: str) -> str:
    """The word for a state, or for what is told beside it."""
    return t(f"ui.badge_{name}" if name in BADGE_LOOKS else f"states.{name}")


def tick_seconds(view: RunView | None, sessions: int) -> float:
    """How often the page looks: often while a run is alive, seldom when idle, less with many open tabs."""
    alive = view is not None and view.state not in TERMINAL
    return (2.0 if alive else 10.0) * max(1.0, sessions / 8)


def duration(seconds: float | None) -> str:
    """Seconds as h:mm:ss."""
    if seconds is None:
        return "–"
    whole = int(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
