"""Where runs may start: the machine as it is now, who has what, and how a waiting job stands."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lfdash.files import readable
from lfdash.jobs.kinds import PORT_VARIABLE, named
from lfdash.jobs.resources import VISIBLE, ResourceRequest
from lfdash.queue.placement import NOT_KNOWN, Allocation, DevicePool, Fitting, Inventory, NoRoom
from lfdash.queue.ports import master_port
from lfdash.queue.store import QueueEntry
from lfdash.runs.plan import ARGS_FILE, LaunchPlan
from lfdash.runs.record import TERMINAL, RunRecord, RunState
from lfdash.runs.view import Reason, RunView, Stall, Waiting
from lfdash.supervisor.processes import marked_folder
from lfdash.workspace import devices

NAMED = 3  # processes of a GPU that are named
LOOK_S = 2.0  # how long an answer of the driver is good for what waits
ORDER = "CUDA_DEVICE_ORDER"  # with PCI_BUS_ID, CUDA counts GPUs as NVML does
PORT = "MASTER_PORT"

ProbeDevices = Callable[[], devices.Devices]
PoolOf = Callable[[RunRecord], DevicePool]  # where the devices of a job come from


class CachedDevices:
    """Looks at the machine, and remembers for some seconds what it saw. workspace: whose runs are known by their
    processes, also while these end."""

    def __init__(self, look: ProbeDevices, seconds: float = LOOK_S, workspace: Path | None = None) -> None:
        self._look, self._seconds, self._workspace = look, seconds, workspace
        self._seen: devices.Devices | None = None
        self._when = 0.0
        self._ours: dict[int, str] = {}  # processes on a GPU -> run; one that ends does not tell its run any more

    def machine(self, slots: int, *, now: bool = False) -> Inventory:
        """What can be given out. now: ask the driver again, however long ago it answered."""
        if self._seen is None or now or time.monotonic() - self._when > self._seconds:
            self._seen = self._look()
            self._when = time.monotonic()
        seen = self._seen
        self._ours = {pid: run for gpu in seen.gpus for pid in gpu.processes if (run := self._run_of(pid))}
        busy = {str(gpu.index): gpu.processes for gpu in seen.gpus if gpu.processes}
        occupied = {
            gpu: processes_words([pid for pid in pids if pid not in self._ours])
            for gpu, pids in busy.items() if any(pid not in self._ours for pid in pids)
        }
        leaving = {gpu: self._ours[pids[0]] for gpu, pids in busy.items() if gpu not in occupied}
        gpus = tuple(str(gpu.index) for gpu in seen.gpus)
        return Inventory(gpus, occupied, slots, countable=not seen.others, leaving=leaving)

    def _run_of(self, pid: int) -> str:
        """The run of this workspace that a process is of; "" for a stranger."""
        return run_of(pid, self._workspace) or self._ours.get(pid, "") if self._workspace else ""


def run_of(pid: int, workspace: Path) -> str:
    """The run of a workspace that a process carries the marker of: `name (pid 7)`; "" for none, and where its
    environment cannot be read any more."""
    folder = marked_folder(pid)
    inside = folder.startswith(os.path.realpath(workspace) + os.sep)
    return f"{readable(os.path.basename(folder))} (pid {pid})" if inside else ""


def processes_words(pids: Sequence[int]) -> str:
    """Processes that have a GPU, the first ones of many."""
    names = [devices.process_name(pid) for pid in pids[:NAMED]]
    return ", ".join([*names, f"+{len(pids) - NAMED}"] if len(pids) > NAMED else names)


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
    """The plan and the record with what the place decides: which GPUs are seen, and the port of torchrun, or the one
    that a job which serves listens on.

    ports: those of the runs that are alive. OSError when no port is free.
    """
    env = dict(plan.env)
    if place.devices and not place.all and not request.devices:
        env |= {VISIBLE: ",".join(place.devices), ORDER: "PCI_BUS_ID"}
    elif all(word.isdigit() for word in request.devices) and VISIBLE in env:
        env.setdefault(ORDER, "PCI_BUS_ID")
    if (env.get("FORCE_TORCHRUN") or len(place.devices) > 1) and PORT not in env:
        env[PORT] = str(master_port(plan.run_id, ports))
    if named(record.kind).serves and PORT_VARIABLE not in env:
        env[PORT_VARIABLE] = str(master_port(plan.run_id, ports))
    unset = tuple(name for name in plan.unset if name not in env)
    return replace(plan, env=env, unset=unset), record.with_last(env=env, devices=place.devices)


def ports_of(views: Iterable[RunView]) -> set[int]:
    """The ports that the runs which are alive were given."""
    alive = [view.record.last.env for view in views if view.record and view.state not in TERMINAL]
    return {int(env[name]) for env in alive for name in (PORT, PORT_VARIABLE) if env.get(name, "").isdigit()}


def queue_status(
    entries: Sequence[QueueEntry], pools: PoolOf, kept: Callable[[QueueEntry], Reason | None], *, paused: bool,
    stalls: Mapping[str, Stall] | None = None, fitting: Callable[[LaunchPlan], Fitting] = lambda plan: NOT_KNOWN,
) -> list[tuple[QueueEntry, Waiting, Allocation | None]]:
    """Each waiting job in order: how it stands, and the place that it can have now (None: it waits or is held).

    The pools are changed as if every job that can start had started. kept: why a job is not to be started, whatever its
    user wants. stalls: the runs that do not step any more. fitting: where a job fits, asked of those that want to know.
    """
    found = []
    for number, entry in enumerate(entries):
        held = entry.held or kept(entry)
        waits, place = None, None
        behind: tuple[str, ...] = ()
        if held is None:
            pool = pools(entry.record)
            fits = fitting(entry.plan) if entry.request.fits else NOT_KNOWN
            answer = pool.place(entry.request, fits)
            if isinstance(answer, NoRoom) and answer.never:
                held = Reason(answer.code, answer.params)
            elif isinstance(answer, NoRoom):
                waits, behind = Reason(answer.code, answer.params), answer.behind
                pool.promise(entry.record.name, entry.request, fits)
            elif paused:
                waits = Reason("paused")
            else:
                place = answer
                pool.take(entry.record.name, answer)
        still = tuple((run, stall) for run in behind if (stall := (stalls or {}).get(run)) is not None)
        settings = entry.plan.files.get(ARGS_FILE, "")
        found.append((entry, Waiting(number + 1, entry.request, held, waits, still, settings), place))
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


def is_twin(entry: QueueEntry, view: RunView) -> bool:
    """Whether a job that waits has the id of a run that it is not: it is never started. So it is after a part of the
    workspace was put back to an older copy."""
    same = entry.run_id == view.run_id and entry.plan.attempt == 1
    return same and entry.paths.root != view.path and not entry.begun
