"""Runs on this machine: a folder, and a shim that supervises the process (Linux)."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lfdash import supervisor
from lfdash.files import NOT_THERE, look_json, look_mark, real_number
from lfdash.launchers import folder
from lfdash.launchers.base import THIS, Launched, Level, MachineIdentity
from lfdash.launchers.forked import Forked, Forks, Supervisor
from lfdash.launchers.wishes import leave_wish
from lfdash.outcomes import DISK_FULL, NO_LOCKS, NOT_WRITABLE, Refused, refused_by
from lfdash.runs import paths as paths_module
from lfdash.runs.alerts.settings import ADDRESS
from lfdash.runs.log_reader import tail_bytes
from lfdash.runs.paths import AttemptPaths, RunPaths, belongs
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import Exit, Handle, RunRecord, Status, Why, exit_in, read_exit
from lfdash.supervisor import failpoints, processes
from lfdash.supervisor.processes import (
    MARKER,
    anybody_for,
    descendants,
    kill,
    marked,
    pass_on,
    recorded_alive,
    recorded_ranks,
    send,
    start_ticks,
)
from lfdash.supervisor.records import give_up, is_given_up

SUPERVISOR = str(Path(supervisor.__file__).resolve().with_name("__main__.py"))  # the program
FLOCK = "hhqqi4x"  # struct flock of 64-bit Linux
SAID = 1 << 14  # bytes of shim.log; its last line says why it ended
LOOKS = 4  # that must find nobody: one may miss processes that fork and end without pause
STARTUP_S = 30.0  # an adopted attempt that started nothing yet may still do so that long


@dataclass(frozen=True)
class Signs:
    """What the control files of an attempt say: spec.json, child.json, and the hardest stop wish."""

    control: AttemptPaths
    spec: Mapping[str, Any]
    child: Mapping[str, Any]
    wish: str | None


class LocalLauncher:
    """Starts each run as a child of this process, in a session of its own; the child survives this process.

    machine: where and when this is. A run that was started elsewhere or before the last boot is judged by its
    files alone: no lock, no process seen here can be its own.
    """

    name = "local"
    local = True

    def __init__(self, machine: MachineIdentity = THIS) -> None:
        self.machine = machine
        self.forks: Forks | None = None  # who may start a supervisor that has a trainer already
        self._shims: dict[Handle, Supervisor] = {}  # of the attempts that were started here

    def plan(self, plan: LaunchPlan) -> LaunchPlan:
        """The plan as it is: nothing is added on this machine."""
        return plan

    def submit(self, plan: LaunchPlan, record: RunRecord, secrets: Mapping[str, str]) -> Launched | Refused:
        """Makes the run's folder beside its place, renames it there (the exactly-once gate), starts the shim.

        Refused: not_linux, cli_missing, space, exists, disk, readonly, start_failed. Then nothing is left behind.
        """
        refused = check(plan) or self.still_there(plan)
        if refused is not None:
            return refused
        paths = folder.make(plan, replace(record, launcher=self.name), self.machine)
        if isinstance(paths, Refused):
            return paths
        shim = start(paths, plan, secrets, self.forks)
        if isinstance(shim, Refused):
            return shim
        handle = Handle(plan.run_id, plan.attempt, paths)
        self._shims[handle] = shim
        return Launched(handle)

    def still_there(self, plan: LaunchPlan) -> Refused | None:
        """Refuses a place for which processes of an earlier run live, though its folder was deleted or moved away: they
        would write into the new one."""
        root = os.path.realpath(os.path.join(plan.cwd, plan.output_dir))
        return Refused("runs_already", {"run": plan.output_dir}) if anybody_for(root) else None

    def shim(self, handle: Handle) -> Supervisor | None:
        """The supervisor of an attempt that was started here; None for one that was adopted."""
        return self._shims.get(handle)

    def adopt(self, paths: RunPaths, record: RunRecord) -> Handle:
        """A handle without a process: the files, the lock and /proc say how it does."""
        return Handle(record.run_id, record.last.number, paths)

    def poll(self, handle: Handle) -> Status:
        """Order of truth: exit.json, the shim's lock, the run's processes, then lost. OSError when one of them cannot
        be seen: lost is only what was looked for and is not there."""
        control = handle.paths.attempt(handle.attempt)
        wish = control.read_wish()
        ended = read_exit(handle)
        if ended is not None:
            return Status("ended", ended, wish, ended.started)
        spec, child = look_json(control.spec), look_json(control.child)
        why = self.not_here(spec)
        signs = Signs(control, spec, child, wish)
        alive = self.look(handle, signs, why)
        printed = folder.console_size(handle.paths) > control.console_start()
        begun = bool(child) or has_begun(control)
        if alive is None and begun and not child:  # between the looks: nobody else can begin it any more
            child = look_json(control.child)
            alive = self.look(handle, replace(signs, child=child), why)
        if alive is not None:
            return alive
        # it may have been written between the two looks, or not have reached its place
        ended = read_exit(handle) or exit_in(handle, control.reserve)
        if ended is not None:
            return Status("ended", ended, wish, ended.started)
        if why != "host" and not begun and not printed:
            return Status("ended", never_started(handle, control), wish, why=why, unused=True)
        return Status("lost", None, wish, real_number(child.get("started")), why=why or "gone")

    def look(self, handle: Handle, signs: Signs, why: Why | None) -> Status | None:
        """The status of an attempt that lives; None when it does not. why: why it cannot be one of this machine's
        processes. A lock that is held is one that lives, wherever."""
        child, wish = signs.child, signs.wish
        started, elapsed = real_number(child.get("started")), self.elapsed(child)
        pid = holder(signs.control.lock)
        known = recorded_ranks(child, self.machine.boot_id())
        if pid or (why is None and self.starting(handle, signs)):
            ranks = processes.ranks(descendants(pid), known) if wish == "graceful" and pid > 0 else None
            return Status("running" if child else "starting", None, wish, started, elapsed, ranks=ranks)
        looks = LOOKS if why is None else 0
        members = next((found for _ in range(looks) if (found := self.members(handle, signs))), [])
        if not members:
            return None
        if wish == "kill":  # the shim was killed, and one round may miss a process that was just being made
            kill(members)
        return Status("running", None, wish, started, elapsed, ranks=processes.ranks(members, known) if wish else None)

    def members(self, handle: Handle, signs: Signs) -> list[int]:
        """The live processes of an attempt whose shim is gone: those that were recorded, which may have wiped their
        environment, and those that carry its marker; nobody of a copy, since they are the original's."""
        if not belongs(handle.paths, handle.attempt):
            return marked(paths_module.marker(handle.paths, handle.attempt))
        recorded = recorded_alive(signs.child, self.machine.boot_id())
        return [*dict.fromkeys([*recorded, *marked(str(signs.spec.get("marker")))])]

    def not_here(self, spec: Mapping[str, Any]) -> Why | None:
        """Why an attempt cannot live on this machine, now; None when it can. What one of both sides does not know
        decides nothing."""
        if not spec:
            return None
        theirs, ours = spec.get("boot_id"), self.machine.boot_id()
        if theirs and theirs == ours:  # whatever its host is called now
            return None if self.sees(spec) else "host"
        if spec.get("host") != self.machine.host():
            return "host"
        return "boot" if theirs and ours else None

    def sees(self, spec: Mapping[str, Any]) -> bool:
        """Whether the processes of whoever started an attempt can be seen here: not those of another container, and of
        another user only with all rights."""
        same = spec.get("pids") in (None, folder.namespace())
        return same and (spec.get("uid") in (None, os.getuid()) or os.geteuid() == 0)

    def elapsed(self, child: Mapping[str, Any]) -> float | None:
        """Seconds since the start by the clock that nobody sets; None without a child."""
        clock = real_number(child.get("clock"))
        return None if clock is None else self.machine.clock() - clock

    def starting(self, handle: Handle, signs: Signs) -> bool:
        """Whether a shim that does not hold its lock yet may still come. Not in a folder that was copied, and not once
        its right to start was taken away."""
        shim = self.shim(handle)
        if shim is not None:
            return shim.poll() is None
        made = real_number(signs.spec.get("clock"))
        if signs.child or made is None or not belongs(handle.paths, handle.attempt):
            return False
        if is_given_up(str(signs.control.root)):
            return False
        return self.machine.clock() - made < STARTUP_S

    def stop(self, handle: Handle, level: Level) -> Refused | None:
        """Renames the run's token (needs no free block) and wakes the shim.

        Without a shim the signals are sent from here. A softer wish after a harder one changes nothing.
        """
        control = handle.paths.attempt(handle.attempt)
        try:
            status = self.poll(handle)
            if status.phase in ("ended", "lost"):
                return Refused("not_running")
            if not leave_wish(control, level):
                return None
            self.hurry(handle, control, level)
        except OSError as error:
            return refused_by(error, control.root)
        failpoints.hit("stop.signalled")
        return None

    def hurry(self, handle: Handle, control: AttemptPaths, level: Level) -> None:
        """Wakes the shim, which looks for a wish twice a second anyway, also one that was stopped; without one, passes
        the wish on itself."""
        signs = Signs(control, look_json(control.spec), look_json(control.child), level)
        pid = holder(control.lock)
        if pid > 0 and start_ticks(pid) == signs.child.get("shim_ticks"):
            send([pid], signal.SIGCONT)
            send([pid], signal.SIGUSR2)
        elif not pid and self.not_here(signs.spec) is None:
            pass_on(self.members(handle, signs), level, recorded_ranks(signs.child, self.machine.boot_id()))

    def give_up(self, handle: Handle) -> bool:
        """Takes an attempt's right to start away (supervisor/records.py): its shim may have slept through it."""
        return give_up(str(handle.paths.attempt(handle.attempt).root))

    def reap(self) -> None:
        """Takes the exit codes of shims that ended, a moment after they wrote down how the run did; nobody else
        may wait for them."""
        for shim in list(self._shims.values()):
            shim.poll()

    def release(self, handle: Handle, seconds: float) -> None:
        """Waits for the shim, which has written down how its run ended and ends too."""
        shim = self._shims.pop(handle, None)
        if shim is not None:
            with suppress(subprocess.TimeoutExpired):
                shim.wait(seconds)


