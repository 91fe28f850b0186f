"""The tiny parent of one local run: starts it, passes stop wishes on, sweeps what it leaves, records its end.

    python -I -S shim.py ATTEMPT_DIR          (started by launchers/local.py; standard library only)

It outlives the dashboard. While it lives it holds a POSIX record lock on ATTEMPT_DIR/lock: the kernel
releases that with the process and `F_GETLK` asks for it, so liveness needs neither pids nor clocks. As a
child subreaper it stays the ancestor of everything the run starts, even of ranks in sessions of their own.
The environment is inherited as it is (secrets never touch the disk); the child alone also gets the marker,
by which the run's processes are found should the shim be killed.
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
from typing import Any

MARKER = "LFDASH_RUN"
PR_SET_CHILD_SUBREAPER = 36
POLL_S = 0.5  # how often a stop wish is looked for
SETTLE_S = 2.0  # for helpers that end by themselves right after the main process
RANKS_S = 15.0  # for ranks that are still saving when their launcher is already gone
TERM_S = 3.0  # between SIGTERM and SIGKILL in the sweep
RETRY_S = 1.0  # between two tries to write how it ended
CHASE = 50  # quick looks at the own children after a SIGKILL
LEVELS = ("graceful", "term", "kill")


def hit(point: str) -> None:
    """A place where tests make this process fail; see failpoints.py."""
    if os.environ.get("LFDASH_FAILPOINTS"):
        import runpy  # not in a run of anybody

        runpy.run_path(os.path.join(os.path.dirname(__file__), "failpoints.py"))["hit"](point)


# -- processes, from /proc ------------------------------------------------------------------------------


def stat_fields(pid: int) -> list[bytes]:
    """/proc/PID/stat after the name: state, ppid, ... start ticks at [19]. Empty when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return []
    return text[text.rindex(b")") + 2 :].split()


def start_ticks(pid: int) -> int | None:
    """When the process began, in ticks since boot: with the boot id its identity. None for a zombie or nobody."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields and fields[0] not in (b"Z", b"X") else None


def boot_id() -> str:
    """Changes with every boot of the kernel; empty where there is none to be read."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def boot_clock() -> float:
    """Seconds since the boot, also those of a sleeping machine; a clock that nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def descendants(root: int) -> list[int]:
    """Every live process below `root`, parents before children."""
    children: dict[int, list[int]] = {}
    alive = set()
    for name in os.listdir("/proc"):
        fields = stat_fields(int(name)) if name.isdigit() else []
        if fields:
            children.setdefault(int(fields[1]), []).append(int(name))
            if fields[0] not in (b"Z", b"X"):
                alive.add(int(name))
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        todo += below
        found += [pid for pid in below if pid in alive]
    return found


def children(pid: int) -> list[int]:
    """The direct children of a process with one thread, in one quick read; empty where the kernel does not tell."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def environ(pid: int) -> list[bytes]:
    """The environment that a process was started with; empty when it cannot be read."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def marked(value: str) -> list[int]:
    """Every live process whose environment carries the marker, whatever its session or parent.

    The newest first: one that only forks and ends is gone before a look in the other order comes to it.
    """
    wanted = f"{MARKER}={value}".encode()
    pids = sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True)
    return [pid for pid in pids if wanted in environ(pid) and start_ticks(pid) is not None]


def catches_abort(pid: int) -> bool:
    """Whether the process handles SIGABRT: LLaMA-Factory does once its LogCallback exists."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            mask = next(line.split()[1] for line in file if line.startswith("SigCgt:"))
    except (OSError, StopIteration):
        return False
    return bool(int(mask, 16) >> (signal.SIGABRT - 1) & 1)


