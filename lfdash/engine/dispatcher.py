"""Which job starts when and where: now, or from the queue."""

from __future__ import annotations

import logging
import posixpath
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from filelock import Timeout

from lfdash.engine.array_start import ArrayStart
from lfdash.engine.handing import Handing
from lfdash.engine.later import Later
from lfdash.engine.rights import Right, Rights
from lfdash.engine.watcher import Watcher
from lfdash.jobs.resources import ResourceRequest
from lfdash.launchers import folder
from lfdash.launchers.base import Launched
from lfdash.launchers.table import is_target
from lfdash.outcomes import DISK_FULL, NOT_WRITABLE, Refused
from lfdash.queue.commands import QueueCommands, taken
from lfdash.queue.genuine import why_not_ours
from lfdash.queue.placement import NOT_KNOWN, Allocation, DevicePool, Fitting, NoRoom
from lfdash.queue.store import Queued, QueueEntry
from lfdash.queue.turns import (
    CachedDevices,
    PoolOf,
    is_twin,
    pool_of,
    ports_of,
    queue_status,
    queued_view,
    with_allocation,
)
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import TERMINAL, RunRecord, RunState, Status
from lfdash.runs.view import REFUSED, Reason, RunView, Waiting, relative
from lfdash.supervisor import failpoints
from lfdash.targets.target import Target
from lfdash.targets.trust import UsedTargets
from lfdash.workspace.allowed_paths import Roots
from lfdash.workspace.secret_store import SecretStore

TRIES = 3  # of a job whose supervisor ends before it starts anything

REST_S = 30.0  # after a disk that is full, or not to be written to
AGAIN_S = 2.0  # after any other failure of it

logger = logging.getLogger(__name__)