def check(plan: LaunchPlan) -> Refused | None:
    """What speaks against a start, seen before anything is written."""
    if not sys.platform.startswith("linux"):
        return Refused("not_linux", {"platform": sys.platform})
    if shutil.which(plan.argv[0]) is None:
        return Refused("cli_missing", {"path": plan.argv[0]})
    if plan.env.get("FORCE_TORCHRUN") and any(len(word.split()) != 1 for word in plan.argv[1:]):
        return Refused("space", {"path": plan.output_dir})  # launcher.py splits torchrun's command at spaces
    return None


def start(
    paths: RunPaths, plan: LaunchPlan, secrets: Mapping[str, str], forks: Forks | None = None
) -> Supervisor | Refused:
    """Starts the shim of a folder that was just made; takes the folder away when that fails.

    forks: is asked first. Should it start one after all, late, exactly one of both has the right to go on.
    """
    control = paths.attempt(plan.attempt)
    env = {name: value for name, value in os.environ.items() if name not in (*plan.unset, MARKER, ADDRESS)}
    if plan.path:
        env["PATH"] = plan.path + os.pathsep + env.get("PATH", os.defpath)
    command = [sys.executable, "-I", "-S", SUPERVISOR, str(control.root)]
    try:
        try_lock(control.lock)
        failpoints.hit("launch.before_popen")
        env |= {**plan.env, **secrets}
        with control.shim_log.open("ab") as log:
            forked = forks.supervise(command, env, plan.argv[0], log.fileno()) if forks is not None else None
            process: Supervisor = Forked(*forked) if forked is not None else subprocess.Popen(
                command, env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in an argument or a value
        folder.undo(paths, plan)
        if isinstance(error, OSError) and error.errno in (*NO_LOCKS, *DISK_FULL, *NOT_WRITABLE):
            return refused_by(error, paths.root)
        return Refused("start_failed", {"reason": f"{type(error).__name__}: {error}"})
    failpoints.hit("launch.after_popen")
    return process


def try_lock(lock: Path) -> None:
    """Takes the shim's lock and lets it go, before there is a shim. OSError where the file system has no such locks."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


def holder(lock: Path) -> int:
    """Pid of the process that holds the shim's lock; 0: nobody; -1: somebody in another pid namespace.

    F_GETLK only asks: unlike a trial lock it can never make the shim's own attempt fail. OSError when it cannot be
    asked.
    """
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in NOT_THERE:
            return 0
        raise
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 0, 0))
        kind, _, _, _, pid = struct.unpack(FLOCK, answer)
    finally:
        os.close(descriptor)
    return 0 if kind == fcntl.F_UNLCK else int(pid) or -1


def has_begun(control: AttemptPaths) -> bool:
    """Whether the right to start an attempt was used. Asked in the order in which the file gets its names."""
    return look_mark(control.taken) is not None or look_mark(control.child) is not None


def never_started(handle: Handle, control: AttemptPaths) -> Exit:
    """The end of an attempt whose shim went before it started anything, with its last words."""
    lines = tail_bytes(control.shim_log, SAID).decode("utf-8", "replace").strip().splitlines()
    return Exit(handle.run_id, handle.attempt, None, lines[-1] if lines else None)
