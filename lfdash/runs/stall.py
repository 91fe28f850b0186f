"""Notices runs that do not come forward: a graceful stop that does not end, and a training that does not step.

Under torchrun LLaMA-Factory's own stop is not synchronised: one rank may save and leave while another waits for it
for ever. A training stands still when ranks wait for each other, a disk does not answer, or somebody stopped its
processes. Nothing is done here; only the user takes the harder step.

A training counts as stalled when its log got no line, and no file of its folder changed, for longer than `limit_s`
says: a progress bar of an evaluation or a checkpoint that is being written is a sign of life. Where the console says
last that it evaluates or saves, ten times as long (`disable_tqdm` leaves an evaluation without a sign). Before there
are lines to tell the usual pace (loading, tokenizing, compiling, the first steps), and after the last step, nothing is
said.

How long that is, is measured by the clock that nobody sets, from the line that this process saw come. Of a line that
was there before, the file's time is asked, and believed as far as the run has been alive since that line by that
clock: a clock that jumps makes no stall.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lfdash.files import FileMark, look_mark
from lfdash.runs.log_reader import tail_bytes
from lfdash.runs.metrics.progress import Progress, Rhythm
from lfdash.runs.paths import LOG
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView, Stall

QUIET_S = 60.0  # of a stop without a sign of life in the run's folder
TORN_S = 15.0  # the same, when some of its ranks are gone already

LEAST_S = 60.0  # a training that stands still for less is not told
PAUSES = 10.0  # usual pauses between two lines of the log that make a stall
BESIDE = 10.0  # times as long, where it evaluates or saves
BESIDE_SAYS = (b"***** Running Evaluation", b"***** Running Prediction", b"Saving model checkpoint")  # transformers
STEP_SAYS = b"{'loss'"
CONSOLE_END = 1 << 13  # bytes of the console in which one of these is looked for
LONGEST = 3.0  # the same for the longest of the newest ones, which an evaluation or a checkpoint was in

Signs = tuple[tuple[str, int, float], ...]


def limit_s(rhythm: Rhythm) -> float:
    """Seconds without a line after which a training counts as stalled."""
    return max(LEAST_S, PAUSES * rhythm.line_s, LONGEST * rhythm.longest_s)


def rounded(seconds: float) -> float:
    """Seconds to be told: so rough that a page need not be drawn anew each moment."""
    grain = 5.0 if seconds < 120 else 60.0
    return seconds // grain * grain


def age_s(changed: float, alive_s: float | None, rhythm: Rhythm, now: float) -> float:
    """Seconds since a log's newest line that came before anybody looked. changed: the file's time; now: the same
    clock's, which may have been set meanwhile. alive_s: seconds since the run's start by a clock that nobody sets; its
    training began later than that."""
    if alive_s is None:
        return 0.0
    return max(0.0, min(now - changed, alive_s - rhythm.last_s))


def is_beside_steps(console: bytes) -> bool:
    """Whether the end of a console says that it evaluates or saves, and no step came after."""
    return max(console.rfind(words) for words in BESIDE_SAYS) > console.rfind(STEP_SAYS)


def is_at_end(progress: Progress) -> bool:
    """Whether its last step is behind it: what follows (the last evaluation, saving) has no steps."""
    return progress.step is not None and progress.total is not None and progress.step >= progress.total


@dataclass(frozen=True)
class Watched:
    """A training as it was seen. log: its log then. since: when that came. signs: the files of its folder, once they
    were asked for; alive: when they changed last."""

    log: FileMark | None
    since: float
    signs: Signs | None = None
    alive: float = 0.0


class StallDetector:
    """Remembers when each run last gave a sign of life. clock: seconds, never set back; wall: seconds since the epoch,
    as files have them."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, quiet: float = QUIET_S, torn: float = TORN_S,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._quiet, self._torn, self._wall = clock, quiet, torn, wall
        self._since: dict[tuple[Path, int], tuple[Signs, float]] = {}
        self._watched: dict[tuple[Path, int], Watched] = {}

    def look(self, views: Iterable[RunView], alive: Iterable[RunView] | None = None) -> tuple[RunView, ...]:
        """The same runs, with `stalled` where a graceful stop has shown no sign of life for too long, and `stall`
        where a training has not.

        alive: those among them that are not over, where that is known.
        """
        stopping, self._since = self._since, {}
        trained, self._watched = self._watched, {}
        views = tuple(views)
        changed: dict[tuple[Path, int], RunView] = {}
        for view in views if alive is None else alive:
            key = (view.path, view.attempt)
            if view.state is RunState.STOPPING and self._is_stalled(view, stopping.get(key)):
                changed[key] = replace(view, stalled=True)
            elif view.state is RunState.RUNNING and (stall := self._stall_of(view, trained.get(key))) is not None:
                known = replace(view.progress, remaining_s=None, tokens_per_s=None)  # what they were tells nothing now
                changed[key] = replace(view, stall=stall, progress=known)
        if not changed:
            return views
        return tuple(changed.get((one.path, one.attempt), one) for one in views)

    def _is_stalled(self, view: RunView, held: tuple[Signs, float] | None) -> bool:
        if view.awaiting in ("term", "kill"):
            return False
        signs, now = tuple(view.paths.signs()), self._clock()
        if held is None or (signs and held[0] != signs):  # none: the folder cannot be listed just now
            held = (signs, now)
        self._since[view.path, view.attempt] = held
        torn = view.ranks is not None and view.ranks[0] < view.ranks[1]
        return now - held[1] > (self._torn if torn else self._quiet)

    def _stall_of(self, view: RunView, seen: Watched | None) -> Stall | None:
        """Whether a training stands still; its folder is listed only once its log is quiet for long."""
        rhythm = view.progress.rhythm
        if rhythm is None or view.record is None or is_at_end(view.progress):
            return None
        now = self._clock()
        try:
            log = look_mark(view.paths.named(LOG))
        except OSError:
            log = seen.log if seen is not None else None  # nothing is known of it just now
        if seen is None:
            known = 0.0 if log is None else age_s(log[0] / 1e9, view.progress.elapsed_s, rhythm, self._wall())
            seen = Watched(log, now - known)
        elif seen.log != log:
            seen = Watched(log, now)
        quiet, limit = now - seen.since, limit_s(rhythm)
        if quiet > limit:
            seen = self._asked(view, seen, now)
            with suppress(OSError):
                limit *= BESIDE if is_beside_steps(tail_bytes(view.paths.console, CONSOLE_END)) else 1
        self._watched[view.path, view.attempt] = seen
        if quiet <= limit or now - seen.alive <= limit:
            return None
        return Stall(rounded(quiet), rhythm.step_s)

    def _asked(self, view: RunView, seen: Watched, now: float) -> Watched:
        """The same with what the files of its folder say now. Their times are asked once, and not believed where they
        tell more than the log's silence."""
        signs = tuple(view.paths.signs())
        if not signs:  # the folder cannot be listed just now
            return seen
        if seen.signs is None:
            newest = max((changed for _, _, changed in signs), default=0.0)
            return replace(seen, signs=signs, alive=max(seen.since, now - max(0.0, self._wall() - newest)))
        return seen if signs == seen.signs else replace(seen, signs=signs, alive=now)
