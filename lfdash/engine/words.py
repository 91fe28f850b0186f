"""How a job or a run stands, in a sentence of any language."""

from __future__ import annotations

from collections.abc import Callable

from lfdash.jobs.kinds import named
from lfdash.locales import in_language, parts_in
from lfdash.runs.details import RunDetails
from lfdash.runs.first_checkpoint import NEVER, lacks_checkpoint
from lfdash.runs.view import REFUSED, Reason, RunView, Stall, Waiting

# reasons that begin neither with a name nor with "GPU"
BEGIN_WITH_WORDS = ("several", "paused", "fits_unread", "fits_taken", "fits_full")


def reason_in(code: str, reason: Reason, safe: Callable[[str], str] = str) -> str:
    """Why a job waits or is held. safe: makes a value fit for where it is shown."""
    params = {name: safe(value) for name, value in reason.params.items()}
    if reason.code.startswith(REFUSED):
        return in_language(code, f"outcomes.{reason.code.removeprefix(REFUSED)}", **params).rstrip(".。")
    return in_language(code, f"waits.{reason.code}", **params)


def waiting_in(code: str, waiting: Waiting, safe: Callable[[str], str] = str, *, place: bool = True) -> str:
    """How a job stands, in one sentence; where the run that it waits for does not step any more, that too. place:
    whether its place in the queue is said."""
    if waiting.held is not None:
        return in_language(code, "ui.queue_held", why=reason_in(code, waiting.held, safe))
    if waiting.waits is None:
        key = "ui.queue_next" if place else "ui.queue_next_short"
        return in_language(code, key, position=waiting.position)
    why = why_in(code, waiting, waiting.waits, safe)
    if not place:
        return why[:1].upper() + why[1:] if waiting.waits.code in BEGIN_WITH_WORDS else why
    return in_language(code, "ui.queue_waits", position=waiting.position, why=why)


def why_in(code: str, waiting: Waiting, waits: Reason, safe: Callable[[str], str]) -> str:
    """What a job waits for, and which of the runs that it waits for do not step any more."""
    why = reason_in(code, waits, safe)
    if len(waiting.behind) == 1 and waits.params.get("run") == waiting.behind[0][0]:
        return in_language(code, "ui.stall_behind_it", why=why, quiet=span_in(code, waiting.behind[0][1].quiet_s))
    still = [
        in_language(code, "ui.stall_behind", run=safe(run), quiet=span_in(code, stall.quiet_s))
        for run, stall in waiting.behind
    ]
    return parts_in(code, [why, *still])


def stall_in(code: str, stall: Stall) -> str:
    """That a run does not step any more, and how often it does usually."""
    return in_language(code, "ui.stall", quiet=span_in(code, stall.quiet_s), usual=span_in(code, stall.usual_s))


def no_checkpoint_in(code: str, view: RunView, details: RunDetails) -> str:
    """That a training that goes on could not be resumed, were it stopped now, and from which step on it could; "" where
    it could, and of what does not train."""
    lacks, first = lacks_checkpoint(view, details) if named(view.kind).trains else (False, None)
    if not lacks:
        return ""
    if first is None:
        return in_language(code, "ui.no_checkpoint")
    return in_language(code, f"ui.no_checkpoint_{first_word(first, view.progress.total)}", step=first)


def first_word(first: int, total: int | None) -> str:
    """Which text tells of a run's first checkpoint: ever (it saves none), end (it is that of the end), before (how long
    the run is, is not known yet: the end may come earlier), until."""
    if first == NEVER:
        return "ever"
    if total is None:
        return "before"
    return "end" if first >= total else "until"


def span_in(code: str, seconds: float) -> str:
    """A time as people say it: 0.25 s, 45 s, 16 min, 2 h 5 min, 3 d 4 h."""
    if seconds < 9.95:
        return in_language(code, "ui.span_s", n=f"{seconds:.2g}")
    if seconds < 119.5:
        return in_language(code, "ui.span_s", n=round(seconds))
    minutes = round(seconds / 60)
    if minutes < 120:
        return in_language(code, "ui.span_min", n=minutes)
    hours = minutes // 60
    large, small = (("h", hours), ("min", minutes % 60)) if hours < 48 else (("d", hours // 24), ("h", hours % 24))
    parts = [in_language(code, f"ui.span_{unit}", n=n) for unit, n in (large, small) if n]
    return " ".join(parts)
