"""Looks for what is to be alerted, in the registry's thread: each run at most every few seconds, no tab needed.

An alert is written once: under a lock that all dashboards of a workspace share, the run's alerts.jsonl is read again
and the line added. Who added it lets it be sent, and stops the run where that is wanted. What the disk does not take is
shown here, sent if that is this dashboard's part, and written when the disk lets it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from filelock import Timeout

from lfdash.engine.alert_sender import AlertSender
from lfdash.engine.registry import ProcessRegistry
from lfdash.files import FileMark, file_mark
from lfdash.jobs.kinds import named
from lfdash.locales import from_environment
from lfdash.machine.sample import STALE_S, Sample
from lfdash.outcomes import Refused
from lfdash.queue.commands import LaunchLock
from lfdash.runs.alerts import file
from lfdash.runs.alerts.alert import STOP, Alert, Disk, Facts, Found, stopped_by
from lfdash.runs.alerts.levels import LossLevels
from lfdash.runs.alerts.machine import Look, MachineWindow
from lfdash.runs.alerts.rules import RULES, About, Rule
from lfdash.runs.alerts.settings import ADDRESS, AlertSettings
from lfdash.runs.metrics.feeds import Feeds
from lfdash.runs.paths import RunPaths, private
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView
from lfdash.workspace.alert_store import AlertStore

EVERY_S = 5.0  # between two looks at one run
BUDGET_S = 0.03  # of a round, after which the other runs wait for the next one
READ_S = 0.05  # of reading one run's files
UNSURE_S = 15.0  # a run that nobody saw end may be found again
NEWS_S = 24 * 3600.0  # what ended longer ago, while no dashboard ran, is no news

ENDS = tuple(rule.name for rule in RULES if rule.about == "end")

logger = logging.getLogger(__name__)
Key = tuple[Path, int]  # folder and attempt


@dataclass(frozen=True)
class MachineNow:
    """The machine at `time` (epoch seconds; 0 = not known): of each run the load of its busiest and the memory of its
    fullest device, percent; main memory, percent; the disk of the workspace: bytes, and hours until it is full."""

    time: float = 0.0
    devices: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    ram: float | None = None
    disk_free: float | None = None
    disk_hours: float | None = None


@dataclass
class Followed:
    """One attempt that goes on. due: when it is looked at next. told: keys of its alerts. over: since when it is over
    without anybody having seen how."""

    levels: LossLevels
    machine: MachineWindow
    due: float = 0.0
    told: set[tuple[str, int, str]] | None = None
    over: float | None = None


class Alerts:
    """The alerts of one workspace. One thread calls `step`; any may call the rest.

    feeds: of the runs' columns. machine: how the machine stands now. stop: asks a run to stop. wake: there is
    something to send; with an alert, one that no file could be written of. noticed: the folder of a run has an alert
    more.
    """

    def __init__(
        self, store: AlertStore, lock: LaunchLock, feeds: Feeds, stop: Callable[[str], Refused | None],
        *, machine: Callable[[], MachineNow] = MachineNow, wake: Callable[[Alert | None], None] = lambda _: None,
        acts: bool = True, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time,
        noticed: Callable[[Path], None] = lambda _: None,
    ) -> None:
        self.store = store
        self._noticed = noticed
        self._lock, self._feeds, self._stop, self._machine = lock, feeds, stop, machine
        self._wake, self._acts, self._clock, self._wall = wake, acts, clock, wall
        self._followed: dict[Key, Followed] = {}
        self._unwritten: dict[str, tuple[RunPaths | None, Alert]] = {}
        self._files: dict[Path, tuple[FileMark | None, tuple[Alert, ...]]] = {}
        self._workspace_due = 0.0
        self._workspace_told: set[tuple[str, int, str]] = set()
        self._begun = False

    # -- looking ----------------------------------------------------------------------------------------

    def step(self, views: Sequence[RunView], going: Sequence[RunView], waiting: Sequence[RunView] = ()) -> None:
        """Looks at what is due. views: all runs; going: those of them that are not over; waiting: jobs, in order."""
        now = self._clock()
        settings = self.store.settings()[0]
        machine = self._machine()
        alive = {(view.path, view.attempt): view for view in going if is_alive(view)}
        for key in alive.keys() - self._followed.keys():
            self._followed[key] = Followed(LossLevels(), MachineWindow())
        if not self._begun:
            self._begun = True
            self._take_ended(views)
        if machine.time:
            for key, view in alive.items():
                load, memory = machine.devices.get(view.run_id, (None, None))
                self._followed[key].machine.add(Look(machine.time, load, memory, machine.ram))
        self._look_at_runs(views, alive, settings, now)
        if now >= self._workspace_due:
            self._workspace_due = now + EVERY_S
            day = f"{datetime.fromtimestamp(self._wall()):%Y-%m-%d}"
            disk = Disk(machine.disk_free, machine.disk_hours, day)
            self._check("workspace", Facts(disk=disk, waiting=tuple(waiting)), settings)
            self._write_again()

    def _take_ended(self, views: Sequence[RunView]) -> None:
        """Runs that ended while no dashboard ran: those of the last day, since alerts are looked for here, of whose end
        nobody was told."""
        since = max(self.store.since(), self._wall() - NEWS_S)
        for view in views:
            ours = view.record is not None and view.lost != "host"
            late = view.state in TERMINAL and view.ended is not None and view.ended > since
            if ours and late and not any(one.rule in ENDS and one.attempt == view.attempt for one in self.of(view)):
                self._followed[view.path, view.attempt] = Followed(LossLevels(), MachineWindow())

    def _look_at_runs(
        self, views: Sequence[RunView], alive: Mapping[Key, RunView], settings: AlertSettings, now: float
    ) -> None:
        """Looks at the runs that are due, for about the budget; one at least."""
        shown: dict[Key, RunView] | None = None
        end = now + BUDGET_S
        for key, followed in sorted(self._followed.items(), key=lambda item: item[1].due):
            if followed.due > now:
                break
            view = alive.get(key)
            if view is None:
                shown = shown or {(one.path, one.attempt): one for one in views}
                view = shown.get(key)
            followed.due = now + EVERY_S
            if view is None:  # deleted, moved, or its next attempt has begun
                del self._followed[key]
                continue
            try:
                self._look(view, followed, settings, now)
            except Exception:  # one odd run must not hide what happens to the others
                logger.exception("looking for alerts of %s failed", view.name)
            if self._clock() > end:
                break

    def _look(self, view: RunView, followed: Followed, settings: AlertSettings, now: float) -> None:
        """Asks all rules about one run."""
        over = view.state in TERMINAL
        if over and followed.over is None:
            followed.over = now
        elif not over:
            followed.over = None
        ready, levels = self._levels(view, followed)
        self._check("run", Facts(view, levels, followed.machine), settings, view, followed)
        if over and not ready:
            followed.due = now  # what it logged last is read first
        elif over and (view.state is not RunState.LOST or now - (followed.over or now) >= UNSURE_S):
            self._check("end", Facts(view, levels), settings, view, followed)
            del self._followed[view.path, view.attempt]

    def _levels(self, view: RunView, followed: Followed) -> tuple[bool, LossLevels | None]:
        """Whether the run's files are read through, and its losses; None for what does not train, or has not begun."""
        if not named(view.kind).trains or view.progress.step is None:
            return True, None
        feed = self._feeds.of(view.paths)
        feed.poll(READ_S)
        if feed.reading is not None:
            return False, None
        followed.levels.take(feed.frame, feed.dead_since, feed.planned or view.progress.total)
        return True, followed.levels

    def _check(
        self, about: About, facts: Facts, settings: AlertSettings, view: RunView | None = None,
        followed: Followed | None = None,
    ) -> None:
        for rule in RULES:
            own = settings.of(rule.name)
            if rule.about != about or not own.on:
                continue
            found = rule.check(facts, own.limits)
            if found is not None:
                self._raise(rule, found, settings, view, followed)

    # -- telling ----------------------------------------------------------------------------------------

    def _raise(
        self, rule: Rule, found: Found, settings: AlertSettings, view: RunView | None, followed: Followed | None
    ) -> None:
        """Writes an alert unless there is one of that occasion, and does what goes with it."""
        alert = found.alert(rule.name, view, self._wall())
        if alert.id in self._unwritten or alert.key in self._told(view, followed):
            return
        own = settings.of(rule.name)
        stops = (
            rule.stops and own.stop and self._acts and view is not None and view.record is not None
            and view.state is RunState.RUNNING
        )
        if stops:
            alert = replace(alert, params={**alert.params, "stopping": 1})
        paths = view.paths if view is not None and view.record is not None else None
        try:
            ours = self._write(alert, paths, send=own.send and settings.send)
        except Timeout:
            return  # another dashboard writes just now: the next look will tell
        except OSError as error:
            logger.warning("an alert of %s could not be written: %s", alert.run or "the workspace", error)
            self._unwritten[alert.id] = (paths, alert)
            ours = True
            if own.send and settings.send:
                self._wake(alert)
        self._told(view, followed).add(alert.key)
        if ours and stops and view is not None:
            self._stop_run(alert, view)

    def _told(self, view: RunView | None, followed: Followed | None) -> set[tuple[str, int, str]]:
        """The keys of what was alerted of a run, or of the workspace."""
        if followed is None or view is None:
            return self._workspace_told
        if followed.told is None:
            followed.told = {alert.key for alert in self.of(view)}
        return followed.told

    def _write(self, alert: Alert, paths: RunPaths | None, *, send: bool) -> bool:
        """Writes an alert where it is not yet, under the lock; whether it was not. paths: of a run of ours. OSError and
        Timeout as the lock."""
        with self._lock.held(timeout=0):
            known = file.read(paths.alerts) if paths is not None else self.store.recent()
            if any(one.id == alert.id if paths is None else one.key == alert.key for one in known):
                return False
            if paths is not None:
                file.append(paths.alerts, alert)
                self._noticed(paths.root)
            if send:
                self.store.put(alert)
            self.store.add(alert)
        if send:
            self._wake(None)
        return True

    def _stop_run(self, alert: Alert, view: RunView) -> None:
        """Asks a run to stop, gracefully, and writes down that lfdash did it, and why."""
        refused = self._stop(view.run_id)
        logger.warning("run %s: %s; asked to stop%s", view.run_id, alert.rule, f": {refused.code}" if refused else "")
        done = stopped_by(alert, refused.code if refused else "")
        try:
            self._write(done, view.paths, send=False)
        except (Timeout, OSError):
            self._unwritten[done.id] = (view.paths, done)

    def _write_again(self) -> None:
        """Writes what the disk did not take; it was sent already."""
        for key, (paths, alert) in list(self._unwritten.items()):
            try:
                self._write(alert, paths, send=False)
            except (Timeout, OSError):
                return
            del self._unwritten[key]

    # -- asking -----------------------------------------------------------------------------------------

    def of(self, view: RunView) -> tuple[Alert, ...]:
        """What was alerted of a run, oldest first."""
        if view.record is None:
            written: tuple[Alert, ...] = tuple(one for one in self.store.recent() if one.run_id == view.run_id)
        else:
            mark = file_mark(view.paths.alerts)
            held = self._files.get(view.path)
            if held is None or held[0] != mark:
                if len(self._files) > 1000:
                    self._files.clear()
                held = self._files[view.path] = (mark, file.read(view.paths.alerts) if mark else ())
            written = held[1]
        return (*written, *(one for _, one in list(self._unwritten.values()) if one.run_id == view.run_id))

    def unread(self, view: RunView) -> tuple[Alert, ...]:
        """What is to be shown of a run's newest attempt, oldest first: what nobody has read, and what lfdash did."""
        dismissed = self.store.dismissed()
        lasting = {rule.name for rule in RULES if rule.lasts} | {STOP}
        return tuple(
            one for one in self.of(view)
            if one.attempt == view.attempt and one.rule in lasting and one.id not in dismissed
        )

    def recent(self) -> tuple[Alert, ...]:
        """All alerts of the workspace that are kept, oldest first."""
        return (*self.store.recent(), *(alert for _, alert in list(self._unwritten.values())))


