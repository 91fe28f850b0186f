"""Where a job fits by its estimate, for jobs that ask for any GPU where they do."""

from __future__ import annotations

import time
from functools import partial

from lfdash.engine.forecast import Room, room_of
from lfdash.engine.memory import of_job
from lfdash.engine.past_runs import learn
from lfdash.engine.services import Services
from lfdash.engine.whole_run import every_length
from lfdash.errors import ConfigError
from lfdash.jobs import yaml_format
from lfdash.jobs.args import job_from_args
from lfdash.jobs.resources import request_of
from lfdash.machine.sample import Sample
from lfdash.memory.cards import verdict
from lfdash.outcomes import Refused
from lfdash.queue.placement import NOT_KNOWN, Fitting, NoRoom
from lfdash.runs.plan import ARGS_FILE, LaunchPlan

FRESH_S = 5.0  # seconds for which what is free counts; then the devices are read again
VENDOR = "nvidia"  # whose GPUs the queue gives out


def attach(services: Services) -> None:
    """Has the jobs of a process's workspace placed by their estimates, where they ask for that."""
    services.registry.dispatcher.fitting = partial(fitting, services)


def fitting(services: Services, plan: LaunchPlan) -> Fitting:
    """The GPUs of this machine that a plan surely fits on, by what is free on each now. Unknown: fits_unknown (the size
    of its model is not known, or it is no training), fits_unsure (parts of it were never measured or are not counted),
    fits_unread (the memory of the GPUs cannot be read just now)."""
    try:
        args = yaml_format.load(plan.files[ARGS_FILE]).args
    except (ConfigError, KeyError):
        return NOT_KNOWN
    job, count = job_from_args(args, plan.env), request_of(args, plan.env).count
    foretold = of_job(services, job, world=count or 1, lengths=every_length(services, args))
    if isinstance(foretold, Refused):
        return NOT_KNOWN
    rooms = rooms_of(fresh(services))
    if not rooms:
        return Fitting(unknown=NoRoom("fits_unread"))
    found = learn(services, foretold, {(room.name, room.total) for room in rooms.values()}).estimate
    if not found.bounded:
        return Fitting(unknown=NoRoom("fits_unsure", never=True))
    smallest = sorted(rooms, key=lambda gpu: rooms[gpu].total)
    return Fitting(
        found.driver,
        now=tuple(gpu for gpu in smallest if verdict(found, rooms[gpu].free) == "fits"),
        empty=tuple(gpu for gpu in smallest if verdict(found, rooms[gpu].total) == "fits"),
    )


def fresh(services: Services) -> Sample:
    """The machine as it was within the last seconds."""
    seen = services.machine.seen
    return seen if time.time() - seen.time <= FRESH_S else services.machine.look(keep=False)


def rooms_of(sample: Sample) -> dict[str, Room]:
    """What each GPU has, of those that tell it, by its number."""
    own = [device for device in sample.devices if device.vendor == VENDOR]
    return {device.index: room for device in own if (room := room_of(device)) is not None}
