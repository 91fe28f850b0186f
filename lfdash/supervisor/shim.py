"""The tiny parent of one run: starts it, passes stop wishes on, sweeps what it leaves, records its end.

    python -I -S lfdash/supervisor/__main__.py ATTEMPT_DIR [--warm=DESCRIPTOR:PID] [-- COMMAND...]
        (started by launchers/local.py, or for it by llamafactory/scripts/warm.py, or by a scheduler's batch script;
        standard library only)

It outlives the dashboard. While it lives it holds a POSIX record lock on ATTEMPT_DIR/lock: the kernel
releases that with the process and `F_GETLK` asks for it, so liveness needs neither pids nor clocks. As a
child subreaper it stays the ancestor of everything the run starts, even of ranks in sessions of their own.
The environment is inherited as it is (of a local run secrets never touch the disk; of one that a scheduler starts they
come in a file that is taken away before the start, remote.py); the child alone also gets the marker,
by which the run's processes are found should the shim be killed. Those that wipe their environment (ranks that rename
themselves) are found by what child.json says of them: pid and start ticks of the main process and of each rank.

The right to start is one file, `child.reserved`, which is renamed once. Under its lock, right before it starts the
child, the shim renames it to `child.taken` (and to `child.json`, once it has written there who was started). Who gives
an attempt up renames it to `given-up` (records.py, give_up). So exactly one of them has its way: a shim that slept
through its start finds nothing to rename, starts nothing, writes no exit record (that of a later attempt may be there)
and says so in shim.log. A wish to stop renames another file (`armed`) and leaves the right alone: a run that is
stopped before it starts is started, and stopped at once. A shim of version 0.1 renames `child.reserved` after the
start only; it is kept from starting by the missing `exit.reserved`, which giving up renames too.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from lfdash.supervisor.failpoints import hit
from lfdash.supervisor.processes import (
    MARKER,
    boot_clock,
    boot_id,
    children,
    descendants,
    kill,
    pass_on,
    send,
    start_ticks,
)
from lfdash.supervisor.rank_watch import RankWatch
from lfdash.supervisor.records import RESERVE, TAKEN, fill, is_given_up, take_right, wished
from lfdash.supervisor.remote import TICKET, Heart, WishWatch, of_another_submission, take_sealed
from lfdash.supervisor.warm_child import WarmChild

PR_SET_CHILD_SUBREAPER = 36
POLL_S = 0.5  # how often a stop wish is looked for
SETTLE_S = 2.0  # for helpers that end by themselves right after the main process
RANKS_S = 15.0  # for ranks that are still saving when their launcher is already gone
TERM_S = 3.0  # between SIGTERM and SIGKILL in the sweep
RETRY_S = 1.0  # between two tries to write how it ended
ASKS = {signal.SIGTERM: "signal", signal.SIGUSR1: "time_limit"}  # signals that are a graceful wish, and of whom
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}
CHASE = 50  # quick looks at the own children after a SIGKILL


def log_mask(names: list[str]) -> Any:
    """What hides the values that these variables have here (mask.py, LogMask); None when there are none."""
    if not names:
        return None
    from lfdash.supervisor import mask  # only in a run that has secrets

    return mask.LogMask(value for _, value in mask.values(os.environ, names))


def leave_no_core() -> None:
    """Keeps this process and all that it starts from leaving core files, which hold the environment."""
    import resource  # only in a run that has secrets

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


# -- one attempt ----------------------------------------------------------------------------------------


class Shim:
    """Supervises the attempt whose control files lie in `folder`.

    It stays in that folder and names its files from there, so that it also ends a run that was moved meanwhile.
    argv: what it starts; that of spec.json when it is empty.
    """

    def __init__(self, folder: str, warm: WarmChild | None = None, argv: Sequence[str] = ()) -> None:
        os.chdir(folder)
        self.folder = "."
        self.warm = warm
        with open(self.file("spec.json"), encoding="utf-8") as file:
            self.spec: dict[str, Any] = json.load(file)
        if argv:
            self.spec["argv"] = list(argv)
        self.heart = Heart(self.folder, self.spec.get("beat"))
        self.wishes = WishWatch(self.folder) if "beat" in self.spec else None
        self.asked_by: str | None = None
        self.child = 0
        self.status: int | None = None
        self.acted: list[str] = []
        self.sent: list[str] = []
        self.leftovers = 0
        self.wall = time.time()
        self.clock = boot_clock()
        self.ranks = RankWatch()
        self.identity: dict[str, Any] = {}
        self.guard: int | None = None
        self.mask = log_mask(self.spec.get("secrets", []))

    def file(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def main(self) -> None:
        """From the lock to the exit record."""
        hit("shim.entered")
        if self.spec.get("secrets"):
            leave_no_core()
        if of_another_submission(self.spec, os.environ):
            sys.exit("this job was submitted for an earlier start of this attempt, which was taken back")
        os.environ.pop(TICKET, None)
        self.take_lock()
        hit("shim.locked")
        if os.path.exists(self.file("child.json")) or not os.path.exists(self.file(RESERVE)):
            self.leave()
        self.keep_guarded()
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.bell = self.hang_bell()
        self.start_ticks = start_ticks(os.getpid())
        hit("shim.before_start")
        if not take_right(self.folder):
            self.leave()
        hit("shim.taken")
        error = self.unseal() or self.start()
        if error is None:
            hit("shim.after_start")
            self.announce()
            hit("shim.announced")
            self.watch()
            hit("shim.child_ended")
            self.sweep()
            hit("shim.swept")
            self.hide_secrets(last=True)
            self.hear(0.0)  # the trainer may have got the same signal, and have ended before it could be passed on
        self.publish(error)
        hit("shim.after_publish")
        self.dismiss_guard()
        if self.wishes is not None:  # a scheduler shows it, and may tell people of a failure
            sys.exit(self.code() if self.code() >= 0 else 128 - self.code())

    def keep_guarded(self) -> None:
        """Has the attempt's processes ended should this one be killed, where the scheduler would not (guard.py)."""
        if self.spec.get("guard"):
            from lfdash.supervisor import guard  # only on a Ray cluster

            self.guard = guard.start(self.spec["marker"])

    def dismiss_guard(self) -> None:
        """All that was of this attempt has ended."""
        if self.guard is not None:
            from lfdash.supervisor import guard

            guard.dismiss(self.guard)

    def take_lock(self) -> None:
        """Locks the attempt for as long as this process lives, or ends."""
        lock = os.open(self.file("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.leave_unlocked(error)

    def leave(self) -> NoReturn:
        """Ends without a start and without a record: the right to start was used, or given up."""
        sys.exit("given up before it started" if is_given_up(self.folder) else "this attempt was already started once")

    def leave_unlocked(self, error: OSError) -> NoReturn:
        """Ends without a start: the lock was refused. Where no attempt will ever get one, this is recorded as its end.

        Without the lock only the right to start tells that nobody else is about to write that record.
        """
        if error.errno in (errno.EACCES, errno.EAGAIN):
            sys.exit("another supervisor holds this attempt")
        reason = f"{errno.errorcode.get(error.errno or 0, error.errno)}: {error.strerror}"
        if error.errno not in NO_LOCKS:
            sys.exit(f"the lock of this attempt cannot be taken ({reason})")
        reason = f"this file system has no POSIX locks ({reason}); a run needs them: use a workspace on another disk"
        with suppress(OSError):  # it is said in shim.log all the same
            if take_right(self.folder):
                self.publish(reason)
        sys.exit(reason)

    def hang_bell(self) -> int:
        """Signals become readable bytes: SIGCHLD, SIGUSR2 ("look at the wish now"), SIGTERM and SIGUSR1 (graceful
        wishes; the latter of a scheduler, some time before it ends the job)."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        return reader

    def unseal(self) -> str | None:
        """Takes the secrets that were left for this attempt into the environment; the reason when they are gone."""
        names = [str(name) for name in self.spec.get("sealed", [])]
        try:
            os.environ.update(take_sealed(self.folder, names))
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"the secrets of this run ({', '.join(names)}) cannot be read: {type(error).__name__}: {error}"
        if names:
            self.mask = log_mask([*self.spec.get("secrets", []), *names])
        return None

    def wished(self) -> str | None:
        """The hardest stop wish left."""
        return wished(self.folder) if self.wishes is None else self.wishes.look()

    def start(self) -> str | None:
        """Starts the child; the reason when it cannot be started.

        O_APPEND, so that a log rotated under the child leaves no hole; a file, since a pipe that nobody
        reads stops the child after 64 KB; no terminal, since trackers ask there for a key.
        """
        try:
            log = os.open(self.spec["console"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            warm = self.warm is not None and self.warm.start(self.spec, log)
            self.child = self.warm.pid if warm and self.warm is not None else self.start_cold(log)
            os.close(log)
        except OSError as error:
            return f"{type(error).__name__}: {error}"
        return None

    def start_cold(self, log: int) -> int:
        """Starts the program itself; its pid. OSError when that cannot be done."""
        process = subprocess.Popen(
            self.spec["argv"],
            cwd=self.spec["cwd"],
            env={**os.environ, MARKER: self.spec["marker"]},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        process.returncode = 0  # reaped here, by pid; keeps subprocess from waiting for it
        return process.pid

    def announce(self) -> None:
        """Writes who was started. Liveness does not need it, so a failing disk is no reason to stop the run."""
        try:  # should memory run out, the trainer is to go, not the one that records it
            with open(f"/proc/{self.child}/oom_score_adj", "w", encoding="ascii") as file:
                file.write("300")
        except OSError:
            pass
        self.identity = {"boot_id": boot_id(), "host": os.uname().nodename, "started": self.wall, "clock": self.clock}
        self.identity |= {"shim": os.getpid(), "shim_ticks": self.start_ticks}
        self.identity |= {"child": self.child, "child_ticks": start_ticks(self.child)}
        try:
            fill(self.file(TAKEN), self.file("child.json"), self.identity, "shim.child_written")
        except OSError as error:
            print(f"child.json: {error}", file=sys.stderr, flush=True)

    def note_ranks(self) -> None:
        """Adds the ranks that came to child.json: by it they are found should they wipe their environment, and the
        shim be killed. Beside it first, so that it is never without its content."""
        if not self.ranks.look():
            return
        self.identity["ranks"] = [list(rank) for rank in self.ranks.known]
        draft = self.file("child.new")
        try:
            open(draft, "wb").close()
            fill(draft, self.file("child.json"), self.identity)
        except OSError as error:
            print(f"child.json: {error}", file=sys.stderr, flush=True)

    def reap(self) -> bool:
        """Takes the exit status of whoever ended; whether anybody is left.

        The kernel's word: orphans become children of a subreaper, so whoever is alive has an ancestor here,
        while a look at /proc can miss a process that is just being made.
        """
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.child:
                self.status = status

    def listen(self, seconds: float) -> bytes:
        """The signals that came within `seconds`; returns with the first."""
        select.select([self.bell], [], [], seconds)
        try:
            return os.read(self.bell, 4096)
        except BlockingIOError:
            return b""

    def hear(self, seconds: float) -> None:
        """Listens, and notes who asks for a stop."""
        heard = self.listen(seconds)
        self.asked_by = self.asked_by or next((who for number, who in ASKS.items() if number in heard), None)

    def watch(self) -> None:
        """Until the main process is gone: passes stop wishes on, each level once."""
        while True:
            self.reap()
            if self.status is not None:
                return
            self.note_ranks()
            self.heart.beat()
            level = self.wished() or ("graceful" if self.asked_by else None)
            members = descendants(os.getpid()) if level is not None and level not in self.acted else []
            if level is not None and members:  # nobody: it ended by itself in this moment
                self.sent.append(self.pass_on(members, level))
                self.acted.append(level)
            self.hide_secrets()
            self.hear(POLL_S)

    def pass_on(self, members: list[int], level: str) -> str:
        """Carries a wish out on the run's processes; the name of the signal that was sent."""
        return pass_on(members, level, self.ranks.known)

    def hide_secrets(self, last: bool = False) -> None:
        """Overwrites what the run printed of its secrets, in the run's logs."""
        for name in ("console.log", "running_log.txt") if self.mask is not None else ():
            path = os.path.join(os.path.dirname(self.spec["exit"]), name)
            (self.mask.last_look if last else self.mask.look)(path)

    def sweep(self) -> None:
        """Ends every process that the main one left: first by itself, then SIGTERM, then SIGKILL.

        A stop wish for "kill" skips the waiting. Returns when none is left.
        """
        began = time.monotonic()
        patience = RANKS_S if "SIGABRT" in self.sent else SETTLE_S
        terminated: float | None = None
        while self.reap():
            left = descendants(os.getpid())
            now = time.monotonic()
            self.leftovers = max(self.leftovers, len(left))
            self.heart.beat()
            wish = self.wished()
            if wish == "kill" or (terminated is not None and now - terminated > TERM_S):
                kill(left)
                # who forks and ends without pause is gone before a look at all processes is over, but its child is
                # then one of ours
                for _ in range(CHASE):
                    kill(children(os.getpid()))
                    if not self.reap():
                        return
            elif terminated is None and (now - began > patience or wish == "term"):
                send(left, signal.SIGTERM)
                terminated = now
            self.hear(0.05)

    def stopped_by(self) -> str | None:
        """Who asked for a stop where no wish was left in the folder: "signal" or "time_limit"."""
        return self.asked_by if self.wished() is None else None

    def code(self) -> int:
        """The exit code of the child, -N when signal N ended it, 127 when it could not be started."""
        return 127 if self.status is None else os.waitstatus_to_exitcode(self.status)

    def publish(self, error: str | None) -> None:
        """Writes how it ended into the reserved space and renames it: neither needs a free block."""
        seconds = boot_clock() - self.clock
        record = {
            "run_id": self.spec["run_id"], "attempt": self.spec["attempt"], "code": self.code(), "error": error,
            "stop": self.acted, "sent": self.sent, "leftovers": self.leftovers, "by": self.stopped_by(),
            "started": self.wall, "ended": time.time(), "seconds": round(seconds, 3),
        }
        hit("shim.before_publish")
        while True:
            try:
                fill(self.file(RESERVE), self.file(self.spec["exit"]), record, "shim.exit_written")
                return
            except OSError as problem:  # a network disk that is away for a while
                if problem.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EROFS):
                    raise
                self.heart.beat()
                time.sleep(RETRY_S)