def is_torchrun(pid: int) -> bool:
    """Whether this is torchrun's agent, which catches SIGABRT too (faulthandler) and dies of it."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return any(os.path.basename(word) == b"torchrun" for word in file.read().split(b"\0")[:3])
    except OSError:
        return False


def savers(pids: list[int]) -> list[int]:
    """Those to be asked to save and stop: the ranks under torchrun, else the training process itself.

    A child of one that is asked (a data-loader worker inherits the handler) is left alone. Nobody when
    nobody handles SIGABRT yet: it would be a crash.
    """
    ranks = [pid for pid in pids if any(item.startswith(b"LOCAL_RANK=") for item in environ(pid))]
    if not ranks and any(is_torchrun(pid) for pid in pids):
        return []
    catching = {pid for pid in ranks or pids if catches_abort(pid)}
    return [pid for pid in catching if int((stat_fields(pid) or [b"", b"0"])[1]) not in catching]


def ranks(pids: list[int]) -> tuple[int, int] | None:
    """(ranks of torchrun that live, ranks that it started on this machine); None without torchrun."""
    words = [dict(item.split(b"=", 1) for item in environ(pid) if b"=" in item) for pid in pids]
    alive = {found[b"LOCAL_RANK"] for found in words if b"LOCAL_RANK" in found}
    started = max((int(found.get(b"LOCAL_WORLD_SIZE", 0)) for found in words), default=0)
    return (len(alive), max(started, len(alive))) if alive else None


def send(pids: list[int], number: int) -> None:
    """Signals every process that is still there and may be signalled."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def kill(pids: list[int]) -> None:
    """SIGKILL to the processes and to their groups: a group is hit as a whole, also who is just being made in it."""
    groups = {int(fields[2]) for pid in pids if (fields := stat_fields(pid))} - {os.getpgrp()}
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    send(pids, signal.SIGKILL)


def pass_on(pids: list[int], level: str) -> str:
    """Carries a stop wish out on the run's processes; the name of the signal that was sent."""
    asked = savers(pids) if level == "graceful" else []
    if asked:
        send(asked, signal.SIGABRT)
        return "SIGABRT"
    if level == "kill":
        kill(pids)
        return "SIGKILL"
    send(pids, signal.SIGTERM)
    return "SIGTERM"


# -- files ----------------------------------------------------------------------------------------------


def sync_folder(path: str) -> None:
    """Makes renames in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text_atomic(path: str, text: str) -> None:
    """Replaces a file so that a reader sees the old or the new one, never half; OSError leaves the old one."""
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        hit(f"write.{os.path.basename(path)}")
        os.replace(temporary, path)
    except (OSError, UnicodeError):
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    sync_folder(os.path.dirname(path))


def wished(folder: str) -> str | None:
    """The hardest stop wish left in an attempt's folder."""
    return next((lv for lv in reversed(LEVELS) if os.path.exists(os.path.join(folder, f"stop.{lv}"))), None)


def fill(reserve: str, target: str, content: dict[str, Any], point: str) -> None:
    """Writes JSON into space that was reserved before and renames it: neither needs a free block. OSError."""
    with open(reserve, "r+b", buffering=0) as file:
        file.write(json.dumps(content).encode() + b"\n")
        file.truncate()
        os.fsync(file.fileno())
    hit(point)
    os.rename(reserve, target)
    sync_folder(os.path.dirname(target) or ".")


def log_mask(names: list[str]) -> Any:
    """What hides the values that these variables have here (mask.py, LogMask); None when there are none."""
    if not names:
        return None
    import runpy  # only in a run that has secrets

    tools = runpy.run_path(os.path.join(os.path.dirname(__file__), "mask.py"))
    return tools["LogMask"](value for _, value in tools["values"](os.environ, names))


# -- one attempt ----------------------------------------------------------------------------------------


