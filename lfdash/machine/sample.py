"""What was seen of the machine at one moment. What could not be read is None: unknown, and never zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

STALE_S = 20.0  # after so long a figure is no longer what is there now
WORDS = {"ascend": "NPU"}  # what a vendor's devices are called; "GPU" where none is said


class CannotRead(Exception):
    """Why a vendor's devices cannot be read, in the words of its driver."""


@dataclass(frozen=True)
class Device:
    """One device: a GPU, a part of one (MIG), an NPU.

    vendor: a name of machine/vendors.py. index: as its vendor counts ("0"; "0:1" a part of 0). load: percent of the
    time in which it computed. memory_used, memory_total: bytes. temperature: °C. power, power_limit: W. processes: pids
    of those that compute on it, as the driver counts them; None where it does not tell. runs: ids of the runs that use
    it. problem: why it cannot be read. seen: epoch seconds of the answer.
    """

    vendor: str
    index: str
    name: str = ""
    load: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    temperature: float | None = None
    power: float | None = None
    power_limit: float | None = None
    uuid: str = ""
    processes: tuple[int, ...] | None = None
    runs: tuple[str, ...] = ()
    problem: str = ""
    seen: float = 0.0

    @property
    def key(self) -> str:
        """What it is called in machine.jsonl."""
        return f"{self.vendor}:{self.index}"

    @property
    def label(self) -> str:
        """What it is called on a page."""
        return label_of(self.key)

    @property
    def memory_share(self) -> float | None:
        """Percent of its memory that is used."""
        return share(self.memory_used, self.memory_total)


@dataclass(frozen=True)
class Sample:
    """The machine at `time` (epoch seconds; 0 = not looked at yet).

    problems: vendor -> why its devices could not be read; those that were seen before stay, with the time of then.
    cpu: percent of the processors that this process may use. memory_*: bytes of main memory, or of what the container
    may have of it. disk_*: bytes of the disk of the workspace; free as a user without rights has it. hours_until_full:
    None while the free space does not fall, or that is not known.
    """

    time: float = 0.0
    devices: tuple[Device, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    cpu: float | None = None
    memory_used: int | None = None
    memory_total: int | None = None
    disk_free: int | None = None
    disk_total: int | None = None
    hours_until_full: float | None = None

    @property
    def memory_share(self) -> float | None:
        """Percent of main memory that is used."""
        return share(self.memory_used, self.memory_total)

    @property
    def disk_share(self) -> float | None:
        """Percent of the disk that is used."""
        used = None if self.disk_free is None or self.disk_total is None else self.disk_total - self.disk_free
        return share(used, self.disk_total)

    def age(self, now: float) -> float | None:
        """Seconds since it was taken, where that is too long ago to be told as now; None while it is fresh."""
        return now - self.time if now - self.time > STALE_S else None


def label_of(key: str) -> str:
    """What the device of a key is called on a page: `nvidia:0` is GPU 0, `ascend:3` NPU 3."""
    vendor, _, index = key.partition(":")
    return f"{WORDS.get(vendor, 'GPU')} {index}"


def share(part: int | None, whole: int | None) -> float | None:
    """Percent; None where one of both is not known."""
    return None if part is None or not whole else 100.0 * part / whole
