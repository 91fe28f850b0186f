"""Looks for what is to be alerted, in the registry's thread: each run at most every few seconds, no tab needed.

Who wrote an alert (see `alert_records`) stops the run where that is wanted.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from lfdash.engine.alert_records import AlertRecords
from lfdash.engine.alert_sender import AlertSender
from lfdash.engine.registry import ProcessRegistry
from lfdash.jobs.kinds import named
from lfdash.locales import from_environment
from lfdash.machine.sample import STALE_S, Sample
from lfdash.outcomes import Refused
from lfdash.queue.commands import LaunchLock
from lfdash.runs.alerts.alert import Alert, Disk, Facts, Found, stopped_by
from lfdash.runs.alerts.levels import LossLevels
from lfdash.runs.alerts.machine import Look, MachineWindow
from lfdash.runs.alerts.rules import RULES, About, Rule
from lfdash.runs.alerts.settings import ADDRESS, AlertSettings
from lfdash.runs.metrics.feeds import Feeds
from lfdash.runs.paths import private
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView
from lfdash.workspace.alert_store import AlertStore, Began, end_mark

EVERY_S = 5.0  # between two looks at one run
BUDGET_S = 0.03  # of a round, after which the other runs wait for the next one
READ_S = 0.05  # of reading one run's files
UNSURE_S = 15.0  # a run that nobody saw end may be found again
COPIED_S = 300.0  # between what a file tells and when this disk got it; clocks differ
NEWS_S = 24 * 3600.0  # what ended longer ago, while no dashboard ran, is no news
JUMP_S = 60.0  # of the clock, after which ends are looked at again

ENDS = tuple(rule.name for rule in RULES if rule.about == "end")

logger = logging.getLogger(__name__)
Key = tuple[Path, str, int]  # folder, run and attempt: another run may take the place of one


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
    without anybody having seen how. unseen: it was over when it was seen first. begun: the step at which it was."""

    levels: LossLevels
    machine: MachineWindow
    due: float = 0.0
    told: set[tuple[str, int, str]] | None = None
    over: float | None = None
    unseen: bool = False
    begun: int | None = None


