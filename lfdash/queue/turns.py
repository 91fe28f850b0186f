"""Where runs may start: the machine as it is now, who has what, and how a waiting job stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from lfdash.jobs.resources import VISIBLE, ResourceRequest
from lfdash.queue.placement import Allocation, DevicePool, Inventory, NoRoom
from lfdash.queue.ports import master_port
from lfdash.queue.store import QueueEntry
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import TERMINAL, RunRecord, RunState
from lfdash.runs.view import Reason, RunView, Waiting
from lfdash.workspace import devices

LOOK_S = 2.0  # how long an answer of the driver is good for what waits
ORDER = "CUDA_DEVICE_ORDER"  # with PCI_BUS_ID, CUDA counts GPUs as NVML does
PORT = "MASTER_PORT"

ProbeDevices = Callable[[], devices.Devices]
PoolOf = Callable[[RunRecord], DevicePool]  # where the devices of a job come from


class CachedDevices:
    """Looks at the machine, and remembers for some seconds what it saw."""

    def __init__(self, look: ProbeDevices, seconds: float = LOOK_S) -> None:
        self._look, self._seconds = look, seconds
        self._seen: devices.Devices | None = None
        self._when = 0.0

    def machine(self, slots: int, *, now: bool = False) -> Inventory:
        """What can be given out. now: ask the driver again, however long ago it answered."""
        if self._seen is None or now or time.monotonic() - self._when > self._seconds:
            self._seen = self._look()
            self._when = time.monotonic()
        seen = self._seen
        occupied = {
            str(gpu.index): ", ".join(map(devices.process_name, gpu.processes)) for gpu in seen.gpus if gpu.processes
        }
        gpus = tuple(str(gpu.index) for gpu in seen.gpus)
        return Inventory(gpus, occupied, slots, countable=not seen.others)


def pool_of(machine: Inventory, views: Iterable[RunView]) -> DevicePool:
    """The machine with every live attempt of our runs on it. One whose devices nobody noted has them all.

    views: runs of this machine.
    """
    pool = DevicePool(machine)
    for view in views:
        if view.record is None or view.waiting is not None or view.state in TERMINAL:
            continue
        for attempt in view.record.attempts:
            if attempt.number in (view.attempt, *view.others):
                given = attempt.devices
                pool.take(view.name, Allocation(all=bool(machine.gpus)) if given is None else Allocation(given))
    return pool


def with_allocation(
    plan: LaunchPlan, record: RunRecord, request: ResourceRequest, place: Allocation, ports: Collection[int]
) -> tuple[LaunchPlan, RunRecord]:
    """The plan and the record with what the place decides: which GPUs are seen, and torchrun's port.

    ports: those of the runs that are alive. OSError when no port is free.
    """
    env = dict(plan.env)
    if place.devices and not place.all and not request.devices:
        env |= {VISIBLE: ",".join(place.devices), ORDER: "PCI_BUS_ID"}
    elif all(word.isdigit() for word in request.devices) and VISIBLE in env:
        env.setdefault(ORDER, "PCI_BUS_ID")
    if (env.get("FORCE_TORCHRUN") or len(place.devices) > 1) and PORT not in env:
        env[PORT] = str(master_port(plan.run_id, ports))
    unset = tuple(name for name in plan.unset if name not in env)
    return replace(plan, env=env, unset=unset), record.with_last(env=env, devices=place.devices)


def ports_of(views: Iterable[RunView]) -> set[int]:
    """The rendezvous ports of the runs that are alive."""
    alive = [view.record.last.env for view in views if view.record and view.state not in TERMINAL]
    return {int(env[PORT]) for env in alive if env.get(PORT, "").isdigit()}


def queue_status(
    entries: Sequence[QueueEntry], pools: PoolOf, kept: Callable[[QueueEntry], Reason | None], *, paused: bool
) -> list[tuple[QueueEntry, Waiting, Allocation | None]]:
    """Each waiting job in order: how it stands, and the place that it can have now (None: it waits or is held).

    The pools are changed as if every job that can start had started. kept: why a job is not to be started, whatever its
    user wants.
    """
    found = []
    for number, entry in enumerate(entries):
        held = entry.held or kept(entry)
        waits, place = None, None
        if held is None:
            pool = pools(entry.record)
            answer = pool.place(entry.request)
            if isinstance(answer, NoRoom) and answer.never:
                held = Reason(answer.code, answer.params)
            elif isinstance(answer, NoRoom):
                waits = Reason(answer.code, answer.params)
                pool.promise(entry.record.name, entry.request)
            elif paused:
                waits = Reason("paused")
            else:
                place = answer
                pool.take(entry.record.name, answer)
        found.append((entry, Waiting(number + 1, entry.request, held, waits), place))
    return found


def queued_view(entry: QueueEntry, waiting: Waiting, before: RunView | None, output_dir: str) -> RunView:
    """A waiting job as a page shows it. before: the run whose next attempt it is."""
    state = RunState.HELD if waiting.held else RunState.QUEUED
    if before is not None:
        return replace(before, state=state, waiting=waiting, attempt=entry.plan.attempt, exit_code=None, error=None)
    return RunView(
        run_id=entry.run_id,
        name=entry.record.name,
        path=entry.paths.root,
        output_dir=output_dir,
        state=state,
        record=entry.record,
        waiting=waiting,
    )
