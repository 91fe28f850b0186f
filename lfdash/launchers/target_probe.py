"""What every kind of target offers beside its launcher: a short job that looks around there and tells what it found
(supervisor/target_probe.py). Its row is in `table.PROBES`."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lfdash.files import read_text_file
from lfdash.launchers.slurm_script import (
    attempt_folder,
    command_of,
    python_of,
    supervisor_folder,
    there,
)
from lfdash.runs.paths import PRIVATE
from lfdash.runs.plan import LaunchPlan, make_plan
from lfdash.supervisor.target_probe import ANSWER, LOCK, REPORT
from lfdash.targets.target import Target

FOLDER = f"{PRIVATE}/target_tests"  # in the workspace: a folder for each test that goes on
NAME = re.compile(r"test-[0-9a-f]{12}")  # of a test; nothing else is taken for one, whoever made its folder
TARGET = "target"  # in a test's folder: the name of its target


@dataclass(frozen=True)
class Probe:
    """A test of a target. plan: a plan as a run's, which starts nothing of LLaMA-Factory's: it says where the test's
    folder lies and which llamafactory-cli is asked."""

    plan: LaunchPlan
    target: Target

    @property
    def root(self) -> Path:
        """All that lies of it in the workspace."""
        return Path(self.plan.cwd) / self.plan.output_dir

    @property
    def folder(self) -> Path:
        """Where the report is written, as it is seen here."""
        return Path(attempt_folder(self.plan))

    @property
    def folder_there(self) -> str:
        """The same as the nodes see it."""
        return there(self.plan, self.target, attempt_folder(self.plan))

    @property
    def python_there(self) -> str:
        """What runs the program there."""
        return python_of(self.plan, self.target)

    @property
    def command(self) -> list[str]:
        """The program with its arguments, as the nodes see them. What is put before llamafactory-cli starts its
        container."""
        program = there(self.plan, self.target, f"{supervisor_folder()}/lfdash/supervisor/target_probe.py")
        cli = command_of(self.plan, self.target)[: -len(self.plan.argv) + 1 or None]
        return [self.python_there, "-I", "-S", program, self.folder_there, "--", *cli]

    def make(self) -> int:
        """Makes its folder, in which nothing is told yet; the descriptor of the lock, which is held until that is
        closed. OSError."""
        self.folder.mkdir(parents=True)
        for name in (REPORT, ANSWER):
            (self.folder / name).touch()
        descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # last: from now on it would be tidied up where nobody held the lock
            (self.root / TARGET).write_text(self.target.name, encoding="utf-8")
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def remove(self) -> None:
        """Takes all of it away; what a job there still writes keeps the folder until it is tidied up."""
        shutil.rmtree(self.root, ignore_errors=True)
        with suppress(OSError):  # another test goes on
            self.root.parent.rmdir()


def new_probe(workspace: Path, target: Target, cli: str) -> Probe:
    """A test that has a name of its own. cli: the dashboard's own llamafactory-cli, where the target names none."""
    return named_probe(workspace, target, cli, f"test-{secrets.token_hex(6)}")


def named_probe(workspace: Path, target: Target, cli: str, name: str) -> Probe:
    """The test of that name; by it its job is found."""
    plan = make_plan(
        run_id=name, args={}, env={}, secrets=(), files={}, cli=cli, cwd=str(workspace), output_dir=f"{FOLDER}/{name}"
    )
    return Probe(plan, target)


def left_behind(workspace: Path, target: Target) -> list[str]:
    """The names of tests of a target whose folders are there, whether somebody waits for them or not."""
    try:
        folders = sorted((workspace / FOLDER).iterdir())
    except OSError:
        return []
    return [
        folder.name for folder in folders
        if NAME.fullmatch(folder.name) and read_text_file(folder / TARGET, limit=100) == target.name
    ]


@dataclass(frozen=True)
class Seen:
    """What the scheduler says of a test's job. word: its state, the scheduler's own, "" when it has not said any;
    reason: why it is in it. waits: whether it has not begun. over: whether it is over, or not there any more; code: its
    exit code then, None when that is unknown. starts: epoch seconds, when it is expected to begin. silent: why the
    scheduler does not answer."""

    word: str = ""
    reason: str = ""
    waits: bool = True
    over: bool = False
    code: int | None = None
    starts: float | None = None
    silent: str = ""


class ProbeJob(Protocol):
    """The job of one test. Each call may take as long as the scheduler does, and may be made by any thread."""

    def submit(self) -> None:
        """Gives it to the scheduler. OSError: why not."""
        ...

    def look(self) -> Seen:
        """How it does. OSError when that cannot be seen."""
        ...

    def cancel(self) -> None:
        """Ends it, by its name, whether it was seen or not; nothing when there is none. OSError."""
        ...
