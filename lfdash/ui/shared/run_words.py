"""How a run's state, times and refresh interval are shown, on every page."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from lfdash.queue.store import Queued
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.table import PENDING
from lfdash.runs.trash_origins import Item
from lfdash.runs.view import RunView, just_ended
from lfdash.ui.shared.text import listed, markdown_safe, t

LONGEST_ID = 80  # characters of an id that are repeated
BEGINNING_S = 60.0  # of a run: somebody waits for its first step

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

# of what is told beside a state (runs/table.py, BADGES)
BADGE_LOOKS = {
    PENDING: "idle", "unseen": "stop",
    "stalled": "stop", "dead": "fail", "spoiled": "fail", "pointer": "fail", "early": "stop", "diverged": "fail",
    "plateau": "stop", "overfit": "stop",
}
BEST = "best"  # beside the state of the best of those that are shown
ENDED = "ended"  # in the place of STOPPED, of what serves until it is stopped: that is how it ends
STATE_LOOKS = {**{state.name: look for state, look in LOOKS.items()}, ENDED: "idle"}
SHOWN_LOOKS = {**STATE_LOOKS, PENDING: "idle"}  # of `state_of`


def shown_state(kind: str, state: RunState) -> str:
    """The name of the state that is shown of a run of a kind: `state_word` has its word, STATE_LOOKS how it looks."""
    return ENDED if just_ended(kind, state) else state.name


def state_of(view: RunView) -> str:
    """The name of what is shown as the state of a run: as `shown_state`, or that it waits in a cluster's queue."""
    return PENDING if view.pending else shown_state(view.kind, view.state)


def state_word(name: str) -> str:
    """The word for a state, or for what is told beside it."""
    return t(f"ui.badge_{name}" if name in BADGE_LOOKS or name in (BEST, ENDED) else f"states.{name}")


def not_shown_words(wanted: str | None, views: Sequence[RunView], trash: Iterable[Item], kind: str) -> str:
    """Why the run that an address or a click asks for cannot be shown on the page of a kind; "" when it can, or none
    is asked for. wanted: its id, or a name that several
    runs have. trash: the deleted runs."""
    if not wanted:
        return ""
    view = next((view for view in views if view.run_id == wanted), None)
    if view is not None:
        return "" if view.kind == kind else t("ui.run_other_kind", run=markdown_safe(view.name))
    deleted = next((item for item in trash if item.run_id == wanted), None)
    if deleted is not None:
        return t("ui.run_in_trash", run=markdown_safe(deleted.title))
    named = [view for view in views if view.name == wanted]
    if named:
        return t("outcomes.run_ambiguous", name=markdown_safe(wanted), told=listed(view.run_id for view in named))
    return t("ui.run_missing", run=markdown_safe(wanted[:LONGEST_ID]))


def queued_words(name: str, queued: Queued) -> str:
    """What is said of a job that was put into the queue."""
    return t("ui.queued_starts", name=name) if queued.starts else t("ui.queued_as", name=name, position=queued.position)


def tick_seconds(view: RunView | None, sessions: int) -> float:
    """How often the page looks: most often for the first step of a run that has just begun, often while it is alive,
    seldom when idle, less with many open tabs."""
    if view is None or view.state in TERMINAL:
        seconds = 10.0
    else:
        going = view.state in (RunState.STARTING, RunState.RUNNING) and view.started is not None
        begins = going and not view.progress.step and time.time() - (view.started or 0) < BEGINNING_S
        seconds = 0.5 if begins else 2.0
    return seconds * max(1.0, sessions / 8)


def duration(seconds: float | None) -> str:
    """Seconds as h:mm:ss."""
    if seconds is None:
        return "–"
    whole = int(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"
