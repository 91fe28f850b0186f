"""How runs do that a scheduler starts: what is the same of all schedulers. The files of the run's folder tell it, as on
this machine: the supervisor is the job. The scheduler is asked only about the time before it started and after it died.
"""

from __future__ import annotations

import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from lfdash.files import look_json, look_mark, real_number, write_text_atomic
from lfdash.launchers.asking import Asking, Dated
from lfdash.launchers.base import MachineIdentity
from lfdash.launchers.local import has_begun, holder, never_started
from lfdash.launchers.pulse import Pulse, Pulses
from lfdash.runs.paths import AttemptPaths, belongs
from lfdash.runs.record import ELSEWHERE_UNSEEN, NO_HEART, Exit, Handle, Scheduled, Status, exit_in, read_exit
from lfdash.supervisor.records import give_up, is_given_up
from lfdash.supervisor.remote import burn_sealed
from lfdash.targets.allowed import is_signed

SUBMIT_S = 60.0  # in which a submission is over, one way or the other
SETTLE_S = 5.0  # for files to be seen that were written right before a job ended
GONE_S = 20.0  # for a job that its scheduler does not know to be known again, before it began
EARLIER_S = 30.0  # an answer that is so much older than the first look tells of a run that somebody else submitted
KILL_S = 15.0  # after a wish to kill, until the job is canceled
LOST_S = 60.0  # without a beat (those of pulse.DEAD_S not counted), after which a scheduler is not believed
AWAY_S = 600.0  # the same, where the scheduler does not answer, after which the run is over with it
KILLED_S = 300.0  # after it was asked to end a job, for that to come true
JOB = "job.json"  # in the attempt's folder: the number that the scheduler gave it
SIGNED = "signed"  # in spec.json: that this user's lfdash submitted it
LAST = "scheduler.json"  # in it: what the scheduler said last of one whose supervisor wrote no end


class Job(Protocol):
    """A job as its scheduler tells of it. id: its number. word: its state, the scheduler's own. reason: why it is in
    it."""

    @property
    def id(self) -> str: ...

    @property
    def word(self) -> str: ...

    @property
    def reason(self) -> str: ...


J = TypeVar("J", bound=Job)
S = TypeVar("S", bound=Dated)
P = TypeVar("P", bound=Hashable)


@dataclass(frozen=True)
class Gone:
    """A job that its scheduler does not know any more, as it was said to be before. word: "" where it never was."""

    word: str
    reason: str = ""
    id: str = ""


@dataclass(frozen=True)
class Signs(Generic[J]):
    """What was seen of an attempt. spec: spec.json. begun: whether a supervisor has used the right to start. asked:
    whether the scheduler has answered since this attempt is watched. job: what it says of its job, None when it knows
    none. waits: whether somebody else is asked about the job, and has not answered. live: whether the job goes on.
    began: when the last answer was asked for; None where there is none."""

    handle: Handle
    control: AttemptPaths
    spec: Mapping[str, Any]
    wish: str | None
    begun: bool
    pulse: Pulse
    asked: bool
    job: J | None = None
    waits: bool = False
    live: bool = False
    began: float | None = None


@dataclass
class Watched(Generic[S, P]):
    """What this process remembers of an attempt, by its monotonic clock. since: of when it is watched. ours: whether
    its job is this folder's, and not that of the folder which this one is a copy of. place: its cluster. made: whether
    it was submitted by this process. over: when its job was first seen over, or gone. kill: when a wish to kill was
    first seen. quiet: since when its heart is known not to beat. known: the last answer about one whose job goes on,
    behind what it was made of: the scheduler's answer and the mark of the attempt's folder."""

    since: float
    ours: bool
    place: P
    made: bool = False
    over: float | None = None
    kill: float | None = None
    quiet: float | None = None
    known: tuple[S, object, Status] | None = None


