"""The processes of a run, as /proc shows them, and the signals that stop them. Standard library only."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

MARKER = "LFDASH_RUN"
MARK = f"{MARKER}=".encode()
GENERATIONS = 16  # that are looked back for a marker
NOT_OURS = (errno.ENOENT, errno.ESRCH, errno.EACCES, errno.EPERM)  # the process has ended, or is somebody else's


class Rank(NamedTuple):
    """One of torchrun's ranks, with its start ticks. number: its LOCAL_RANK. world: LOCAL_WORLD_SIZE, 0 if unknown."""

    pid: int
    ticks: int
    number: str
    world: int


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
    wanted = MARK + value.encode()
    return [pid for pid, words in environments() if wanted in words and start_ticks(pid) is not None]


def marked_folder(pid: int) -> str:
    """The folder of the run whose marker a process carries, or the one that it descends from: some wipe their
    environment (setproctitle does). "" for none, and where it cannot be read (any more)."""
    for _ in range(GENERATIONS):
        if pid <= 1:
            break
        for word in environ(pid):
            attempt, _colon, folder = word[len(MARK) :].partition(b":") if word.startswith(MARK) else (b"", b"", b"")
            if attempt and folder:
                return os.fsdecode(folder)
        pid = parent(pid)
    return ""


def anybody_for(folder: str) -> bool:
    """Whether a process carries the marker of any attempt of a run in a folder (absolute, without links)."""
    end = b":" + os.fsencode(folder)
    return any(
        word.startswith(MARK) and word.endswith(end) and word[len(MARK) : -len(end)].isdigit()
        for pid, words in environments() if start_ticks(pid) is not None for word in words
    )


def environments() -> Iterator[tuple[int, list[bytes]]]:
    """(pid, environment) of every process whose environment may be read, the newest first. OSError when one could not
    be read for another reason (no handle is left, say): then it is not known who is there."""
    for pid in sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                words = file.read().split(b"\0")
        except OSError as error:
            if error.errno not in NOT_OURS:
                raise
        else:
            yield pid, words


def recorded_alive(child: Mapping[str, Any], boot: str | None = None) -> list[int]:
    """The processes that child.json (`child`) names (the main one, its ranks) and all below them; empty: all are gone.

    Needs no marker, so it also finds a process that wiped its environment (setproctitle does). Pid and start ticks must
    fit, and it must lead a session, as whoever a supervisor or torchrun starts does. boot: this machine's boot id,
    looked up when None. Another one in the record means nobody; where one of the two is unknown, pid and ticks decide.
    A copy of a run's folder names the original's processes: only who knows that it is none may ask (paths.py, belongs).
    """
    members: dict[int, None] = {}
    heads = [child["child"]] if fits(child.get("child"), child.get("child_ticks"), child, boot) else []
    for pid in [*heads, *(rank.pid for rank in recorded_ranks(child, boot))]:
        if pid not in members:
            members |= dict.fromkeys((pid, *descendants(pid)))
    return list(members)


def recorded_ranks(child: Mapping[str, Any], boot: str | None = None) -> list[Rank]:
    """The ranks that child.json names and that live, whatever became of their environment; `boot` as above."""
    listed = child.get("ranks")
    items = [item for item in listed if isinstance(item, list) and len(item) == 4] if isinstance(listed, list) else []
    return [
        Rank(pid, ticks, number, world) for pid, ticks, number, world in items
        if type(number) is str and type(world) is int and fits(pid, ticks, child, boot)
    ]


def fits(pid: object, ticks: object, child: Mapping[str, Any], boot: str | None) -> bool:
    """Whether a process of the record `child` lives: this pid, begun then, in that boot, leading its session."""
    booted, here = child.get("boot_id"), boot_id() if boot is None else boot
    if type(pid) is not int or type(ticks) is not int or pid <= 1 or (booted and here and booted != here):
        return False
    fields = stat_fields(pid)
    return bool(fields) and fields[0] not in (b"Z", b"X") and (int(fields[19]), int(fields[3])) == (ticks, pid)


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


def parent(pid: int) -> int:
    """Who started a process, or took it over; 0 when it is gone."""
    return int((stat_fields(pid) or [b"", b"0"])[1])


def rank_of(pid: int) -> Rank | None:
    """What its environment says of a rank; None for any other process, and for one that wiped it."""
    words = dict(item.split(b"=", 1) for item in environ(pid) if item.startswith(b"LOCAL_"))
    ticks = start_ticks(pid)
    if b"LOCAL_RANK" not in words or ticks is None:
        return None
    world = words.get(b"LOCAL_WORLD_SIZE", b"")
    return Rank(pid, ticks, words[b"LOCAL_RANK"].decode(errors="replace"), int(world) if world.isdigit() else 0)


def live_ranks(pids: list[int], known: Iterable[Rank] = ()) -> list[Rank]:
    """The ranks among a run's processes: those that are known, and those whose environment or parent says so."""
    noted = {rank.pid: rank for rank in known if start_ticks(rank.pid) == rank.ticks}
    agents = {pid for pid in pids if is_torchrun(pid)}
    each = (noted.get(pid) or rank_of(pid) or wiped_rank(pid, agents) for pid in pids)
    return [rank for rank in each if rank is not None]


def wiped_rank(pid: int, agents: set[int]) -> Rank | None:
    """A rank that nobody saw before it wiped its environment: torchrun (`agents`) started it, and it has no marker."""
    if pid in agents or parent(pid) not in agents or any(item.startswith(MARK) for item in environ(pid)):
        return None
    return Rank(pid, 0, f"pid {pid}", 0)


def savers(pids: list[int], known: Iterable[Rank] = ()) -> list[int]:
    """Those to be asked to save and stop: the ranks under torchrun, else the training process itself.

    A child of one that is asked (a data-loader worker inherits the handler) is left alone. Nobody when
    nobody handles SIGABRT yet: it would be a crash. known: ranks that may have wiped their environment.
    """
    ranks = [rank.pid for rank in live_ranks(pids, known)]
    if not ranks and any(is_torchrun(pid) for pid in pids):
        return []
    catching = {pid for pid in ranks or pids if catches_abort(pid)}
    return [pid for pid in catching if parent(pid) not in catching]


def ranks(pids: list[int], known: Iterable[Rank] = ()) -> tuple[int, int] | None:
    """(ranks of torchrun that live, ranks that it started on this machine); None without torchrun."""
    alive = live_ranks(pids, known)
    numbers = {rank.number for rank in alive}
    started = max((rank.world for rank in alive), default=0)
    return (len(numbers), max(started, len(numbers))) if numbers else None


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


def pass_on(pids: list[int], level: str, known: Iterable[Rank] = ()) -> str:
    """Carries a stop wish out on the run's processes (`known` as in `savers`); the name of the signal that was sent."""
    asked = savers(pids, known) if level == "graceful" else []
    if asked:
        send(asked, signal.SIGABRT)
        return "SIGABRT"
    if level == "kill":
        kill(pids)
        return "SIGKILL"
    send(pids, signal.SIGTERM)
    send(pids, signal.SIGCONT)  # one that was paused hears it only then
    return "SIGTERM"
