"""What the machine did while a run went on: `machine.jsonl` in the run's folder, one row a sample.

A row: `time` (epoch seconds), `attempt`, `step` (the last one that was logged), `every` (seconds between rows, at that
time), `cpu` (percent), `memory_used`, `memory_total`, `disk_free`, `disk_total` (bytes), and `devices`: by key
(`nvidia:0`) `load` (percent), `memory_used`, `memory_total` (bytes), `temperature` (°C), `power` (W), `name` (as its
driver has it). What is not known is left out. The file stays small: when it has MOST rows, every second one is dropped
and the time between two doubles.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from lfdash.files import ABSENT, FileMark, file_mark, quick_json, read_text_file, real_number, write_text_atomic
from lfdash.machine.sample import Device, Sample

FILE = "machine.jsonl"
EVERY_S = 5.0
MOST = 2400  # rows: the first halving comes after 3 h 20
EARLY_S = 0.5  # a sample may come so much before its time
LARGEST = 1 << 25  # bytes; whatever is larger was not written here
OF_SAMPLE = ("cpu", "memory_used", "memory_total", "disk_free", "disk_total")
OF_DEVICE = ("load", "memory_used", "memory_total", "temperature", "power")
MOST_NAME = 80  # characters of a device's name
APPENDING = sum(getattr(os, name, 0) for name in (
    "O_RDWR", "O_APPEND", "O_CREAT", "O_CLOEXEC", "O_NONBLOCK", "O_NOFOLLOW"
))


def row_of(sample: Sample, devices: Iterable[Device], attempt: int, step: int | None = None) -> dict[str, Any]:
    """A sample as a row, with some of its devices. One that did not answer this time is left out."""
    place = {} if step is None else {"step": step}
    row: dict[str, Any] = {"time": round(sample.time, 1), "attempt": attempt, **place, **known(sample, OF_SAMPLE)}
    fresh = (device for device in devices if sample.time - device.seen < EVERY_S)
    told = {device.key: (known(device, OF_DEVICE), device.name[:MOST_NAME]) for device in fresh}
    devices_ = {key: {**values, **({"name": name} if name else {})} for key, (values, name) in told.items() if values}
    return {**row, "devices": devices_}


def known(thing: Sample | Device, names: Iterable[str]) -> dict[str, float]:
    """Its values by name, without those that are not known; percent, °C and W to a tenth."""
    values = ((name, getattr(thing, name)) for name in names)
    return {name: round(value, 1) if isinstance(value, float) else value for name, value in values if value is not None}


class Recording:
    """Writes the rows of one run. One process at a time may write a file. most: rows that it may have, at least 4.
    every: seconds between two of them, at first."""

    def __init__(self, path: Path, most: int = MOST, every: float = EVERY_S) -> None:
        self.path = path
        self._most, self._first_every = most, every
        self._every, self._rows, self._last = every, 0, float("-inf")
        self._mark: FileMark | str | None = "not read yet"

    def add(self, row: Mapping[str, Any]) -> bool:
        """Writes a row when its time has come; whether it did. OSError when that is not possible: nothing of it is
        lost but this row."""
        if self._mark != file_mark(self.path):
            self._read()
        since = float(row["time"]) - self._last
        if 0 <= since < self._every - EARLY_S:
            return False
        append(self.path, msgspec.json.encode({**row, "every": self._every}))
        self._rows += 1
        self._last = float(row["time"])
        if self._rows >= self._most:
            self._thin()
        self._mark = file_mark(self.path)
        return True

    def _read(self) -> None:
        """Finds out how a file that is there stands. OSError when that cannot be known, or it is none of ours."""
        rows = read_rows(self.path)
        self._rows, self._every, self._last = len(rows), self._first_every, float("-inf")
        if rows:
            told = real_number(rows[-1].get("every")) or 0.0
            self._every = max(self._first_every, min(told, 2 * usual_pause(rows)))  # a spoiled one may ask for years
            self._last = float(rows[-1]["time"])
        if self._rows >= self._most:
            self._thin()

    def _thin(self) -> None:
        """Drops every second row, until there is room for as many again."""
        rows = read_rows(self.path)
        while len(rows) * 2 > self._most:
            rows = rows[::2]
            self._every *= 2
        rows[-1]["every"] = self._every  # who goes on after us knows it
        text = b"\n".join(map(msgspec.json.encode, rows)).decode() + "\n"
        write_text_atomic(self.path, text, durable=False)
        self._rows, self._last = len(rows), float(rows[-1]["time"])


def usual_pause(rows: Sequence[Mapping[str, Any]]) -> float:
    """Seconds that usually lie between two rows; 0 where there is one only."""
    pauses = [float(after["time"]) - float(before["time"]) for before, after in pairwise(rows)]
    return max(0.0, median(pauses)) if pauses else 0.0


def append(path: Path, line: bytes) -> None:
    """Puts a line behind a plain file; one that was cut in a line gets its end first. OSError for anything else, and
    where no folder is."""
    descriptor = os.open(path, APPENDING, 0o644)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(22, "not a plain file", str(path))
        cut = found.st_size > 0 and os.pread(descriptor, 1, found.st_size - 1) != b"\n"
        os.write(descriptor, (b"\n" if cut else b"") + line + b"\n")
    finally:
        os.close(descriptor)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file in order, without broken lines; none where there is no file. OSError when it cannot be read,
    or is too large to be one of ours."""
    text = read_text_file(path, limit=LARGEST, errors="replace")  # a spoiled line costs that line only
    if text is ABSENT:
        return []
    if not isinstance(text, str):
        raise OSError(getattr(text, "failure", None) or 22, getattr(text, "reason", ""), str(path))
    return parse_rows(text)


def parse_rows(text: str) -> list[dict[str, Any]]:
    """The rows of whole lines; a line that is none of ours is left out."""
    rows = (parse_row(line) for line in text.splitlines() if line)
    return [row for row in rows if row is not None]


def parse_row(line: str) -> dict[str, Any] | None:
    """A row; None for anything else."""
    try:
        row = quick_json(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and real_number(row.get("time")) is not None else None