def machine_now(sample: Sample) -> MachineNow:
    """What of a sample the rules look at."""
    devices: dict[str, tuple[float | None, float | None]] = {}
    for device in sample.devices:
        if device.seen < sample.time - STALE_S:
            continue  # as it was when it was read last
        for run_id in device.runs:
            load, memory = devices.get(run_id, (None, None))
            devices[run_id] = (largest(load, device.load), largest(memory, device.memory_share))
    free = None if sample.disk_free is None else float(sample.disk_free)
    return MachineNow(sample.time, devices, sample.memory_share, free, sample.hours_until_full)


def largest(one: float | None, other: float | None) -> float | None:
    """The larger of two numbers that may not be known."""
    return max((value for value in (one, other) if value is not None), default=None)


def of_registry(
    registry: ProcessRegistry, feeds: Feeds, machine: Callable[[], Sample], *, acts: bool
) -> tuple[Alerts, AlertSender]:
    """The alerts of a registry's workspace, looked for with each of its looks, and what sends them. machine: its newest
    sample. acts: whether runs may be stopped."""
    folder = private(registry.workspace) / "alerts"
    store = AlertStore(folder, registry.identity.check)

    def language() -> str:
        return store.settings()[0].language or from_environment(os.environ)

    sender = AlertSender(store, lambda: registry.secret_store.get(ADDRESS), language, is_here=registry.identity.is_here)
    found = Alerts(
        store, LaunchLock(folder, registry.identity.check), feeds, lambda run_id: registry.stop(run_id, "graceful"),
        machine=lambda: machine_now(machine()), wake=sender.wake, acts=acts,
        noticed=registry.summaries.look_again,
    )
    registry.on_look = lambda: found.step(registry.watcher.views, registry.watcher.alive, registry.waiting)
    return found, sender


def is_alive(view: RunView) -> bool:
    """Whether a run goes on, as far as one can see."""
    return view.waiting is None and view.state in (RunState.STARTING, RunState.RUNNING, RunState.STOPPING)