class Alerts(AlertRecords):
    """The alerts of one workspace, and the look for more. One thread calls `step`; any may ask what was alerted.

    feeds: of the runs' columns. machine: how the machine stands now. stop: asks a run to stop. wake, noticed: see
    `AlertRecords`.
    """

    def __init__(
        self, store: AlertStore, lock: LaunchLock, feeds: Feeds, stop: Callable[[str], Refused | None],
        *, machine: Callable[[], MachineNow] = MachineNow, wake: Callable[[Alert | None], None] = lambda _: None,
        acts: bool = True, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time,
        noticed: Callable[[Path], None] = lambda _: None,
    ) -> None:
        super().__init__(store, lock, wake, noticed)
        self._feeds, self._stop, self._machine = feeds, stop, machine
        self._acts, self._clock, self._wall = acts, clock, wall
        self._followed: dict[Key, Followed] = {}
        self._workspace_due = 0.0
        self._workspace_told: set[tuple[str, int, str]] = set()
        self._views: Sequence[RunView] | None = None  # the last look's
        self._known: set[int] = set()  # ids of these objects
        self._ended: set[Key] = set()  # whose end was looked at
        self._ahead = wall() - clock()  # by what the calendar's clock is ahead of the one that never jumps

    # -- looking ----------------------------------------------------------------------------------------

    def step(self, views: Sequence[RunView], going: Sequence[RunView], waiting: Sequence[RunView] = ()) -> None:
        """Looks at what is due. views: all runs; going: those of them that are not over; waiting: jobs, in order."""
        now = self._clock()
        try:
            settings = self.store.known_settings()[0]
        except OSError as error:  # what is off would be sent
            self.warn("alerts are not looked for while their settings cannot be read", error)
            return
        machine = self._machine()
        alive = {key_of(view): view for view in going if is_alive(view)}
        for key in alive.keys() - self._followed.keys():
            self._followed[key] = Followed(LossLevels(), MachineWindow(), begun=alive[key].progress.step)
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
            self.write_again()

    def _take_ended(self, views: Sequence[RunView]) -> None:
        """Follows runs of ours that nobody saw alive: they ended while no dashboard ran, or between two looks. Only
        those of the last day, since alerts are looked for here; of whose end somebody was told is seen later."""
        now, ahead = self._wall(), self._wall() - self._clock()
        if abs(ahead - self._ahead) > JUMP_S:
            self._ahead, self._views, self._known = ahead, None, set()  # by another clock an end is older, or is not
        if views is self._views:
            return
        try:
            began = self.store.began(lambda: [attempt_of(one) for one in views if not is_alive(one)])
        except OSError as error:
            self.warn("which ends are news is not known yet", error)
            return
        for view in [view for view in views if id(view) not in self._known]:
            if is_news(view, began, now) and key_of(view) not in self._ended:
                self._ended.add(key_of(view))
                self._followed.setdefault(key_of(view), Followed(LossLevels(), MachineWindow(), unseen=True))
        self._views, self._known = views, set(map(id, views))

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
                shown = shown or {key_of(one): one for one in views}
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
        """Asks all rules about one run; nothing while it cannot be known what was told of it."""
        over = view.state in TERMINAL
        try:
            told = self._told(view, followed)
        except OSError as error:
            self.warn(f"what was alerted of {view.name} cannot be read", error)
            return
        if followed.unseen and any(rule in ENDS and attempt == view.attempt for rule, attempt, _ in told):
            del self._followed[key_of(view)]
            return
        if over and followed.over is None:
            followed.over = now
        elif not over:
            followed.over = None
        ready, levels = self._levels(view, followed)
        self._check("run", Facts(view, levels, followed.machine), settings, view, followed)
        if over and not ready:
            followed.due = now  # what it logged last is read first
        elif over and (view.state is not RunState.LOST or now - (followed.over or now) >= UNSURE_S):
            if was_run(view, followed) and not self._check("end", Facts(view, levels), settings, view, followed):
                return  # it is not known yet, or another dashboard writes: the next look will tell
            self._ended.add(key_of(view))
            del self._followed[key_of(view)]

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
    ) -> bool:
        """Asks the rules of one kind; whether all that is true is told."""
        done = True
        for rule in RULES:
            own = settings.of(rule.name)
            if rule.about != about or not own.on:
                continue
            found = rule.check(facts, own.limits)
            if found is not None:
                done &= self._raise(rule, found, settings, view, followed)
        return done

    # -- telling ----------------------------------------------------------------------------------------

    def _raise(
        self, rule: Rule, found: Found, settings: AlertSettings, view: RunView | None, followed: Followed | None
    ) -> bool:
        """Writes an alert unless there is one of that occasion, and does what goes with it. False: it is to be tried
        again."""
        alert = found.alert(rule.name, view, self._wall())
        told = self._workspace_told if view is None or followed is None else self._told(view, followed)
        if self.is_kept(alert) or alert.key in told:
            return True
        own = settings.of(rule.name)
        stops = (
            rule.stops and own.stop and self._acts and view is not None and view.record is not None
            and view.state is RunState.RUNNING
        )
        if stops:
            alert = replace(alert, params={**alert.params, "stopping": 1})
        paths = view.paths if view is not None and view.record is not None else None
        written = self.write(alert, paths, send=own.send and settings.send)
        if written is None:
            return False
        told.add(alert.key)
        if written and stops and view is not None:
            self._stop_run(alert, view)
        return True

    def _told(self, view: RunView, followed: Followed) -> set[tuple[str, int, str]]:
        """The keys of what was alerted of a run. OSError when that cannot be read."""
        if followed.told is None:
            followed.told = {alert.key for alert in (*self.written_of(view), *self.unwritten_of(view))}
        return followed.told

    def _stop_run(self, alert: Alert, view: RunView) -> None:
        """Asks a run to stop, gracefully, and writes down that lfdash did it, and why."""
        refused = self._stop(view.run_id)
        logger.warning("run %s: %s; asked to stop%s", view.run_id, alert.rule, f": {refused.code}" if refused else "")
        done = stopped_by(alert, refused.code if refused else "")
        if self.write(done, view.paths, send=False) is None:
            self.keep(done, view.paths)

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


def key_of(view: RunView) -> Key:
    """What an attempt is followed by."""
    return view.path, view.run_id, view.attempt


def is_alive(view: RunView) -> bool:
    """Whether a run goes on, as far as one can see."""
    return view.waiting is None and view.state in (RunState.STARTING, RunState.RUNNING, RunState.STOPPING)


def attempt_of(view: RunView) -> str:
    """What an attempt is noted by, wherever its folder is."""
    return f"{view.run_id}/{view.attempt}"


def is_news(view: RunView, began: Began, now: float) -> bool:
    """Whether a run of ours is over, and its end is none of those that were there when alerts began to be looked for:
    by which they were, since clocks are put right; where that was not noted, by the clock, as long as it does not say
    of the beginning that it is to come. now: epoch seconds; what ended NEWS_S before is no news."""
    ours = view.record is not None and view.lost != "host" and view.state in TERMINAL
    when = view.started if view.ended is None else view.ended
    if not ours or when is None or when <= now - NEWS_S or was_copied(view):
        return False
    if began.over is None:
        return when > began.since or began.since > now
    return end_mark(attempt_of(view)) not in began.over


def was_copied(view: RunView) -> bool:
    """Whether a folder came here after its run had ended: its files are younger on this disk than what they tell. False
    where that is not known."""
    spec = view.paths.attempt(view.attempt).spec
    told, path = (view.started, spec) if view.ended is None else (view.ended, view.paths.exit)
    try:
        return told is not None and os.stat(path).st_ctime > told + COPIED_S
    except OSError:
        return False


def was_run(view: RunView, followed: Followed) -> bool:
    """Whether a run that is over ran here. A plain one must have been seen to step: a folder that was just copied looks
    as one that goes on, for a while."""
    return view.record is not None or view.progress.step != followed.begun
