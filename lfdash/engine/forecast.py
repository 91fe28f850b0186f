"""What a job will take of GPU memory, beside what the devices that it may get have free; kept by job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lfdash.engine.memory import Foretold, card_there, measure, of_job, world_of
from lfdash.engine.on_target import smallest_gpu, target_of
from lfdash.engine.past_runs import learn
from lfdash.engine.services import Services
from lfdash.engine.whole_run import every_length
from lfdash.jobs.args import build_args, build_env
from lfdash.jobs.job import JobConfig
from lfdash.jobs.resources import ResourceRequest, request_of
from lfdash.machine.sample import Device
from lfdash.memory.cards import Verdict, verdict
from lfdash.memory.estimate import Estimate
from lfdash.outcomes import Refused

NAMES = frozenset({"output_dir", "logging_dir", "run_name"})  # what a run is called and where it writes
Fit = Verdict | Literal["in_use"]  # in_use: it would fit on the device, but not beside what is there


@dataclass(frozen=True)
class Room:
    """What a device has for a job. label: as a page calls it. free, total: bytes of its memory. name: its product's, as
    its driver has it."""

    label: str
    free: int
    total: int
    name: str = ""


@dataclass(frozen=True)
class Forecast:
    """What a job takes, and where. rooms: the devices that it may get and whose memory is known. cpu: whether it wants
    none of them. blind: whether there may be devices that could not be read (yet). key: of what was asked. target: the
    cluster that it is to run on, of which one GPU stands for all, as its last test found it; "" for this machine."""

    foretold: Foretold
    rooms: tuple[Room, ...] = ()
    cpu: bool = False
    blind: bool = False
    key: str = ""
    target: str = ""

    @property
    def room(self) -> Room | None:
        """The device with the least free memory, which decides; None without one."""
        return min(self.rooms, key=lambda room: room.free, default=None)

    @property
    def verdict(self) -> Fit | None:
        """Whether it fits: as `cards.verdict`, or in_use; None where there is no device."""
        room = self.room
        if room is None:
            return None
        found = verdict(self.foretold.estimate, room.free)
        if found == "does_not" and verdict(self.foretold.estimate, room.total) in ("fits", "unsure"):
            return "in_use"
        return found


def forecast(services: Services, job: JobConfig) -> Forecast | Refused:
    """What a training takes, corrected by past runs on such devices, and the devices that it may get. Refused: as
    `memory.of_job`."""
    args = build_args(job)
    request = request_of(args, build_env(job, args))
    world = world_of(services, job)
    lengths = every_length(services, args)
    place = (job.target, card_there(services, job)) if job.target else None
    key = json.dumps([without_names(args), world, hash(lengths), place], sort_keys=True, default=str)
    foretold: Foretold | Refused | None = services.foretold.get(key)
    if foretold is None:
        foretold = of_job(services, job, world=world, lengths=lengths)
        services.foretold.put(key, foretold)
    if isinstance(foretold, Refused):
        return foretold
    rooms = rooms_there(services, job) if job.target and not request.cpu else rooms_of(services, request)
    foretold = learn(services, foretold, {(room.name, room.total) for room in rooms})
    if request.fits and not job.target:
        rooms = best_rooms(rooms, foretold.estimate, request.count or 1)
    dry_run = services.dry_runs.of(key)
    if dry_run is not None and isinstance(dry_run.found, Foretold):
        foretold = dry_run.found
    return Forecast(foretold, rooms, request.cpu, is_blind(services), key, job.target)


def without_names(args: Mapping[str, object]) -> dict[str, object]:
    """The arguments that have a say in the memory: another name of the run leaves what was measured for it true."""
    return {name: value for name, value in args.items() if name not in NAMES}


def begin_dry_run(services: Services, found: Forecast) -> None:
    """Measures in the background what a forecast is about; the next forecast of the same job has it."""
    services.dry_runs.start(found.key, lambda stop: measure(services, found.foretold, stop))


def rooms_of(services: Services, request: ResourceRequest) -> tuple[Room, ...]:
    """What the devices have that a job may get: those that it names, those with most room of which it wants a number,
    else all; all, too, where it wants those that it fits on (`best_rooms`)."""
    if request.cpu:
        return ()
    known = [(device, room) for device in services.machine.seen.devices if (room := room_of(device)) is not None]
    if request.devices:
        known = [pair for pair in known if named(pair[0], request.devices)]
    elif request.count is not None and not request.fits:
        freest = sorted(known, key=lambda pair: -pair[1].free)[: request.count]
        known = [pair for pair in known if pair in freest]
    return tuple(room for _, room in known)


def rooms_there(services: Services, job: JobConfig) -> tuple[Room, ...]:
    """What the smallest GPU has that the last test of a job's target saw; all of it is a job's there. None where no GPU
    is known."""
    gpu = smallest_gpu(services, target_of(services, job))
    return () if gpu is None else (Room(f"{gpu.name} ({job.target})", gpu.memory, gpu.memory, gpu.name),)


def best_rooms(rooms: tuple[Room, ...], found: Estimate, count: int) -> tuple[Room, ...]:
    """The devices that a job gets which wants only those that it fits on: the smallest with enough free memory, else
    those that would have it."""
    def rank(room: Room) -> tuple[bool, bool, int]:
        return verdict(found, room.free) != "fits", verdict(found, room.total) != "fits", room.total

    return tuple(sorted(rooms, key=rank)[:count])


def room_of(device: Device) -> Room | None:
    """What a device has; None where it does not tell."""
    if device.memory_total is None or device.memory_used is None or device.problem:
        return None
    return Room(device.label, max(0, device.memory_total - device.memory_used), device.memory_total, device.name)


def named(device: Device, names: tuple[str, ...]) -> bool:
    """Whether CUDA_VISIBLE_DEVICES names a device, by its number or its unique name."""
    return device.index in names or (bool(device.uuid) and device.uuid in names)


def is_blind(services: Services) -> bool:
    """Whether there may be devices whose memory is not known: nobody has looked yet, or they could not be read."""
    sample = services.machine.seen
    unread = any(vendor != "disk" for vendor in sample.problems) or bool(sample.devices)
    return not sample.time or unread or services.devices.gpu_count != 0