class Dispatcher:
    """Starts the runs of one workspace, those of the page at once and those that wait in their turn.

    queue: the jobs that wait. cached_devices: looks at the machine's devices. roots: where paths may lead. cli: the
    only llamafactory-cli that jobs of the queue may start; None = each its own.
    """

    def __init__(
        self,
        watcher: Watcher,
        queue: QueueCommands,
        rights: Rights,
        cached_devices: CachedDevices,
        secret_store: SecretStore,
        roots: Roots,
        cli: str | None = None,
    ) -> None:
        self.cached_devices = cached_devices
        self._watcher = watcher
        self._queue = queue
        self._rights = rights
        self.handing = Handing(watcher, rights, secret_store, roots)
        self.arrays = ArrayStart(self.handing, self.entries)
        self._cli = cli
        self._vouched: set[str] = set()  # jobs for targets that this process was told to queue
        self._used = UsedTargets(watcher.workspace)
        self._outside: dict[str, Reason] = {}  # jobs whose paths lead out of what this dashboard allows
        self._rest_until = 0.0
        self._later: dict[str, tuple[QueueEntry, Later[Launched | Refused]]] = {}  # jobs that are being submitted
        # where a job fits, by its estimate; set by engine/fitting.py
        self.fitting: Callable[[LaunchPlan], Fitting] = lambda plan: NOT_KNOWN

    def launch(
        self, plan: LaunchPlan, record: RunRecord, request: ResourceRequest | None = None, *, beside: bool = False
    ) -> Launched | Refused:
        """Starts a run now, or says why not; the snapshot has it when this returns.

        record: its launcher starts the run. request: the devices it wants. beside: even where others have them.
        Refused: busy (the devices are in use; params as in `waits.<code>`), no_output, outside, secret_missing,
        secret_in_plan, another_launch, launcher_unknown, and what the launcher refuses (exists, disk, readonly,
        cli_missing, not_linux, space, start_failed).
        """
        failpoints.hit("launch.clicked")
        refused = self.handing.unfit(plan)
        if refused is not None:
            return refused
        self.vouch(record)
        return self.handing.with_right(
            lambda right: self._launch(right, plan, record, request or ResourceRequest(), beside=beside)
        )

    def _launch(
        self, right: Right, plan: LaunchPlan, record: RunRecord, request: ResourceRequest, *, beside: bool
    ) -> Launched | Refused | Later[Launched | Refused]:
        failpoints.hit("launch.locked")
        may = right.to_start(plan, record)
        if isinstance(may, Refused):
            return may
        missing = self.handing.missing(plan)
        if missing:
            return Refused("secret_missing", {"name": ", ".join(missing)})
        entries = self.entries()
        if taken(plan, entries):
            return Refused("exists", {"path": plan.output_dir})
        pools = self._pools(now=True)
        if not self._queue.jobs.settings().paused:
            queue_status(entries, pools, self._kept, paused=False, fitting=self.fitting)
        pool = pools(record)
        place = pool.anyway(request) if beside else pool.place(request, self._fitting(plan, request))
        if not isinstance(place, NoRoom) and not beside and right.unseen is not None:
            place = NoRoom("unseen", {"path": right.unseen[0], "reason": right.unseen[1]})
        if isinstance(place, NoRoom):
            return Refused("never" if place.never else "busy", {"code": place.code, **place.params})
        plan, record = self._allocated(plan, record, request, place)
        return self.handing.submit(right, plan, record)

    def _kept(self, entry: QueueEntry) -> Reason | None:
        """Why a job must not be started here, whatever its user wants: its file may be somebody else's."""
        missing = self.handing.missing(entry.plan)
        secret = Reason("secret", {"name": ", ".join(missing)}) if missing else None
        return self._odd(entry) or self._outside.get(entry.run_id) or secret

    def _odd(self, entry: QueueEntry) -> Reason | None:
        """Why a job is none that this dashboard would make."""
        cli = self._cli or next(iter(entry.plan.argv), "")
        bare = entry.plan.without_script()
        if bare != entry.plan and self.handing.launcher(entry.record).plan(bare) != entry.plan:
            return Reason("target_changed", {"name": entry.record.launcher.partition(":")[2]})
        return why_not_ours(bare, entry.record, self._watcher.workspace, cli)

    def _unvouched(self, entry: QueueEntry) -> Reason | None:
        """Why a job is started only by whoever looks at it: it runs what the workspace's targets name, and both files
        may be somebody else's."""
        vouched = entry.run_id in self._vouched or self.trusts(entry.record.launcher)
        return None if vouched else Reason("target_waits")

    def vouch(self, record: RunRecord) -> None:
        """Somebody here wants a job to run: what its target names may be started by itself from now on."""
        self.vouch_for(record.launcher)

    def vouch_for(self, launcher: str) -> None:
        """The same, of a launcher's jobs."""
        target = self._watcher.launchers.target(launcher)
        if isinstance(target, Target):
            self._used.add(target)

    def trusts(self, launcher: str) -> bool:
        """Whether jobs of a launcher may be started without anybody who looks at them."""
        target = self._watcher.launchers.target(launcher)
        return target is None or (isinstance(target, Target) and self._used.has(target))

    def _fitting(self, plan: LaunchPlan, request: ResourceRequest) -> Fitting:
        return self.fitting(plan) if request.fits else NOT_KNOWN

    def _local_views(self) -> list[RunView]:
        """The runs of this machine that are not over."""
        alive = ((view, view.record) for view in self._watcher.alive)
        return [view for view, record in alive if record is not None and self.handing.launcher(record).local]

    def _pools(self, *, now: bool = False) -> PoolOf:
        """Where each job gets its devices: this machine, or whoever gives them out where its launcher runs it."""
        machine = self.cached_devices.machine(self._queue.jobs.settings().slots, now=now)
        here = pool_of(machine, self._local_views())
        return lambda record: here if self.handing.launcher(record).local else DevicePool.unlimited()

    # -- the queue --------------------------------------------------------------------------------------

    def enqueue(
        self, plan: LaunchPlan, record: RunRecord, request: ResourceRequest | None = None
    ) -> Queued | Launched | Refused:
        """Puts a job behind those that wait; it starts when its devices are free, also without a page. One for a
        target is handed to that at once, unless the queue is paused.

        Refused: never (the machine has not what is asked for), no_output, outside, secret_in_plan, exists,
        another_launch, disk, readonly, start_failed.
        """
        refused = self.handing.unfit(plan)
        if refused is not None:
            return refused
        request = request or ResourceRequest()
        record = replace(record, launcher=self.handing.launcher(record).name)
        self.vouch(record)
        if is_target(record.launcher) and not self._queue.jobs.settings().paused:
            return self.launch(plan, record, request)  # who gives its devices out has a queue of its own
        place = self._pools()(record).place(request, self._fitting(plan, request))
        if isinstance(place, NoRoom) and place.never:
            return Refused("never", {"code": place.code, **place.params})
        may = self.handing.with_right(lambda right: right.to_start(plan, record)) if plan.attempt > 1 else record
        queued = may if isinstance(may, Refused) else self._queue.add(plan, record, request)
        if isinstance(queued, Refused):
            return queued
        self._vouched.add(plan.run_id)
        return replace(queued, starts=any(
            place is not None for entry, _, place in self._standing(self.entries()) if entry.run_id == plan.run_id
        ))

    def start_now(self, run_id: str) -> Launched | Refused:
        """Starts a job that waits, whatever runs and whatever it was held for.

        Refused: not_waiting, never, and as `launch`; then it waits as before.
        """

        def start(right: Right) -> Launched | Refused | Later[Launched | Refused]:
            entry = next((entry for entry in self.entries() if entry.run_id == run_id), None)
            if entry is None:
                return Refused("not_waiting")
            kept = self._kept(entry)
            if kept is not None:
                return Refused("never", {"code": kept.code, **kept.params})
            place = self._pools(now=True)(entry.record).anyway(entry.request)
            if isinstance(place, NoRoom):
                return Refused("never", {"code": place.code, **place.params})
            self.vouch(entry.record)
            return self.handing.submit(right, *self._allocated(entry.plan, entry.record, entry.request, place))

        return self.handing.with_right(start)

    def requeue(self, run_id: str) -> Refused | None:
        """Makes a job that was queued for another workspace, or with another LLaMA-Factory, one of this dashboard: with
        the same settings and devices, at the same place of the queue.

        Refused: not_waiting, never (more is odd about it), exists, and what makes a plan unfit (`launch`).
        """
        entry = self._queue.jobs.get(run_id)
        if entry is None:
            return Refused("not_waiting")
        workspace, program = str(self._watcher.workspace), self._cli or next(iter(entry.plan.argv), "")
        argv = (program, *entry.plan.argv[1:])
        plan = replace(entry.plan, cwd=workspace, argv=argv, path=posixpath.dirname(program))
        record = entry.record.with_last(argv=argv)
        odd = why_not_ours(plan, record, self._watcher.workspace, program)
        if odd is not None:
            return Refused("never", {"code": odd.code, **odd.params})
        return self.handing.unfit(plan) or self._queue.remake(run_id, plan, record)

    def _allocated(
        self, plan: LaunchPlan, record: RunRecord, request: ResourceRequest, place: Allocation
    ) -> tuple[LaunchPlan, RunRecord]:
        """The plan and the record of a job on the devices that it gets; as they are where its launcher has its own."""
        if not self.handing.launcher(record).local:
            return plan, record
        return with_allocation(plan, record, request, place, ports_of(self._local_views()))

    def entries(self) -> tuple[QueueEntry, ...]:
        """The jobs that wait; not one whose attempt is made already."""
        return tuple(entry for entry in self._queue.jobs.entries() if not entry.begun)

    def waiting_views(self, entries: tuple[QueueEntry, ...]) -> list[RunView]:
        """Jobs that wait as a page shows them, in order; not those that have become runs."""
        if not entries:
            return []
        wanted = {entry.run_id for entry in entries}
        views = [view for view in self._watcher.views if view.run_id in wanted]
        runs = {view.run_id: view for view in views}
        begun = {(view.run_id, view.attempt) for view in views}
        entries = tuple(entry for entry in entries if (entry.run_id, entry.plan.attempt) not in begun)
        return [
            queued_view(entry, waiting, runs.get(entry.run_id), relative(self._watcher.workspace, entry.paths.root))
            for entry, waiting, _ in self._standing(entries)
        ]

    def twins(self) -> list[tuple[QueueEntry, RunView]]:
        """The jobs that wait under the id of a run that is there, with that run: they are never started, and stand in
        no list of runs, where an id means one."""
        runs = {view.run_id: view for view in self._watcher.views}
        pairs = [(entry, runs[entry.run_id]) for entry in self._queue.jobs.entries() if entry.run_id in runs]
        return [(entry, view) for entry, view in pairs if is_twin(entry, view)]

    def advance(self) -> None:
        """Starts the jobs whose turn it is. Does nothing while another dashboard holds the launch lock."""
        if time.monotonic() < self._rest_until or not self._has_work():
            return
        try:
            with self._rights.taken(timeout=0) as right:
                self._look_after_slow()
                self._look_after_started()
                self._tidy(right)
                self._start_waiting(right)
        except Timeout:
            return
        except OSError as error:
            lasting = error.errno in (*DISK_FULL, *NOT_WRITABLE)
            self._rest_until = time.monotonic() + (REST_S if lasting else AGAIN_S)
            logger.warning("the queue of %s cannot be changed: %s", self._watcher.workspace, error)

    def _has_work(self) -> bool:
        """Whether there is something to do, by the last look: the right costs a look at everything."""
        if any(later.wait(0) for _, later in self._later.values()):
            return True
        entries = self._queue.jobs.entries()
        if any(entry.begun and self._odd(entry) is None for entry in entries) or next(self._started_and_over(), None):
            return True
        return any(place for _, _, place in self._standing(self.entries()))

    def _start_waiting(self, right: Right) -> None:
        """Starts what has room. Nothing while something could not be seen: it may be a run that has the room."""
        jobs = self._queue.jobs
        if right.unseen is not None or jobs.look().failure:
            return
        if not any(place for _, _, place in self._standing(self.entries())):
            return
        slow = {entry.record.launcher for entry, _ in self._later.values()}
        for entry, _, place in self._standing(self.entries(), now=True):
            if place is None or entry.run_id in self._later or entry.record.launcher in slow:
                continue
            plan, record = self._allocated(entry.plan, entry.record, entry.request, place)
            failpoints.hit("queue.taken")
            jobs.note_started(entry.run_id)
            outcome = self.handing.submit(right, plan, record)
            if isinstance(outcome, Later):
                self._later[entry.run_id] = entry, outcome
                slow.add(entry.record.launcher)
            elif isinstance(outcome, Refused):
                self._held_back(entry, outcome)

    def _held_back(self, entry: QueueEntry, outcome: Refused) -> None:
        """Holds a job that was refused."""
        jobs = self._queue.jobs
        jobs.forget_started(entry.run_id)
        if outcome.code == "outside":  # for this dashboard; another one may have been started with other roots
            self._outside[entry.run_id] = reason_of(outcome)
            return
        jobs.write(replace(entry, held=reason_of(outcome)))

    def _look_after_slow(self) -> None:
        """What became of the jobs whose scheduler took its time."""
        for run_id, (_, later) in list(self._later.items()):
            if later.wait(0):
                del self._later[run_id]
                outcome, now = later.outcome(), self._queue.jobs.get(run_id)
                if isinstance(outcome, Refused) and now is not None and not now.begun:  # nobody did anything with it
                    self._held_back(now, outcome)

    def _standing(
        self, entries: tuple[QueueEntry, ...], *, now: bool = False
    ) -> list[tuple[QueueEntry, Waiting, Allocation | None]]:
        if not entries:
            return []
        paused = self._queue.jobs.settings().paused
        stalls = {view.name: view.stall for view in self._watcher.alive if view.stall is not None}
        return queue_status(
            entries, self._pools(now=now), lambda entry: self._kept(entry) or self._unvouched(entry), paused=paused,
            stalls=stalls, fitting=self.fitting,
        )

    def _tidy(self, right: Right) -> None:
        """Removes jobs that have become runs. One of which nothing was ever started waits again: the dashboard
        ended in that moment, or its supervisor could not begin; after TRIES such ends it is held."""
        for entry in self._queue.jobs.entries():
            if not entry.begun or self._odd(entry) is not None:  # what is not ours is not touched
                continue
            try:
                status = self._watcher.poll(entry.paths, entry.record)
                if status.unused:
                    self._take_back(right, entry, status)
                    continue
            except OSError:
                continue  # it cannot be seen just now
            if status.phase != "starting":
                failpoints.hit("queue.before_removed")
                self._queue.jobs.remove(entry.run_id)

    def _take_back(self, right: Right, entry: QueueEntry, status: Status) -> None:
        """Takes an attempt away that was never started, and never will be; its job waits again, or is held."""
        launcher = self.handing.launcher(entry.record)
        if not launcher.give_up(launcher.adopt(entry.paths, entry.record)):
            return  # it has begun in this moment
        logger.warning("run %s was never started: it waits again", entry.run_id)
        said = (status.exit.error if status.exit else None) or "–"
        tries = entry.tries + 1
        held = Reason("never_begins", {"tries": str(tries), "said": said}) if tries >= TRIES else entry.held
        self._queue.jobs.write(replace(entry, tries=tries, held=held))
        folder.undo(entry.paths, entry.plan)
        self._watcher.let_go(entry.run_id, entry.record.launcher)
        right.look()

    def _look_after_started(self) -> None:
        """Holds the jobs that wait when one that the queue started has failed, where that is wanted."""
        jobs = self._queue.jobs
        for run_id, view in list(self._started_and_over()):
            jobs.forget_started(run_id)
            if view is not None and view.state in (RunState.FAILED, RunState.LOST) and jobs.settings().hold_on_failure:
                for entry in self.entries():
                    if entry.held is None:
                        jobs.write(replace(entry, held=Reason("after_failure", {"run": view.name})))

    def _started_and_over(self) -> Iterator[tuple[str, RunView | None]]:
        """The runs that the queue has started and that are over, or not there any more."""
        started = self._queue.jobs.started()
        if not started:
            return
        runs = {view.run_id: view for view in self._watcher.views}
        waiting = {entry.run_id for entry in self._queue.jobs.entries()}
        unseen = self._watcher.in_doubt is not None
        for run_id in started:
            view = runs.get(run_id)
            gone = view is None and not unseen
            if run_id not in waiting and (gone or (view is not None and view.state in TERMINAL)):
                yield run_id, view

def reason_of(refused: Refused) -> Reason:
    """Why a job is held that could not be started."""
    return Reason(f"{REFUSED}{refused.code}", {name: str(value) for name, value in refused.params.items()})
