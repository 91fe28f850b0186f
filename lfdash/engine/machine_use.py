"""Which run uses which device, and what is kept of the machine in the folders of the runs that go on."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from lfdash.engine.only_one import OnlyOne
from lfdash.engine.watcher import Watcher
from lfdash.launchers.base import THIS
from lfdash.machine.recording import Recording, row_of
from lfdash.machine.sample import Device, Sample
from lfdash.runs.paths import private
from lfdash.runs.record import STOPPABLE
from lfdash.runs.view import RunView
from lfdash.supervisor.processes import marked_folder, start_ticks
from lfdash.workspace.identity import WorkspaceIdentity

logger = logging.getLogger(__name__)


class MachineUse:
    """What the sampler (machine/sampler.py) asks of the runs of a workspace; for its thread only.

    Of several dashboards on one workspace that run on the same machine, one writes.
    """

    def __init__(self, watcher: Watcher, identity: WorkspaceIdentity) -> None:
        self._watcher = watcher
        self._identity = identity
        self._host = THIS.host()
        place = private(watcher.workspace) / f"machine.{re.sub('[^0-9A-Za-z_.-]', '_', self._host)}.lock"
        self._writer = OnlyOne(place, identity.is_here)
        self._recordings: dict[Path, Recording] = {}
        self._unwritten: set[Path] = set()  # what could not be written last, and was told

    def runs(self) -> list[RunView]:
        """The runs that go on on this machine."""
        return [
            view for view in self._watcher.alive
            if view.record is not None and view.waiting is None and view.state in STOPPABLE
            and view.record.host in ("", self._host) and self._watcher.launchers.get(view.record.launcher).local
        ]

    def busy(self) -> bool:
        """Whether a run goes on here."""
        return bool(self.runs())

    def named(self, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        """The devices with the runs that use them: by the marks of their processes; where nobody can be seen there
        (from a container, the driver's pids are others), the runs that they were given to."""
        views = self.runs()
        return tuple(replace(device, runs=users(device, views)) for device in devices) if views else devices

    def take(self, sample: Sample) -> None:
        """Writes a row into the folder of each run that goes on."""
        views = self.runs()
        self._recordings = {path: one for path, one in self._recordings.items() if any(path == v.path for v in views)}
        if not views:
            self._writer.release()
        elif self._writer.hold():
            for view in views:
                self._write(view, sample)

    def _write(self, view: RunView, sample: Sample) -> None:
        recording = self._recordings.setdefault(view.path, Recording(view.paths.machine))
        try:
            devices = devices_of(view, sample.devices)
            recording.add(row_of(sample, devices, view.attempt, view.progress.step))
            self._unwritten.discard(view.path)
        except OSError as error:
            if view.path not in self._unwritten:
                logger.warning("what the machine does cannot be written to %s: %s", view.paths.machine, error)
            self._unwritten.add(view.path)

    def close(self) -> None:
        """Lets another dashboard write."""
        self._writer.release()


def users(device: Device, views: Iterable[RunView]) -> tuple[str, ...]:
    """The ids of the runs that use a device."""
    by_folder = {os.path.realpath(view.path): view.run_id for view in views}
    here = [pid for pid in device.processes or () if start_ticks(pid) is not None]
    seen = ids_of(here, by_folder)
    if seen or here:
        return seen
    return tuple(view.run_id for view in views if was_given(view, device))


def ids_of(pids: Iterable[int], by_folder: Mapping[str, str]) -> tuple[str, ...]:
    """The runs that processes carry the marks of."""
    found = (by_folder.get(marked_folder(pid)) for pid in pids)
    return tuple(dict.fromkeys(run_id for run_id in found if run_id is not None))


def was_given(view: RunView, device: Device) -> bool:
    """Whether a run was given a device, by its number or its name; a part of a card by that of the card, too."""
    given = (view.record.last.devices if view.record else None) or ()
    card = device.index.partition(":")[0]
    return device.vendor == "nvidia" and any(name in given for name in (device.index, card, device.uuid or "-"))


def devices_of(view: RunView, devices: tuple[Device, ...]) -> tuple[Device, ...]:
    """The devices that are told beside a run: those that it uses. All of them where nobody knows which it uses, none
    beside one that has a place on the processor."""
    own = tuple(device for device in devices if view.run_id in device.runs)
    if own:
        return own
    given = view.record.last.devices if view.record else None
    told = all(device.processes is not None for device in devices)
    return () if given == () and told else devices
