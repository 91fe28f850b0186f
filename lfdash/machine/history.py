"""Reads machine.jsonl into columns: what a chart draws and what an alert looks at."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lfdash.files import open_descriptor, real_number
from lfdash.machine.recording import LARGEST, MOST_NAME, OF_DEVICE, OF_SAMPLE, parse_rows
from lfdash.machine.sample import label_of

Column: TypeAlias = npt.NDArray[np.float64]
PAUSE_S = 10.0  # what is counted for the time between two attempts of a run
MOST_DEVICES = 64
OF_ROW = ("time", "attempt", "step")
FILES = 32  # that are remembered


@dataclass(frozen=True)
class DeviceColumns:
    """One device; NaN where something was not known. label: as a page calls it; name: its product's, "" where that was
    not written. Units as in machine.jsonl."""

    label: str
    load: Column
    memory_used: Column
    memory_total: Column
    temperature: Column
    power: Column
    name: str = ""

    @property
    def memory(self) -> Column:
        """Percent of its memory that was used."""
        return percent(self.memory_used, self.memory_total)


@dataclass(frozen=True)
class MachineColumns:
    """A run's machine, a value a row; NaN where something was not known.

    time: epoch seconds. seconds: since the run's first row, without the time between its attempts. step: the last one
    that was logged then. devices: key (`nvidia:0`) -> its columns, in the order of their numbers. cpu: percent. Others:
    bytes.
    """

    time: Column
    seconds: Column
    attempt: Column
    step: Column
    cpu: Column
    memory_used: Column
    memory_total: Column
    disk_free: Column
    disk_total: Column
    devices: Mapping[str, DeviceColumns]

    def __len__(self) -> int:
        return len(self.time)

    @property
    def memory(self) -> Column:
        """Percent of main memory that was used."""
        return percent(self.memory_used, self.memory_total)

    @property
    def disk(self) -> Column:
        """Percent of the disk that was used."""
        return percent(self.disk_total - self.disk_free, self.disk_total)


NO: Column = np.empty(0)
EMPTY = MachineColumns(NO, NO, NO, NO, NO, NO, NO, NO, NO, {})


def columns_of(rows: Sequence[Mapping[str, Any]]) -> MachineColumns:
    """The columns of some rows."""
    if not rows:
        return EMPTY
    told = [mapping(row.get("devices")) for row in rows]
    keys = sorted({key for devices in told for key in devices if isinstance(key, str)}, key=by_number)[:MOST_DEVICES]
    devices = {key: device_columns(key, [one.get(key) for one in told]) for key in keys}
    values = {name: column(rows, name) for name in (*OF_ROW, *OF_SAMPLE)}
    return MachineColumns(**values, seconds=run_seconds(values["time"], values["attempt"]), devices=devices)


def device_columns(key: str, rows: Sequence[Any]) -> DeviceColumns:
    """The columns of one device, from what each row says of it."""
    told = [mapping(row) for row in rows]
    named = next((name for one in told if isinstance(name := one.get("name"), str) and name), "")
    return DeviceColumns(label_of(key), **{name: column(told, name) for name in OF_DEVICE}, name=named[:MOST_NAME])


def joined(before: MachineColumns, after: MachineColumns) -> MachineColumns:
    """The columns of rows and of those that follow them, without a look at each row."""
    if not len(before) or not len(after):
        return after if len(after) else before
    keys = sorted({*before.devices, *after.devices}, key=by_number)[:MOST_DEVICES]
    values = {name: np.concatenate((getattr(before, name), getattr(after, name))) for name in (*OF_ROW, *OF_SAMPLE)}
    devices = {key: joined_device(key, before, after) for key in keys}
    return MachineColumns(**values, seconds=run_seconds(values["time"], values["attempt"]), devices=devices)


def joined_device(key: str, before: MachineColumns, after: MachineColumns) -> DeviceColumns:
    """The columns of one device; NaN where one of both does not know it."""
    def part(of: MachineColumns, name: str) -> Column:
        return getattr(of.devices[key], name) if key in of.devices else np.full(len(of), np.nan)

    known = [of.devices[key].name for of in (before, after) if key in of.devices]
    return DeviceColumns(
        label_of(key), **{name: np.concatenate((part(before, name), part(after, name))) for name in OF_DEVICE},
        name=next(filter(None, known), ""),
    )


def mapping(value: Any) -> Mapping[str, Any]:
    """A mapping; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def column(rows: Sequence[Mapping[str, Any]], name: str) -> Column:
    """The numbers of that name; NaN where there is none."""
    values = (real_number(row.get(name)) for row in rows)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def run_seconds(time: Column, attempt: Column) -> Column:
    """Seconds since the first row; between two attempts only a short pause, and never backwards, wherever the clock
    was set."""
    steps = np.clip(np.diff(time), 0, None)
    resumed = np.diff(attempt) != 0  # also where it is not known
    steps[resumed] = np.minimum(steps[resumed], PAUSE_S)
    return np.concatenate(([0.0], np.cumsum(steps)))


def percent(part: Column, whole: Column) -> Column:
    """100 * part / whole; NaN where the whole is nothing."""
    return np.divide(100.0 * part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def by_number(key: str) -> tuple[Any, ...]:
    """Devices in the order of their numbers: 2 before 10."""
    vendor, _, index = key.partition(":")
    return (vendor, *((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in index.split(":")))


class History:
    """One file that is followed: `poll` reads what is new. Any thread may use it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns = EMPTY
        self._inode, self._offset = -1, 0
        self._lock = threading.Lock()

    def poll(self) -> MachineColumns:
        """The columns as the file is now; those of before while it cannot be read, none once it is gone."""
        with self._lock:
            try:
                descriptor, size = open_descriptor(self.path)
            except FileNotFoundError:
                self._inode, self._offset, self.columns = -1, 0, EMPTY
                return self.columns
            except OSError:
                return self.columns
            try:
                self._follow(descriptor, size)
            except OSError:
                pass  # the next poll reads on
            finally:
                os.close(descriptor)
            return self.columns

    def _follow(self, descriptor: int, size: int) -> None:
        inode = os.fstat(descriptor).st_ino
        if size > LARGEST or (inode == self._inode and size == self._offset):
            return
        if inode != self._inode or size < self._offset:  # thinned, or another one
            self._inode, self._offset, self.columns = inode, 0, EMPTY
        new = os.pread(descriptor, size - self._offset, self._offset)
        whole = new[: new.rfind(b"\n") + 1]
        self._offset += len(whole)
        self.columns = joined(self.columns, columns_of(parse_rows(whole.decode("utf-8", "replace"))))


class Histories:
    """The files that are followed in this process, the same object for everybody; those that nobody asks for are
    dropped."""

    def __init__(self, most: int = FILES) -> None:
        self._most = most
        self._by_path: OrderedDict[Path, History] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, path: Path) -> History:
        """The one of a file."""
        with self._lock:
            history = self._by_path.get(path)
            if history is None:
                history = self._by_path[path] = History(path)
            self._by_path.move_to_end(path)
            while len(self._by_path) > self._most:
                self._by_path.popitem(last=False)
            return history
