"""The process-wide registry: all runs of a workspace, watched, started and stopped for every page."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lfdash.engine.archive import Archive
from lfdash.engine.dispatcher import Dispatcher
from lfdash.engine.rests import Rests
from lfdash.engine.rights import Rights
from lfdash.engine.taking_back import call_off
from lfdash.engine.watcher import Watcher
from lfdash.jobs.resources import ResourceRequest
from lfdash.launchers.base import InterruptingLauncher, Launched, Launcher, Level
from lfdash.launchers.table import Launchers
from lfdash.outcomes import Refused
from lfdash.queue.commands import LaunchLock, QueueCommands
from lfdash.queue.store import Queued
from lfdash.queue.turns import CachedDevices, ProbeDevices
from lfdash.runs.kept import KeptViews
from lfdash.runs.paths import private
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import RunRecord
from lfdash.runs.summary_cache import SummaryCache
from lfdash.runs.view import RunView
from lfdash.targets.store import TargetStore
from lfdash.workspace import devices
from lfdash.workspace.allowed_paths import Roots
from lfdash.workspace.identity import WorkspaceIdentity
from lfdash.workspace.secret_store import SecretStore

WALK_EVERY = 10  # looks at the alive runs between two searches for folders that others made
CLOSE_S = 5.0  # that is waited for a scheduler at the end
SEARCH_S = 1.0  # between two searches that somebody asks for, at least

logger = logging.getLogger(__name__)


class ProcessRegistry:
    """All runs of one workspace, watched by one daemon thread; sessions read its snapshot. Another carries on what
    starts jobs by itself.

    workspace: absolute folder. launcher: starts the runs that name no other. interval: seconds between two looks at
    the alive runs. look: asks the machine for its devices. roots: where paths may lead (default: into the
    workspace). cli: the llamafactory-cli that jobs of the queue may start (default: each its own).
    starts_jobs: whether the thread starts those that wait. queue: the jobs that wait; no page is needed for them.
    archive: what is done to runs that are over. targets: the clusters that jobs can run on.
    """

    def __init__(
        self,
        workspace: Path,
        launcher: Launcher,
        *,
        interval: float = 0.5,
        look: ProbeDevices = devices.probe,
        roots: Roots | None = None,
        cli: str | None = None,
        starts_jobs: bool = True,
    ) -> None:
        self.workspace = workspace
        self.secret_store = SecretStore()
        self.roots = roots or Roots.of(workspace)
        self.identity = WorkspaceIdentity(workspace)
        self.summaries = SummaryCache(private(workspace) / "summaries.json", self.identity.is_here)
        launch_lock = LaunchLock(private(workspace), self.identity.check)
        self.kept = KeptViews(workspace, self.identity.is_here)
        self._kept_views: tuple[RunView, ...] = ()  # those that were kept last
        self.queue = QueueCommands(launch_lock, self.refresh)
        self.targets = TargetStore(private(workspace), self.identity.check)
        self.launchers = Launchers(launcher, self.targets.get)
        self.watcher = Watcher(workspace, self.launchers, self.redactor, self.roots.folders)
        rights = Rights(self.watcher, launch_lock, self.refresh)
        self.dispatcher = Dispatcher(
            self.watcher, self.queue, rights, CachedDevices(look, workspace=workspace), self.secret_store, self.roots,
            cli,
        )
        self.rests = Rests()  # of what starts by itself and was refused
        self.archive = Archive(self.watcher, self.queue, rights, self.refresh, self.snapshot, self.roots.folders)
        self.on_look: Callable[[], None] = lambda: None  # called by the thread after each look
        # called by a thread of their own, where this starts jobs: they may wait for a scheduler
        self.on_ended: Callable[[], None] = lambda: None
        self.on_turn: Callable[[], None] = lambda: None
        self._interval = interval
        self._starts_jobs = starts_jobs
        self._lock = threading.RLock()  # of `start`, which is called once a session, and `search`
        self._searched = -math.inf  # when `search` looked last (`monotonic`)
        self._waiting: list[RunView] = []  # with `_views`, what is shown
        self._views: tuple[RunView, ...] = ()
        self._shown: tuple[RunView, ...] = ()
        self._found: tuple[tuple[RunView, ...], dict[str, RunView]] = ((), {})  # what was shown, by id
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._carrier: threading.Thread | None = None

    def start(self) -> None:
        """Finds the workspace's runs (before it returns) and starts the thread. Idempotent."""
        with self._lock:
            if self._thread is not None:
                return
            self._closing.clear()
            self.load()
            self.refresh()
            self._thread = threading.Thread(target=self._watch, name="lfdash-registry", daemon=True)
            self._thread.start()
            if self._starts_jobs:
                self._carrier = threading.Thread(target=self._carry_on, name="lfdash-carrier", daemon=True)
                self._carrier.start()

    def load(self) -> None:
        """Takes what an earlier process has found; before the first look."""
        self.summaries.load()
        self.watcher.take(self.kept.load())

    def _keep(self) -> None:
        """Keeps what was found, for the next start: when many runs are new, since that takes some time."""
        views = self.watcher.views
        if abs(len(views) - len(self._kept_views)) * 20 > len(views):
            found = self.watcher.keep()
            if len(found.runs) * 2 > len(views):  # the others changed lately, or are alive
                self.kept.save(found)
                self._kept_views = views

    def close(self) -> None:
        """Ends the threads; one that waits for a scheduler ends after that. Runs go on."""
        self._closing.set()
        thread, self._thread = self._thread, None
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.join(CLOSE_S)
        if thread is not None:
            thread.join()
            self.summaries.close()
            if self.watcher.views is not self._kept_views and self.watcher.views:
                self.kept.save(self.watcher.keep())

    def _watch(self) -> None:
        looks = 0
        self.archive.trash.sweep()
        while not self._closing.wait(self._interval):
            looks += 1
            try:
                self.refresh(everything=looks % WALK_EVERY == 0)
                if self._starts_jobs:
                    self.dispatcher.advance()
                self.on_look()
                self.summaries.step(self.watcher.views)
                if looks % WALK_EVERY == 0:
                    self._keep()
            except Exception:  # the thread must not die of one odd folder: no run would be seen to end
                logger.exception("looking at the runs of %s failed", self.workspace)

    def _carry_on(self) -> None:
        """Starts what sweeps and runs that go on by themselves want to: in a thread of its own, since a scheduler may
        let it wait."""
        while not self._closing.wait(self._interval):
            for turn in (self.on_turn, self.on_ended):
                try:
                    turn()
                except Exception:  # as above
                    logger.exception("carrying on in %s failed", self.workspace)

    def refresh(self, *, everything: bool = True) -> None:
        """Looks at the alive runs, and for new folders when `everything`."""
        with self.watcher.lock:
            entries = self.dispatcher.entries()  # first: a job that becomes a run meanwhile is seen as one of them
            self.watcher.look(everything=everything)
            waiting = self.dispatcher.waiting_views(entries)
            if not waiting:
                self._shown = self.watcher.views
            elif waiting != self._waiting or self._views is not self.watcher.views:
                self._shown = (*waiting, *self.watcher.views)
            self._waiting, self._views = waiting, self.watcher.views

    def search(self) -> None:
        """Looks for new folders now, for somebody who names a run that is not known: another process may have started
        it a moment ago. At most once in SEARCH_S seconds; the thread finds what comes later."""
        with self._lock:
            if time.monotonic() - self._searched >= SEARCH_S:
                self.refresh()
                self._searched = time.monotonic()

    def launch(
        self, plan: LaunchPlan, record: RunRecord, request: ResourceRequest | None = None, *, beside: bool = False
    ) -> Launched | Refused:
        """Starts a run now; see `Dispatcher.launch`."""
        return self.dispatcher.launch(plan, record, request, beside=beside)

    def enqueue(
        self, plan: LaunchPlan, record: RunRecord, request: ResourceRequest | None = None
    ) -> Queued | Launched | Refused:
        """Starts a run when its turn comes; see `Dispatcher.enqueue`."""
        return self.dispatcher.enqueue(plan, record, request)

    def snapshot(self) -> tuple[RunView, ...]:
        """All runs: those that wait, in order, then the others, newest first."""
        return self._shown

    @property
    def waiting(self) -> tuple[RunView, ...]:
        """The jobs that wait, in order."""
        return tuple(self._waiting)

    def get(self, run_id: str) -> RunView | None:
        """One run of the snapshot."""
        shown, found = self._shown, self._found
        if found[0] is not shown:
            found = self._found = (shown, {view.run_id: view for view in reversed(shown)})  # the first of an id counts
        return found[1].get(run_id)

    def stop(self, run_id: str, level: Level, *, look: bool = True) -> Refused | None:
        """Leaves the wish to stop a run; None when it was left. The snapshot says STOPPING when this returns, unless
        whoever stops many looks by himself (`look`). A job that waits is cancelled instead; one that its scheduler has
        ended does not go on by itself then.

        Refused: unknown, plain (a run that the plain CLI started), launcher_unknown, not_running, readonly.
        """
        view = self.get(run_id)
        if view is None:
            return Refused("unknown")
        if view.waiting is not None:
            return self.queue.cancel(run_id)
        if view.record is None:
            return Refused("plain")
        launcher = self.launchers.get(view.record.launcher)
        attempts = [view.record.upto(number) for number in view.others] + [view.record]
        with self.watcher.lock:
            refused = [launcher.stop(self.watcher.handle(view.paths, one), level) for one in attempts]
            if look:
                self.refresh(everything=False)
        found = next((one for one in refused if one is None), refused[-1])
        if found is not None and found.code == "not_running" and isinstance(launcher, InterruptingLauncher):
            return call_off(self.dispatcher.handing, run_id, level)
        return found

    # -- secrets ----------------------------------------------------------------------------------------

    def set_secret(self, name: str, value: str) -> None:
        """Keeps a secret in memory for later launches; an empty value forgets it."""
        self.secret_store.put(name, value)

    def redactor(self) -> Callable[[str], str]:
        """A function that takes the secrets that are known here out of a text."""
        return self.secret_store.redactor()

    def redact(self, text: str) -> str:
        """A text without the secrets that are known here: those typed, and those of the server's environment."""
        return self.secret_store.redactor()(text)
