"""A sweep on disk: a folder `.lfdash/sweeps/<id>/` with sweep.json (what is tried, and whether it goes on), the journal
of its trials, and a lock for who writes there."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from lfdash.errors import RecordError
from lfdash.files import Absent, Unreadable, as_record, read_json_file, readable, write_text_atomic
from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import Sweep, read_sweep
from lfdash.runs.record import Finite
from lfdash.supervisor import failpoints

VERSION = 1
FILE = "sweep.json"
LOCK = "lock"
MAKING = ".tmp"
TAG = "sweep "  # what the tag of its runs begins with
LONGEST_TAG = 34  # characters of a name that become a part of the runs' tag
State = Literal["going", "stopped"]


@dataclass(frozen=True)
class SweepRecord:
    """What is kept of a sweep beside its trials. job: the one that all trials are made of. created: epoch seconds.
    braked: whether it was stopped since its first runs failed."""

    id: str
    name: str
    created: Finite
    state: State
    job: JobConfig
    sweep: Sweep
    braked: bool = False

    @property
    def tag(self) -> str:
        """The tag of its runs."""
        return f"{TAG}{self.name}"[: LONGEST_TAG + len(TAG)]

    def to_json(self) -> str:
        """The content of its file."""
        job = {"kind": self.job.kind, "values": dict(self.job.values), "extra": dict(self.job.extra)}
        data = {"version": VERSION, "id": self.id, "name": self.name, "created": self.created, "state": self.state}
        data |= {"braked": True} if self.braked else {}
        return json.dumps({**data, "job": job, "sweep": self.sweep.written()}, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Head:
    """What must be there of a file before the rest is read."""

    version: int
    id: str
    name: str
    created: Finite
    state: State
    job: dict[str, Any]
    sweep: dict[str, Any]
    braked: bool = False


def record_of(data: dict[str, Any]) -> SweepRecord:
    """The inverse of `to_json`, of what the JSON holds. RecordError for what is none, or from a newer version."""
    if isinstance(data.get("version"), int) and data["version"] > VERSION:
        raise RecordError(f"the sweep has version {data['version']}, this lfdash reads up to {VERSION}")
    head = as_record(Head, data, "the sweep")
    try:
        job = JobConfig(str(head.job["kind"]), dict(head.job["values"]), dict(head.job["extra"]))
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"the sweep's job cannot be read: {error}") from error
    sweep = read_sweep(head.sweep, job)
    if not isinstance(sweep, Sweep):
        raise RecordError(f"the sweep cannot be read: {sweep[0].code}")
    return SweepRecord(head.id, head.name, head.created, head.state, job, sweep, head.braked)


class SweepFolders:
    """The sweeps of a workspace on disk. private: the workspace's .lfdash."""

    def __init__(self, private: Path) -> None:
        self.root = private / "sweeps"

    def of(self, sweep_id: str) -> Path:
        """A sweep's folder."""
        return self.root / sweep_id

    def ids(self) -> list[str]:
        """The ids of all sweeps. OSError when that cannot be known."""
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if not name.endswith(MAKING) and name == readable(name))

    def read(self, sweep_id: str) -> SweepRecord | Absent | Unreadable:
        """A sweep's record."""
        data = read_json_file(self.of(sweep_id) / FILE)
        if isinstance(data, Absent | Unreadable):
            return data
        try:
            record = record_of(data)
        except RecordError as error:
            return Unreadable(str(error))
        return record if record.id == sweep_id else Unreadable(f"it is that of the sweep {record.id}")

    def write(self, record: SweepRecord) -> None:
        """Replaces a sweep's record. OSError leaves the old one."""
        write_text_atomic(self.of(record.id) / FILE, record.to_json())

    @contextmanager
    def making(self, record: SweepRecord) -> Iterator[Path]:
        """A folder beside the sweep's place, to be filled; at the end it is put there, whole. What a killed process has
        left of one is no sweep, and stays. OSError."""
        self._make_root()
        folder = self.root / f"{record.id}{MAKING}"
        folder.mkdir()
        try:
            yield folder
            write_text_atomic(folder / FILE, record.to_json())
            failpoints.hit("sweep.written")
            os.rename(folder, self.of(record.id))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _make_root(self) -> None:
        """Makes the folder of all sweeps; not the workspace, which may be away."""
        self.root.parent.mkdir(exist_ok=True)
        self.root.mkdir(exist_ok=True)

    @contextmanager
    def listed(self, timeout: float) -> Iterator[None]:
        """The right to add a sweep. filelock.Timeout when another one has it for longer; OSError."""
        self._make_root()
        with FileLock(self.root / f"{LOCK}{MAKING}", timeout=timeout):
            yield

    @contextmanager
    def held(self, sweep_id: str, timeout: float) -> Iterator[None]:
        """The right to change a sweep. filelock.Timeout when another one has it for longer; OSError."""
        with FileLock(self.of(sweep_id) / LOCK, timeout=timeout):
            yield


def new_id() -> str:
    """An id that no sweep has."""
    return uuid.uuid4().hex[:8]


def new_record(name: str, job: JobConfig, sweep: Sweep, sweep_id: str = "") -> SweepRecord:
    """The record of a sweep that begins. sweep_id: one of `new_id`, where somebody has used it already."""
    sweep_id = sweep_id or new_id()
    return SweepRecord(sweep_id, name or sweep_id, time.time(), "going", job, sweep)
