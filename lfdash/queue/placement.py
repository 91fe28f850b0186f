"""Which devices a job gets: what it asks for, what is taken, what waits before it. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from lfdash.jobs.resources import ResourceRequest

GIB = 1 << 30


@dataclass(frozen=True)
class Inventory:
    """What can be given out. gpus: in order, as CUDA_VISIBLE_DEVICES names them; occupied: GPU -> which processes
    of others are on it; leaving: GPU -> run of ours whose process is on it, though it was not given to one that lives;
    slots: how many runs without a GPU go on at once. countable: False where there may be accelerators that NVML does
    not see (then a job without named devices takes a slot)."""

    gpus: tuple[str, ...] = ()
    occupied: Mapping[str, str] = field(default_factory=dict)
    slots: int = 1
    countable: bool = True
    leaving: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Allocation:
    """What a run has: these GPUs, or (none) a slot of the processor. all: every GPU that there is."""

    devices: tuple[str, ...] = ()
    all: bool = False


@dataclass(frozen=True)
class NoRoom:
    """Why there is no place now. The text of `waits.<code>` is filled with params. never: waiting does not help.
    behind: the runs of ours that have what is asked for."""

    code: str
    params: Mapping[str, str] = field(default_factory=dict)
    never: bool = False
    behind: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fitting:
    """Where a job fits by its estimate. need: bytes of each GPU; now: GPUs that have so much free, the smallest first;
    empty: those that would have it if nothing were on them. unknown: why that cannot be told, where it cannot."""

    need: int = 0
    now: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    unknown: NoRoom | None = None


NOT_KNOWN = Fitting(unknown=NoRoom("fits_unknown", never=True))


@dataclass
class DevicePool:
    """The machine with what is on it now: GPU -> run that has it, the runs in slots, and what jobs that wait
    have been promised (GPU -> job). `place` gives out, `take` notes that, `promise` keeps a place free."""

    machine: Inventory
    taken: dict[str, str] = field(default_factory=dict)
    in_slots: list[str] = field(default_factory=list)
    promised: dict[str, str] = field(default_factory=dict)
    slots_promised_to: str = ""

    @classmethod
    def unlimited(cls) -> Self:
        """Room for any job, without a device of this machine: somebody else gives them out."""
        return cls(Inventory(slots=sys.maxsize, countable=False))

    def place(self, request: ResourceRequest, fitting: Fitting = NOT_KNOWN) -> Allocation | NoRoom:
        """Where a job can run now, or what it has to wait for. fitting: of one that wants only GPUs that it fits on."""
        if request.devices:
            return self._exactly(request.devices)
        if request.cpu or not self.machine.gpus:
            if request.count and self.machine.countable and not request.cpu:
                return NoRoom("too_many", {"asked": str(request.count), "have": "0"}, never=True)
            return self._slot()
        if request.count is None:
            found = self._exactly(self.machine.gpus)
            return Allocation(found.devices, all=True) if isinstance(found, Allocation) else found
        return self._fitting(request.count, fitting) if request.fits else self._some(request.count)

    def _slot(self) -> Allocation | NoRoom:
        if self.slots_promised_to:
            return NoRoom("turn", {"run": self.slots_promised_to})
        if len(self.in_slots) >= self.machine.slots:
            names = tuple(dict.fromkeys(self.in_slots))
            return NoRoom("slots", {"run": ", ".join(names)}, behind=names)
        return Allocation()

    def _exactly(self, wanted: tuple[str, ...]) -> Allocation | NoRoom:
        absent = [gpu for gpu in wanted if gpu.isdigit() and self.machine.gpus and gpu not in self.machine.gpus]
        if absent:
            have = ", ".join(self.machine.gpus)
            return NoRoom("absent", {"gpu": ", ".join(absent), "have": have}, never=True)
        why = self._why_not(wanted)
        return Allocation(wanted) if why is None else why

    def _some(self, count: int) -> Allocation | NoRoom:
        have = len(self.machine.gpus)
        if count > have:
            return NoRoom("too_many", {"asked": str(count), "have": str(have)}, never=True)
        holders = {gpu: self._holder(gpu) for gpu in self.machine.gpus}
        free = [gpu for gpu, holder in holders.items() if holder is None]
        if len(free) >= count:
            return Allocation(tuple(free[:count]))
        had = {gpu: holder for gpu, holder in holders.items() if holder is not None and holder[0] != "turn"}
        idle = have - len(had)
        if idle >= count:  # they are kept for a job that waits before it
            return NoRoom("turn", {"run": next(who for why, who in filter(None, holders.values()) if why == "turn")})
        groups, behind = grouped(had)
        params = {"asked": str(count), "free": str(idle), "who": listed(groups)}
        return NoRoom("short", params, behind=behind)

    def _fitting(self, count: int, fitting: Fitting) -> Allocation | NoRoom:
        """GPUs that are free and have enough memory: the smallest that do, so that the largest stay for others."""
        if fitting.unknown is not None:
            return fitting.unknown
        need = {"need": f"{fitting.need / GIB:.1f}", "asked": str(count)}
        if len(fitting.empty) < count:
            return NoRoom("fits_none", need, never=True)
        holders = {gpu: holder for gpu in fitting.empty if (holder := self._holder(gpu)) is not None}
        free = [gpu for gpu in fitting.now if gpu not in holders]
        if len(free) >= count:
            return Allocation(tuple(sorted(free[:count], key=self.machine.gpus.index)))
        had = {gpu: holder for gpu, holder in holders.items() if holder[0] != "turn"}
        if len([gpu for gpu in fitting.now if gpu not in had]) >= count:
            return NoRoom("turn", {"run": next(who for why, who in holders.values() if why == "turn")})
        groups, behind = grouped(had)
        if had:
            return NoRoom("fits_taken", {**need, "who": listed(groups)}, behind=behind)
        return NoRoom("fits_full", {**need, "gpu": ", ".join(fitting.empty)})

    def _holder(self, gpu: str) -> tuple[str, str] | None:
        """Why a GPU cannot be given, and who has it: "run" (one of ours), "leaving", "foreign", or "turn" (a job that
        waits before)."""
        for code, holders in (
            ("run", self.taken), ("leaving", self.machine.leaving), ("foreign", self.machine.occupied),
            ("turn", self.promised),
        ):
            if gpu in holders:
                return code, holders[gpu]
        return None

    def _why_not(self, wanted: tuple[str, ...]) -> NoRoom | None:
        """Why these GPUs cannot be given, all of those that have them named."""
        holders = {gpu: holder for gpu in wanted if (holder := self._holder(gpu)) is not None}
        had = {gpu: holder for gpu, holder in holders.items() if holder[0] != "turn"}
        if not had:
            turn = next(iter(holders.values()), None)
            return None if turn is None else NoRoom("turn", {"run": turn[1]})
        groups, behind = grouped(had)
        if len(groups) > 1:
            return NoRoom("several", {"who": listed(groups)}, behind=behind)
        ((why, who), gpus), = groups.items()
        gpu = ", ".join(gpus)
        if why == "foreign":
            return NoRoom("foreign", {"gpu": gpu, "who": who})
        if why == "leaving":
            return NoRoom("leaving", {"gpu": gpu, "run": who})
        return NoRoom("run", {"gpu": gpu, "run": who}, behind=behind)

    def take(self, run: str, place: Allocation) -> None:
        """Notes that a run has a place. A run whose devices nobody knows has them all."""
        if place.devices or place.all:
            self.taken.update(dict.fromkeys(place.devices or self.machine.gpus, run))
        else:
            self.in_slots.append(run)

    def promise(self, run: str, request: ResourceRequest, fitting: Fitting = NOT_KNOWN) -> None:
        """Keeps what a waiting job needs from those behind it, or it would wait for ever.

        Named devices are kept as they are; for a number of GPUs all that are free now are. fitting: of one that wants
        only GPUs that it fits on; where these are known, no others are kept.
        """
        if request.devices:
            wanted: tuple[str, ...] = request.devices
        elif request.cpu or not self.machine.gpus:
            self.slots_promised_to = self.slots_promised_to or run
            return
        elif request.fits and request.count is not None and fitting.unknown is None:
            wanted = fitting.empty
        else:
            wanted = self.machine.gpus
        for gpu in wanted:
            self.promised.setdefault(gpu, run)

    def anyway(self, request: ResourceRequest) -> Allocation | NoRoom:
        """Where a job runs when its user does not want to wait: what it named, or what is least in use."""
        request = replace(request, fits=False)
        found = self.place(request)
        if isinstance(found, Allocation) or found.never:
            return found
        if request.devices:
            return Allocation(request.devices)
        if request.cpu or not self.machine.gpus:
            return Allocation()
        if request.count is None:
            return Allocation(self.machine.gpus, all=True)
        rank = {"turn": 1, "leaving": 2, "foreign": 3, "run": 4}
        order = sorted(self.machine.gpus, key=lambda gpu: rank[holder[0]] if (holder := self._holder(gpu)) else 0)
        return Allocation(tuple(sorted(order[: request.count], key=self.machine.gpus.index)))


Groups = Mapping[tuple[str, str], list[str]]  # (why, who) -> the GPUs


def grouped(holders: Mapping[str, tuple[str, str]]) -> tuple[Groups, tuple[str, ...]]:
    """Who has which GPUs, and the runs of ours among them."""
    groups: dict[tuple[str, str], list[str]] = {}
    for gpu, holder in holders.items():
        groups.setdefault(holder, []).append(gpu)
    return groups, tuple(who for code, who in groups if code == "run")


def listed(groups: Groups) -> str:
    """Who has which GPUs, in no language: GPU 0, 1: r1; GPU 3: python3 (pid 7, alice)."""
    return "; ".join(f"GPU {', '.join(gpus)}: {who}" for (_, who), gpus in groups.items())
