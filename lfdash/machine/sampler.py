"""The machine as it is now, looked at by one thread of the server, never by a tab."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from lfdash.machine.host import Host, disk
from lfdash.machine.patience import Patience
from lfdash.machine.sample import CannotRead, Device, Sample
from lfdash.machine.trend import FreeSpace
from lfdash.machine.vendors import VENDORS, Vendor

BUSY_S = 5.0  # between two samples while a run goes on, or somebody looks
IDLE_S = 60.0  # else
LOOKED_S = 30.0  # how long somebody who looked counts
SECOND_S = 1.0  # after the first sample, which cannot know yet how busy the processors are
CLOSE_S = 2.0
DISK_S = 5.0  # how long a disk may take to say what is free

logger = logging.getLogger(__name__)


class Uses(Protocol):
    """What is known of the runs that use the machine."""

    def busy(self) -> bool:
        """Whether a run goes on here."""

    def named(self, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        """The devices with the runs that use them."""

    def take(self, sample: Sample) -> None:
        """A new sample; OSError when it cannot be written down."""


class Nobody:
    """No runs: for who only looks."""

    def busy(self) -> bool:
        return False

    def named(self, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        return devices

    def take(self, sample: Sample) -> None:
        return


class Machine:
    """Samples of the machine that a workspace lies on. `start` begins to take them; `latest` never waits.

    workspace: whose disk is told. uses: which runs use what, and where samples are written down.
    """

    def __init__(self, workspace: Path, uses: Uses | None = None, vendors: Iterable[Vendor] = VENDORS) -> None:
        self._uses: Uses = uses or Nobody()
        self._host = Host()
        self._vendors = [(vendor, Patience(vendor.name, vendor.read, vendor.seconds)) for vendor in vendors]
        self._disk = Patience("disk", lambda: disk(workspace), DISK_S)
        self._space = FreeSpace()
        self._devices: dict[str, tuple[Device, ...]] = {}  # vendor -> as they were read last
        self._sample = Sample()
        self._looked = -LOOKED_S
        self._rests = False  # until somebody looks
        self._closing, self._wanted, self._taken = threading.Event(), threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread. Idempotent."""
        with self._lock:
            if self._thread is None:
                self._closing.clear()
                self._thread = threading.Thread(target=self._watch, name="lfdash-machine", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Ends the thread; one that waits for a driver ends later."""
        with self._lock:
            thread, self._thread = self._thread, None
        self._closing.set()
        self._wanted.set()
        if thread is not None:
            thread.join(CLOSE_S)

    def latest(self, wait_s: float = 0.0) -> Sample:
        """The newest sample; that somebody looks makes the next ones come often. Any thread may call it. wait_s: how
        long the first who looks after a rest may wait for one that is not from then."""
        self._looked = time.monotonic()
        if self._rests:
            self._rests = False
            self._taken.clear()
            self._wanted.set()
            self._taken.wait(wait_s)
        return self._sample

    @property
    def seen(self) -> Sample:
        """The newest sample, for who looks all the time: it makes no more of them."""
        return self._sample

    def _watch(self) -> None:
        first = True
        while not self._closing.is_set():
            self._wanted.clear()
            try:
                self.look()
            except Exception:  # the thread must not die: nobody would see that a disk fills
                logger.exception("looking at the machine failed")
            pause = SECOND_S if first else self.pause()
            first, self._rests = False, pause == IDLE_S
            self._wanted.wait(pause)

    def pause(self) -> float:
        """Seconds until the next sample."""
        wanted = self._uses.busy() or time.monotonic() - self._looked < LOOKED_S
        return BUSY_S if wanted else IDLE_S

    def look(self, *, keep: bool = True) -> Sample:
        """Takes a sample, now and in this thread. keep: beside the runs, too."""
        problems: dict[str, str] = {}
        devices = self._uses.named(tuple(device for one in self._vendors for device in self._read(*one, problems)))
        cpu, (used, total) = self._host.cpu(), self._host.memory()
        sample = Sample(time.time(), devices, problems, cpu, used, total, *self._room(problems))
        self._sample = sample
        self._taken.set()
        if keep:
            self._uses.take(sample)
        return sample

    def _read(
        self, vendor: Vendor, patience: Patience[tuple[Device, ...]], problems: dict[str, str]
    ) -> tuple[Device, ...]:
        """The devices of a vendor as they are; as they were when it does not answer, with what is wrong noted."""
        if not vendor.there():
            return ()
        try:
            now = time.time()
            found = tuple(replace(device, seen=now) for device in patience.answer())
            self._devices[vendor.name] = found
        except CannotRead as error:
            problems[vendor.name] = str(error)
        return self._devices.get(vendor.name, ())

    def _room(self, problems: dict[str, str]) -> tuple[int | None, int | None, float | None]:
        """(free, total) bytes of the disk, and the hours until it is full."""
        try:
            free, total = self._disk.answer()
        except CannotRead as error:
            problems["disk"] = str(error)
            return None, None, None
        self._space.add(time.monotonic(), free)
        return free, total, self._space.hours(free)