class JobWatcher(ABC, Generic[J, S, P]):
    """Watches runs that a kind of scheduler starts.

    J: its jobs. S: what it says of all. P: what tells a cluster from others.
    """

    called: str  # what the scheduler is called
    pending: tuple[str, ...]  # words of a job that waits
    over: tuple[str, ...]  # and of one that is over
    canceled: str  # the word of one that somebody canceled
    believed = True  # whether the scheduler notices by itself that a node is gone

    def __init__(
        self, machine: MachineIdentity, jobs: Callable[[P], Asking[S]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.machine = machine
        self._jobs_of = jobs
        self._clock = clock
        self._jobs: dict[P, Asking[S]] = {}
        self._pulses = Pulses(clock)
        self._watched: dict[Handle, Watched[S, P]] = {}
        self._notes: dict[Path, str] = {}  # to be written by `reap`
        self._unbegun: dict[Handle, None] = {}  # to be given up by it
        self._dead: dict[Handle, None] = {}  # whose secrets are to be taken away by it

    @abstractmethod
    def place_of(self, spec: Mapping[str, Any]) -> P:
        """The cluster that an attempt was given to."""

    @abstractmethod
    def find(self, signs: Signs[J], watched: Watched[S, P], seen: S | None) -> tuple[J | None, bool]:
        """An attempt's job, and whether somebody else is asked about it."""

    def status_of(
        self, ended: Exit, handle: Handle, watched: Watched[S, P], seen: S | None, wish: str | None
    ) -> Status:
        """The status of an attempt whose supervisor has written its end."""
        return Status("ended", ended, wish, ended.started)

    @abstractmethod
    def scheduled(self, job: J) -> Scheduled:
        """What is said of a job on the page."""

    @abstractmethod
    def names_of(self, handle: Handle, spec: Mapping[str, Any]) -> tuple[str, ...]:
        """By what an attempt's job is told from others, as its folder says."""

    @abstractmethod
    def cancel(self, handle: Handle, spec: Mapping[str, Any]) -> None:
        """Has a job ended soon, whose names are known to be right. It is not waited for."""

    def jobs(self, place: P) -> Asking[S]:
        """Who asks a cluster."""
        if place not in self._jobs:
            self._jobs[place] = self._jobs_of(place)
        return self._jobs[place]

    def poll(self, handle: Handle) -> Status:
        """Order of truth: exit.json, the heartbeat, what the scheduler says. OSError when that is needed and does not
        answer: nothing is over, or was never begun, without evidence."""
        watched = self._watching(handle)
        control = handle.paths.attempt(handle.attempt)
        if not watched.ours:
            return self._of_a_copy(handle, control)
        seen = self.jobs(watched.place).look()
        # every change of an attempt's state renames a file in its folder
        mark = look_mark(control.root)
        known = watched.known
        if known is not None and known[0] is seen and known[1] == mark:
            if known[2].phase != "running":
                return known[2]
            return replace(known[2], elapsed=self._pulses.look(control).elapsed)
        signs = self._signs(handle, watched, control, seen)
        if isinstance(signs, Status):
            return signs
        status = self._begun(signs, watched) if signs.begun else self._not_begun(signs, watched)
        alive = status.scheduled is not None and status.scheduled.word not in self.over
        watched.known = (seen, mark, status) if alive and seen is not None else None
        return status

    def _watching(self, handle: Handle) -> Watched[S, P]:
        """What is remembered of an attempt. OSError when its folder cannot be read."""
        if handle not in self._watched:
            place = self.place_of(look_json(handle.paths.attempt(handle.attempt).spec))
            self._watched[handle] = Watched(self._clock(), belongs(handle.paths, handle.attempt), place)
        return self._watched[handle]

    def _of_a_copy(self, handle: Handle, control: AttemptPaths) -> Status:
        """The status of an attempt in a folder that was copied: no job is its own, whatever goes on in the other."""
        wish, ended = control.read_wish(), read_exit(handle)
        return Status("lost", None, wish, why="gone") if ended is None else Status("ended", ended, wish, ended.started)

    def _signs(
        self, handle: Handle, watched: Watched[S, P], control: AttemptPaths, seen: S | None
    ) -> Signs[J] | Status:
        """What is seen of an attempt; its end, where that is written."""
        wish, ended = control.read_wish(), read_exit(handle)
        if ended is not None:
            return self.status_of(ended, handle, watched, seen, wish)
        asked = seen is not None and seen.began > watched.since - (0.0 if watched.made else EARLIER_S)
        pulse = self._pulses.look(control)
        began = None if seen is None else seen.began
        signs: Signs[J] = Signs(
            handle, control, look_json(control.spec), wish, has_begun(control), pulse, asked, began=began
        )
        job, waits = self.find(signs, watched, seen)
        watched.quiet = (watched.quiet or self._clock()) if pulse.quiet else None
        over = self._is_over_with(signs, watched, job) if job is not None else asked and not waits
        watched.over = (watched.over or self._clock()) if over else None
        return replace(signs, job=job, waits=waits, live=job is not None and not over)

    def _is_over_with(self, signs: Signs[J], watched: Watched[S, P], job: J) -> bool:
        """Whether an attempt does not go on with its job: that is over, or waits anew since somebody had it requeued.
        It would begin nothing then."""
        if job.word in self.over:
            return True
        if not signs.begun or job.word not in self.pending or watched.quiet is None or signs.began is None:
            return False
        return signs.began > watched.quiet and not is_held(signs.control)

    def _not_begun(self, signs: Signs[J], watched: Watched[S, P]) -> Status:
        """The status of an attempt whose right to start nobody has used."""
        job, wish = signs.job, signs.wish
        if is_given_up(str(signs.control.root)):
            if signs.live:  # it would do nothing, but somebody waits for its place
                self._end(signs.handle, signs.spec)
            return self._given_up(signs)
        if job is not None and signs.live:
            waits = job.word in self.pending
            return Status("pending" if waits else "starting", None, wish, scheduled=self.scheduled(job))
        if job is None and self._is_young(signs, watched) and not (
            signs.asked and look_mark(signs.control.root / JOB) is not None
        ):
            return Status("starting", None, wish)  # it was, or is just being, submitted
        if job is None and not signs.asked:
            raise self._unseen(watched)
        # one answer may be wrong, or of a controller that has just started: the last one must say the same
        last = self._clock() if job is not None else signs.began
        if watched.over is None or last is None or last - watched.over < (GONE_S if job is None else SETTLE_S):
            return Status("starting", None, wish, scheduled=None if job is None else self.scheduled(job))
        self._unbegun[signs.handle] = None
        return self._never(signs, job)

    def _given_up(self, signs: Signs[J]) -> Status:
        """The end of an attempt whose right to start was taken away: by somebody who stopped it before it began, or
        after its job was seen over."""
        told = look_json(signs.control.root / LAST)
        if told:
            word = str(told.get("word") or "")
            return self._never(signs, Gone(word, str(told.get("reason") or "")) if word else None)
        said = None if signs.wish else never_started(signs.handle, signs.control).error
        ended = Exit(signs.handle.run_id, signs.handle.attempt, None, said, (signs.wish,) if signs.wish else ())
        return Status("ended", ended, signs.wish, unused=signs.wish is None)

    def _never(self, signs: Signs[J], job: Job | None) -> Status:
        """The end of an attempt whose job is over, or not there, and has started nothing."""
        handle, wish = signs.handle, signs.wish
        said = never_started(handle, signs.control).error
        if job is None:
            self._note(signs.handle, Gone(""))
            said = said or f"{self.called} knows no such job (any more), and nothing of it was started"
            return Status("ended", Exit(handle.run_id, handle.attempt, None, said), wish, unused=True)
        self._note(signs.handle, job)
        canceled = job.word == self.canceled
        ended = Exit(
            handle.run_id, handle.attempt, None, self.words(job, said), (wish,) if wish else (),
            by="signal" if canceled and not wish else None,
        )
        # one that somebody canceled is not to be started again by our queue
        return Status("ended", ended, wish, unused=not canceled)

    def _begun(self, signs: Signs[J], watched: Watched[S, P]) -> Status:
        """The status of an attempt that was begun, and has written no end."""
        control, job, wish, pulse = signs.control, signs.job, signs.wish, signs.pulse
        child = look_json(control.child)
        started = real_number(child.get("started"))
        # an answer from before it began says nothing of it
        told = self.scheduled(job) if job is not None and job.word not in self.pending else None
        if wish == "kill" and signs.live:
            watched.kill = watched.kill or self._clock()
            if self._clock() - watched.kill > KILL_S:  # its supervisor does not obey, or is not there
                self._end(signs.handle, signs.spec)
        if not self.believed and watched.quiet is not None:
            quiet = self._clock() - watched.quiet
            killed = watched.kill is not None and self._clock() - watched.kill > KILL_S + KILLED_S
            if quiet > LOST_S and signs.live and told is not None:
                # it may be asleep, and its trainer go on: only who has it ended may start another beside it
                if killed and not is_held(control):
                    return self._died(signs, None, started)
                told = replace(told, reason=NO_HEART)
            elif quiet > AWAY_S and not signs.asked:
                return self._died(signs, None, started)
        if signs.live or pulse.beats:
            status = Status("running", None, wish, started, pulse.elapsed, scheduled=told)
            return status if child else replace(status, phase="starting")
        if job is None and not signs.asked and not self._is_young(signs, watched):
            raise self._unseen(watched)
        settled = watched.over is not None and self._clock() - watched.over > SETTLE_S
        if not settled or not pulse.quiet:
            return Status("running", None, wish, started, pulse.elapsed, scheduled=told)
        return self._silent(signs, started)

    def _silent(self, signs: Signs[J], started: float | None) -> Status:
        """The status of an attempt that was begun, whose job does not go on and whose heart does not beat."""
        control, job, wish = signs.control, signs.job, signs.wish
        ended = read_exit(signs.handle) or exit_in(signs.handle, control.reserve)
        if ended is not None:
            return Status("ended", ended, wish, ended.started)
        if is_held(control):  # a supervisor is there, whatever its heart and its scheduler do
            told = None if job is None else replace(self.scheduled(job), reason=NO_HEART)
            return Status("running", None, wish, started, signs.pulse.elapsed, scheduled=told)
        if job is not None and job.word in self.pending:
            self._end(signs.handle, signs.spec)
        return self._died(signs, job, started)

    def _died(self, signs: Signs[J], job: Job | None, started: float | None) -> Status:
        """The end of an attempt whose supervisor wrote none: by what the scheduler says of its job, now or before."""
        handle, wish = signs.handle, signs.wish
        self._dead[handle] = None
        if job is not None:
            self._note(signs.handle, job)
        else:
            told = look_json(signs.control.root / LAST)
            job = Gone(str(told.get("word") or ""), str(told.get("reason") or ""))
        if not job.word:
            return Status("lost", None, wish, started, why="gone")
        canceled = job.word == self.canceled
        ended = Exit(
            handle.run_id, handle.attempt, None, self.words(job, None), (wish,) if wish and canceled else (),
            started=started, by="signal" if canceled and not wish else None,
        )
        return Status("ended", ended, wish, started)

    def _note(self, handle: Handle, job: Job) -> None:
        """Has written down what the scheduler said last."""
        said = json.dumps({"word": job.word, "reason": job.reason})
        self._notes[handle.paths.attempt(handle.attempt).root / LAST] = f"{said}\n"

    def words(self, job: Job, said: str | None) -> str:
        """Why a job is over, in the scheduler's own words and the last ones of its log."""
        reason = f" ({job.reason})" if job.reason else ""
        return f"{self.called}: {job.word}{reason}" + (f": {said}" if said else "")

    def _is_young(self, signs: Signs[J], watched: Watched[S, P]) -> bool:
        """Whether the attempt was made a moment ago. By this machine's clock that nobody sets, where it was made here;
        else by how long it is watched."""
        made, boot = real_number(signs.spec.get("clock")), signs.spec.get("boot_id")
        if made is not None and boot and boot == self.machine.boot_id():
            return self.machine.clock() - made < SUBMIT_S
        return self._clock() - watched.since < SUBMIT_S

    def is_ours(self, handle: Handle, spec: Mapping[str, Any]) -> bool:
        """Whether this user's lfdash gave this very job to the scheduler for this very folder. Another folder may name
        any job of anybody."""
        return is_signed(spec.get(SIGNED), *signed_words(handle, self.names_of(handle, spec)))

    def _end(self, handle: Handle, spec: Mapping[str, Any]) -> None:
        """Cancels a job that is ours; one that is not begins nothing, or sees the wish, all the same."""
        if self.is_ours(handle, spec):
            self.cancel(handle, spec)

    def _unseen(self, watched: Watched[S, P]) -> OSError:
        """What is said where only the scheduler could tell, and does not."""
        why = self.jobs(watched.place).failure or "it was just asked"
        return OSError(ELSEWHERE_UNSEEN, f"{self.called} has not answered: {why}")

    def give_up(self, handle: Handle) -> bool:
        """Takes an attempt's right to start away; its job, if there is one, is canceled at a later look."""
        control = handle.paths.attempt(handle.attempt)
        never = give_up(str(control.root))
        if never:
            burn_sealed(str(control.root))
        return never

    def reap(self) -> None:
        """Writes down what the scheduler said of runs that wrote no end: it forgets a job some minutes later. And gives
        up those whose jobs are over and never began, so that their secrets are not left behind."""
        notes, self._notes = self._notes, {}
        for path, text in notes.items():
            with suppress(OSError):  # the folder may be gone, the disk full: it is tried again while it is remembered
                if look_mark(path) is None:
                    write_text_atomic(path, text)
        unbegun, self._unbegun = self._unbegun, {}
        for handle in unbegun:
            with suppress(OSError):
                self.give_up(handle)
        dead, self._dead = self._dead, {}
        for handle in dead:
            with suppress(OSError):
                burn_sealed(str(handle.paths.attempt(handle.attempt).root))

    def release(self, handle: Handle, seconds: float) -> None:
        """Forgets a run that is over."""
        self._watched.pop(handle, None)
        self._pulses.forget(handle.paths.attempt(handle.attempt))


def is_held(control: AttemptPaths) -> bool:
    """Whether a supervisor holds the lock of an attempt, as far as the disk tells."""
    try:
        return holder(control.lock) != 0
    except OSError:
        return False


def signed_words(handle: Handle, names: Sequence[str]) -> tuple[str, ...]:
    """What is signed of an attempt's job. names: see `JobWatcher.names_of`."""
    return os.path.realpath(handle.paths.root), handle.run_id, str(handle.attempt), *names