class Shim:
    """Supervises the attempt whose control files lie in `folder`.

    It stays in that folder and names its files from there, so that it also ends a run that was moved meanwhile.
    """

    def __init__(self, folder: str) -> None:
        os.chdir(folder)
        self.folder = "."
        with open(self.file("spec.json"), encoding="utf-8") as file:
            self.spec: dict[str, Any] = json.load(file)
        self.child = 0
        self.status: int | None = None
        self.acted: list[str] = []
        self.sent: list[str] = []
        self.leftovers = 0
        self.wall = time.time()
        self.clock = boot_clock()
        self.mask = log_mask(self.spec.get("secrets", []))

    def file(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def main(self) -> None:
        """From the lock to the exit record."""
        hit("shim.entered")
        lock = os.open(self.file("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit("another supervisor holds this attempt")
        hit("shim.locked")
        if os.path.exists(self.file("child.json")) or not os.path.exists(self.file("exit.reserved")):
            sys.exit("this attempt was already started once")
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.bell = self.hang_bell()
        self.start_ticks = start_ticks(os.getpid())
        hit("shim.before_start")
        error = self.start()
        if error is None:
            hit("shim.after_start")
            self.announce()
            hit("shim.announced")
            self.watch()
            hit("shim.child_ended")
            self.sweep()
            hit("shim.swept")
            self.hide_secrets(last=True)
        self.publish(error)
        hit("shim.after_publish")

    def hang_bell(self) -> int:
        """Signals become readable bytes: SIGCHLD, SIGUSR2 ("look at the wish now"), SIGTERM (a graceful wish)."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        return reader

    def start(self) -> str | None:
        """Starts the child; the reason when it cannot be started.

        O_APPEND, so that a log rotated under the child leaves no hole; a file, since a pipe that nobody
        reads stops the child after 64 KB; no terminal, since trackers ask there for a key.
        """
        try:
            log = os.open(self.spec["console"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            process = subprocess.Popen(
                self.spec["argv"],
                cwd=self.spec["cwd"],
                env={**os.environ, MARKER: self.spec["marker"]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            os.close(log)
        except OSError as error:
            return f"{type(error).__name__}: {error}"
        self.child = process.pid
        process.returncode = 0  # reaped here, by pid; keeps subprocess from waiting for it
        return None

    def announce(self) -> None:
        """Writes who was started. Liveness does not need it, so a failing disk is no reason to stop the run."""
        try:  # should memory run out, the trainer is to go, not the one that records it
            with open(f"/proc/{self.child}/oom_score_adj", "w", encoding="ascii") as file:
                file.write("300")
        except OSError:
            pass
        identity = {"boot_id": boot_id(), "host": os.uname().nodename, "started": self.wall, "clock": self.clock}
        identity |= {"shim": os.getpid(), "shim_ticks": self.start_ticks}
        identity |= {"child": self.child, "child_ticks": start_ticks(self.child)}
        try:
            fill(self.file("child.reserved"), self.file("child.json"), identity, "shim.child_written")
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

    def watch(self) -> None:
        """Until the main process is gone: passes stop wishes on, each level once."""
        asked_by_signal = False
        while True:
            self.reap()
            if self.status is not None:
                return
            level = wished(self.folder) or ("graceful" if asked_by_signal else None)
            members = descendants(os.getpid()) if level is not None and level not in self.acted else []
            if level is not None and members:  # nobody: it ended by itself in this moment
                self.sent.append(pass_on(members, level))
                self.acted.append(level)
            self.hide_secrets()
            heard = self.listen(POLL_S)
            asked_by_signal = asked_by_signal or signal.SIGTERM in heard

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
            wish = wished(self.folder)
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
            self.listen(0.05)

    def publish(self, error: str | None) -> None:
        """Writes how it ended into the reserved space and renames it: neither needs a free block."""
        code = 127 if self.status is None else os.waitstatus_to_exitcode(self.status)
        seconds = boot_clock() - self.clock
        record = {
            "run_id": self.spec["run_id"], "attempt": self.spec["attempt"], "code": code, "error": error,
            "stop": self.acted, "sent": self.sent, "leftovers": self.leftovers,
            "started": self.wall, "ended": time.time(), "seconds": round(seconds, 3),
        }
        hit("shim.before_publish")
        while True:
            try:
                fill(self.file("exit.reserved"), self.file(self.spec["exit"]), record, "shim.exit_written")
                return
            except OSError as problem:  # a network disk that is away for a while
                if problem.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EROFS):
                    raise
                time.sleep(RETRY_S)


if __name__ == "__main__":
    Shim(sys.argv[1]).main()
