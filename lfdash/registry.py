"""The process-wide registry: starts runs, watches them, answers who runs."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from filelock import Timeout

from lfdash import devices, failpoints, shim, yamlio
from lfdash.errors import ConfigError
from lfdash.jobqueue import Entry, Queued, Reason, Waiting
from lfdash.launchers import folder
from lfdash.launchers.base import Handle, Launched, Launcher, Level, Refused, Status, refused_by, unchanged_by
from lfdash.placement import Ask, Floor, Place, Wait
from lfdash.plan import ARGS_FILE, LaunchPlan
from lfdash.rename import rename, user_of
from lfdash.roots import Roots
from lfdash.run import ALLOWED, TERMINAL, RunPaths, RunRecord, RunState
from lfdash.scheduler import Eyes, Look, dressed, floor_of, ports_of, queued_view, standing
from lfdash.store import Cached, RunView, elsewhere, relative, scan
from lfdash.stuck import Patience
from lfdash.summaries import Summaries
from lfdash.trash import Emptied, Item, Trash
from lfdash.vault import Vault
from lfdash.waitlist import LaunchLock, Waitlist, taken

REST_S = 30.0  # after a disk that did not let the queue be changed
WALK_EVERY = 10  # looks at the alive runs between two searches for folders that others made
LET_GO_S = 5.0  # for a shim that has written down how its run ended, and ends
QUIET_S = 3600.0  # a plain CLI run's folder that did not change so long is nobody's any more

T = TypeVar("T")

logger = logging.getLogger(__name__)


class ProcessRegistry:
    """All runs of one workspace, watched by one daemon thread; sessions read its snapshot.

    workspace: absolute folder. interval: seconds between two looks at the alive runs. look: asks the machine for
    its devices. roots: where paths may lead (default: into the workspace). queue: the jobs that wait; they are
    started by the thread, without any page.
    """

    def __init__(
        self,
        workspace: Path,
        launcher: Launcher,
        *,
        interval: float = 0.5,
        look: Look = devices.probe,
        roots: Roots | None = None,
    ) -> None:
        self.workspace = workspace
        self.launcher = launcher
        self.trash = Trash(workspace)
        self.summaries = Summaries(workspace / ".lfdash" / "summaries.json")
        self._interval = interval
        self._handles: dict[str, Handle] = {}
        self.vault = Vault()
        self.roots = roots or Roots.of(workspace)
        self._cache: dict[Path, Cached] = {}
        self._views: tuple[RunView, ...] = ()  # of the folders
        self._shown: tuple[RunView, ...] = ()  # and of the jobs that wait
        self._launch_lock = LaunchLock(workspace / ".lfdash")
        self._lock = self._launch_lock.lock  # everything but the snapshot, which is replaced as a whole
        self._eyes = Eyes(look)
        self.queue = Waitlist(self._launch_lock, self.refresh)
        self.patience = Patience()
        self._rest_until = 0.0
        self._note_after = 0.0
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Finds the workspace's runs (before it returns) and starts the thread. Idempotent."""
        with self._lock:
            if self._thread is not None:
                return
            self._closing.clear()
            self.summaries.load()
            self.refresh()
            self._thread = threading.Thread(target=self._watch, name="lfdash-registry", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Ends the thread. Runs go on."""
        self._closing.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
            self.summaries.close()

    def _watch(self) -> None:
        looks = 0
        self.trash.sweep()
        while not self._closing.wait(self._interval):
            looks += 1
            try:
                self.refresh(everything=looks % WALK_EVERY == 0)
                self.advance()
                self.summaries.step(self._views)
            except Exception:  # the thread must not die of one odd folder: no run would be seen to end
                logger.exception("looking at the runs of %s failed", self.workspace)

    def refresh(self, *, everything: bool = True) -> None:
        """Looks at the alive runs, and for new folders when `everything`."""
        with self._lock:
            folders = None
            if not everything:
                folders = [path for path, held in self._cache.items() if held.view.state not in TERMINAL]
            entries = self._entries()  # before the folders: a job that becomes a run meanwhile is seen as one of them
            views = scan(self.workspace, self._cache, self._poll, folders)
            before = {view.run_id: view for view in self._views}
            redact = self.redactor()
            noted = [self._noted(hidden(settled(before.get(view.run_id), view), redact)) for view in views]
            self._views = self.patience.look(noted)
            self._reap()
            self._shown = (*self._waiting_views(entries), *self._views)

    def _poll(self, paths: RunPaths, record: RunRecord) -> Status:
        return self.launcher.poll(self._handle(paths, record))

    def _handle(self, paths: RunPaths, record: RunRecord) -> Handle:
        """The handle that is held for an attempt. One that was found in another folder is a copy, or was moved."""
        held = self._handles.get(record.run_id)
        if held is not None and held.attempt == record.last.number:
            return held if held.paths == paths else self.launcher.adopt(paths, record)
        found = self._handles[record.run_id] = self.launcher.adopt(paths, record)
        return found

    def _noted(self, view: RunView) -> RunView:
        """Writes into run.json how a run ended, once. The view is right whether or not that works."""
        record = view.record
        if record is None or view.state not in TERMINAL or record.last.state is view.state:
            return view
        if view.state is RunState.LOST or time.monotonic() < self._note_after:
            return view  # a lost one may be found again: nothing to write down
        status = self._poll(view.paths, record)
        record = record.with_last(state=view.state, stop=status.wish, exit=status.exit)
        try:
            failpoints.hit("registry.before_noted")
            shim.write_text_atomic(str(view.paths.record), record.to_json())
            failpoints.hit("registry.after_noted")
        except OSError:
            self._note_after = time.monotonic() + REST_S
        return replace(view, record=record)

    def _reap(self) -> None:
        """Takes the exit codes of shims that ended, a moment after they wrote down how the run did; nobody else
        may wait for them."""
        for handle in self._handles.values():
            if handle.process is not None:
                handle.process.poll()

    # -- starting ---------------------------------------------------------------------------------------

    def launch(
        self, plan: LaunchPlan, record: RunRecord, ask: Ask | None = None, *, beside: bool = False
    ) -> Launched | Refused:
        """Starts a run now, or says why not; the snapshot has it when this returns.

        ask: the devices it wants. beside: even where others have them.
        Refused: busy (the devices are in use; params as in `waits.<code>`), no_output, outside, secret_missing,
        secret_in_plan, another_launch, and what the launcher refuses (exists, disk, readonly, cli_missing,
        not_linux, space, start_failed).
        """
        failpoints.hit("launch.clicked")
        refused = self._unfit(plan)
        if refused is not None:
            return refused
        try:
            with self._launch_lock.held():
                return self._launch(plan, record, ask or Ask(), beside=beside)
        except Timeout:
            return Refused("another_launch")
        except OSError as error:
            return refused_by(error, self._launch_lock.private)

    def _launch(self, plan: LaunchPlan, record: RunRecord, ask: Ask, *, beside: bool) -> Launched | Refused:
        failpoints.hit("launch.locked")
        self.refresh()
        missing = self._missing(plan)
        if missing:
            return Refused("secret_missing", {"name": ", ".join(missing)})
        entries = self._entries()
        if taken(plan, entries):
            return Refused("exists", {"path": plan.output_dir})
        floor = self._floor(now=True)
        if not self.queue.jobs.settings().paused:
            standing(entries, floor, self._missing_of, paused=False)
        place = floor.anyway(ask) if beside else floor.place(ask)
        if isinstance(place, Wait):
            return Refused("never" if place.never else "busy", {"code": place.code, **place.params})
        plan, record = dressed(plan, record, ask, place, ports_of(self._views))
        return self._submit(plan, record)

    def _unfit(self, plan: LaunchPlan) -> Refused | None:
        """Why a plan must not be written down, let alone started; None when it may."""
        exposed = self.vault.found_in([*plan.argv, *plan.env.values(), plan.output_dir, *plan.files.values()])
        return (
            check_output(plan)
            or check_paths(plan, self.roots)
            or (Refused("secret_in_plan", {"name": exposed}) if exposed else None)
        )

    def _submit(self, plan: LaunchPlan, record: RunRecord) -> Launched | Refused:
        """Hands a run to the launcher, with its secrets; the launch lock is held."""
        unfit = self._unfit(plan)  # a link may be another now than when it was queued
        if unfit is not None:
            return unfit
        note = self._note_place(plan)
        secrets = {name: self.vault.get(name) for name in plan.secrets}
        failpoints.hit("launch.checked")
        outcome = self.launcher.submit(plan, record, secrets)
        failpoints.hit("launch.submitted")
        if isinstance(outcome, Refused):
            if note is not None:
                note.unlink(missing_ok=True)
            return outcome
        self._handles[plan.run_id] = outcome.handle
        self.refresh()
        return outcome

    def _missing(self, plan: LaunchPlan) -> list[str]:
        return [name for name in plan.secrets if not self.has_secret(name)]

    def _missing_of(self, entry: Entry) -> list[str]:
        return self._missing(entry.plan)

    def _floor(self, *, now: bool = False) -> Floor:
        machine = self._eyes.machine(self.queue.jobs.settings().slots, now=now)
        return floor_of(machine, self._views)

    # -- the queue --------------------------------------------------------------------------------------

    def enqueue(self, plan: LaunchPlan, record: RunRecord, ask: Ask | None = None) -> Queued | Refused:
        """Puts a job behind those that wait; it starts when its devices are free, also without a page.

        Refused: never (the machine has not what is asked for), no_output, outside, secret_in_plan, exists,
        another_launch, disk, readonly, start_failed.
        """
        refused = self._unfit(plan)
        if refused is not None:
            return refused
        ask = ask or Ask()
        with self._lock:
            place = self._floor().place(ask)
        if isinstance(place, Wait) and place.never:
            return Refused("never", {"code": place.code, **place.params})
        return self.queue.add(plan, record, ask)

    def start_now(self, run_id: str) -> Launched | Refused:
        """Starts a job that waits, whatever runs and whatever it was held for.

        Refused: not_waiting, never, and as `launch`; then it waits as before.
        """
        try:
            with self._launch_lock.held():
                entry = next((entry for entry in self._entries() if entry.run_id == run_id), None)
                if entry is None:
                    return Refused("not_waiting")
                missing = self._missing_of(entry)
                if missing:
                    return Refused("secret_missing", {"name": ", ".join(missing)})
                place = self._floor(now=True).anyway(entry.ask)
                if isinstance(place, Wait):
                    return Refused("never", {"code": place.code, **place.params})
                plan, record = dressed(entry.plan, entry.record, entry.ask, place, ports_of(self._views))
                return self._submit(plan, record)
        except Timeout:
            return Refused("another_launch")
        except OSError as error:
            return refused_by(error, self._launch_lock.private)

    def _entries(self) -> tuple[Entry, ...]:
        """The jobs that wait; not one whose attempt is made already."""
        return tuple(entry for entry in self.queue.jobs.entries() if not entry.begun)

    def _waiting_views(self, entries: tuple[Entry, ...]) -> list[RunView]:
        runs = {view.run_id: view for view in self._views}
        begun = {(view.run_id, view.attempt) for view in self._views}
        entries = tuple(entry for entry in entries if (entry.run_id, entry.plan.attempt) not in begun)
        return [
            queued_view(entry, waiting, runs.get(entry.run_id), relative(self.workspace, entry.paths.root))
            for entry, waiting, _ in self._standing(entries)
        ]

    def advance(self) -> None:
        """Starts the jobs whose turn it is. Does nothing while another dashboard holds the launch lock."""
        jobs = self.queue.jobs
        if (not jobs.entries() and not jobs.started()) or time.monotonic() < self._rest_until:
            return
        try:
            with self._launch_lock.held(timeout=0):
                self._look_after_started()
                self._tidy()
                self._start_waiting()
        except Timeout:
            return
        except OSError as error:
            self._rest_until = time.monotonic() + REST_S
            logger.warning("the queue of %s cannot be changed: %s", self.workspace, error)

    def _start_waiting(self) -> None:
        jobs = self.queue.jobs
        if not any(place for _, _, place in self._standing(self._entries())):
            return
        self.refresh()  # what another dashboard has started meanwhile
        for entry, _, place in self._standing(self._entries(), now=True):
            if place is None:
                continue
            plan, record = dressed(entry.plan, entry.record, entry.ask, place, ports_of(self._views))
            failpoints.hit("queue.taken")
            jobs.note_started(entry.run_id)
            outcome = self._submit(plan, record)
            if isinstance(outcome, Refused):
                jobs.forget_started(entry.run_id)
                reason = Reason(f"refused_{outcome.code}", {k: str(v) for k, v in outcome.params.items()})
                jobs.write(replace(entry, held=reason))

    def _standing(
        self, entries: tuple[Entry, ...], *, now: bool = False
    ) -> list[tuple[Entry, Waiting, Place | None]]:
        if not entries:
            return []
        paused = self.queue.jobs.settings().paused
        return standing(entries, self._floor(now=now), self._missing_of, paused=paused)

    def _tidy(self) -> None:
        """Removes jobs that have become runs. One of which nothing was ever started waits again: the dashboard
        ended in that moment."""
        for entry in self.queue.jobs.entries():
            if not entry.begun:
                continue
            status = self._poll(entry.paths, entry.record)
            if status.unused:
                logger.warning("run %s was never started: it waits again", entry.run_id)
                folder.undo(entry.paths, entry.plan)
                self._handles.pop(entry.run_id, None)
            elif status.phase != "starting":
                failpoints.hit("queue.before_removed")
                self.queue.jobs.remove(entry.run_id)

    def _look_after_started(self) -> None:
        """Holds the jobs that wait when one that the queue started has failed, where that is wanted."""
        jobs = self.queue.jobs
        runs = {view.run_id: view for view in self._views}
        waiting = {entry.run_id for entry in jobs.entries()}
        for run_id in jobs.started():
            view = runs.get(run_id)
            if run_id in waiting or (view is not None and view.state not in TERMINAL):
                continue
            jobs.forget_started(run_id)
            if view is not None and view.state in (RunState.FAILED, RunState.LOST) and jobs.settings().hold_on_failure:
                for entry in self._entries():
                    if entry.held is None:
                        jobs.write(replace(entry, held=Reason("after_failure", {"run": view.name})))

    def _note_place(self, plan: LaunchPlan) -> Path | None:
        """Notes where a run outside saves/ lies, so that it is found again. OSError when that is not possible."""
        root = Path(plan.cwd) / plan.output_dir
        if root.is_relative_to(self.workspace / "saves"):
            return None
        note = elsewhere(self.workspace) / plan.run_id
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(str(root), encoding="utf-8")
        return note

    # -- what runs --------------------------------------------------------------------------------------

    def snapshot(self) -> tuple[RunView, ...]:
        """All runs: those that wait, in order, then the others, newest first."""
        return self._shown

    def get(self, run_id: str) -> RunView | None:
        """One run of the snapshot."""
        return next((view for view in self._shown if view.run_id == run_id), None)

    def stop(self, run_id: str, level: Level) -> Refused | None:
        """Leaves the wish to stop a run; None when it was left. The snapshot says STOPPING when this returns.
        A job that waits is cancelled instead.

        Refused: unknown, plain (a run that the plain CLI started), not_running, readonly.
        """
        with self._lock:
            view = self.get(run_id)
            if view is None:
                return Refused("unknown")
            if view.waiting is not None:
                return self.queue.cancel(run_id)
            if view.record is None:
                return Refused("plain")
            refused = self.launcher.stop(self._handle(view.paths, view.record), level)
            self.refresh(everything=False)
            return refused

    # -- folders of runs that are over -----------------------------------------------------------------

    def discard(self, run_id: str) -> Refused | None:
        """Moves the folder of a run that is over to the trash (`self.trash`), from where `restore` takes it back.

        Refused: unknown, alive, plain_fresh, in_use, another_change, readonly, disk_kept, failed.
        """
        (outcome,) = self.discard_all([run_id])
        return outcome if isinstance(outcome, Refused) else None

    def discard_all(self, run_ids: Sequence[str]) -> list[Item | Refused]:
        """The same for several runs: the item of each in the trash, or why it stays."""
        return self._with_folders(run_ids, self.trash.put)

    def rename(self, run_id: str, name: str) -> RunView | Refused:
        """Gives a run that is over another name, and its folder too; the run as it is then listed.

        Refused: as `discard`, and rename_bad, rename_taken.
        """
        (target,) = self._with_folders([run_id], lambda view: rename(self.workspace, view, name, self._reserved()))
        if isinstance(target, Refused):
            return target
        return next((view for view in self._views if view.path == target), None) or Refused("unknown")

    def restore(self, item: str) -> Refused | None:
        """Takes a run back from the trash. Refused: unknown, place_taken, another_change, readonly, disk_kept,
        failed."""
        outcome = self._alone(lambda: self.trash.restore(item, self._reserved()))
        self.refresh()
        return outcome if isinstance(outcome, Refused) else None

    def empty_trash(self, items: Sequence[str]) -> Emptied | Refused:
        """Deletes items of the trash for good. Refused: another_change, readonly, disk_kept, failed."""
        return self._alone(lambda: self.trash.empty(items))

    def _with_folders(self, run_ids: Sequence[str], act: Callable[[RunView], T | Refused]) -> list[T | Refused]:
        """Does something to the folders of runs that are over, while nobody starts one; the outcome of each."""

        def all_of_them() -> list[T | Refused]:
            self.refresh()
            found: list[T | Refused] = []
            for run_id in run_ids:
                view = self.get(run_id)
                if view is None:
                    found.append(Refused("unknown"))
                    continue
                stays = self._why_it_stays(view)
                if stays is None:
                    self._let_go(run_id)
                found.append(act(view) if stays is None else stays)
            self.refresh()
            return found

        outcomes = self._alone(all_of_them)
        return [outcomes] * len(run_ids) if isinstance(outcomes, Refused) else outcomes

    def _alone(self, act: Callable[[], T | Refused]) -> T | Refused:
        """Does something while no dashboard on this workspace starts a run."""
        try:
            with self._launch_lock.held():
                return act()
        except Timeout:
            return Refused("another_change")
        except OSError as error:
            return unchanged_by(error, self._launch_lock.private)

    def _why_it_stays(self, view: RunView) -> Refused | None:
        """Why the folder of a run must stay where it is; None when nothing needs it."""
        if view.state not in TERMINAL:
            return Refused("alive", {"run": view.name})
        if view.record is None and not is_quiet(view.path):
            return Refused("plain_fresh", {"run": view.name})
        user = user_of(view, self._shown, self.queue.jobs.entries())
        return None if user is None else Refused("in_use", {"run": view.name, "user": user})

    def _reserved(self) -> set[Path]:
        """The folders that waiting jobs will have."""
        return {entry.paths.root for entry in self.queue.jobs.entries()}

    def _let_go(self, run_id: str) -> None:
        """Forgets the handle of a run that is over, once its shim, which wrote that down, has ended too."""
        handle = self._handles.pop(run_id, None)
        if handle is not None and handle.process is not None:
            with suppress(subprocess.TimeoutExpired):
                handle.process.wait(LET_GO_S)

    # -- secrets ----------------------------------------------------------------------------------------

    def set_secret(self, name: str, value: str) -> None:
        """Keeps a secret in memory for later launches; an empty value forgets it."""
        self.vault.put(name, value)

    def redactor(self) -> Callable[[str], str]:
        """A function that takes the secrets that are known here out of a text."""
        return self.vault.redactor()

    def redact(self, text: str) -> str:
        """A text without the secrets that are known here: those typed, and those of the server's environment."""
        return self.vault.redactor()(text)

    def has_secret(self, name: str) -> bool:
        """Whether the secret is here or in the server's environment."""
        return bool(self.vault.get(name))


def is_quiet(folder: Path) -> bool:
    """Whether nothing right in a folder changed for an hour (our notes aside): nobody tells when a run of the plain
    CLI has ended."""
    notes = RunPaths(folder).notes.name
    try:
        changed = [entry.stat().st_mtime for entry in os.scandir(folder) if entry.name != notes]
    except OSError:
        return False
    return time.time() - max(changed, default=0.0) > QUIET_S


def check_output(plan: LaunchPlan) -> Refused | None:
    """Refuses a plan without an output folder, or with one that climbs out of the workspace."""
    if not plan.output_dir.strip("./ "):
        return Refused("no_output")
    if ".." in Path(plan.output_dir).parts:
        return Refused("outside", {"path": plan.output_dir})
    return None


def hidden(view: RunView, redact: Callable[[str], str]) -> RunView:
    """The view without a secret in its error line."""
    error = redact(view.error) if view.error else view.error
    return view if error == view.error else replace(view, error=error)


def check_paths(plan: LaunchPlan, roots: Roots) -> Refused | None:
    """Refuses a plan that writes, or reads, where it may not, links followed: the last look before it is run."""
    try:
        args = yamlio.load(plan.files[ARGS_FILE]).args
    except ConfigError as error:
        return Refused("start_failed", {"reason": f"{ARGS_FILE}: {error}"})
    output = str(Path(plan.cwd) / plan.output_dir)
    found = next(roots.outside({**args, "output_dir": output}), None)
    found = found or next(roots.outside({"output_dir": args.get("output_dir")}), None)
    return Refused("outside", {"path": found[1]}) if found else None


def settled(before: RunView | None, now: RunView) -> RunView:
    """`now`, or with the state of `before` when that attempt cannot have come from there to here: what a look
    between two writes of another process finds must not be shown, let alone written down."""
    if before is None or before.record is None or before.attempt != now.attempt:
        return now
    if now.state is before.state or now.state in ALLOWED[before.state]:
        return now
    logger.warning("run %s seems to go from %s to %s", now.run_id, before.state, now.state)
    return replace(now, state=before.state)
