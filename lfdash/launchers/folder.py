"""Makes the folder of a run (completely, or not at all, and exactly once) and reads its control files."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lfdash.files import look_json, look_mark, write_text_atomic
from lfdash.launchers.base import THIS, MachineIdentity
from lfdash.outcomes import Refused, refused_by
from lfdash.runs.paths import AttemptPaths, RunPaths, marker
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import RunRecord
from lfdash.supervisor import failpoints, mask
from lfdash.supervisor.records import sync_folder

RESERVED = 4096  # bytes held for exit.json, and for child.json


Spec = Mapping[str, Any]


def make(
    plan: LaunchPlan, record: RunRecord, machine: MachineIdentity = THIS, more: Spec | None = None
) -> RunPaths | Refused:
    """Writes the plan's files, the record (stamped with time and host) and the control files.

    more: what spec.json says beside, or instead. A later attempt goes into the folder that is there. Refused: exists,
    disk, readonly, start_failed; then nothing is left behind.
    """
    paths = RunPaths(Path(plan.cwd) / plan.output_dir)
    now = time.time()
    if plan.attempt > 1:
        told = {"automatic": True} if record.last.automatic else {}
        return extend(paths, plan, record.with_last(started=now), machine, {**(more or {}), **told})
    record = replace(record.with_last(started=now), created=now, host=machine.host())
    top = topmost_missing(paths.root.parent)
    try:
        paths.root.parent.mkdir(parents=True, exist_ok=True)
        refused = build(paths, plan, record, machine, more)
    except OSError as error:
        refused = refused_by(error, paths.root)
    if refused is not None:
        remove_empty(paths.root.parent, top)
        return refused
    return paths


def extend(
    paths: RunPaths, plan: LaunchPlan, record: RunRecord, machine: MachineIdentity, more: Spec | None = None
) -> RunPaths | Refused:
    """Adds an attempt to a run's folder: control files first (their rename is the gate), then files and record."""
    control = paths.attempt(plan.attempt)
    draft = AttemptPaths(unseen(control.root, plan))
    ours = False  # whether the folder that is there is
    shutil.rmtree(draft.root, ignore_errors=True)  # of a dashboard that was killed here
    try:
        write_control(draft, paths, plan, machine, more)
        failpoints.hit("resume.draft_made")
        if os.path.lexists(control.root):
            return Refused("exists", {"path": f"{plan.output_dir}/attempts/{control.root.name}"})
        failpoints.hit("resume.before_rename")
        os.rename(draft.root, control.root)
        ours = True
        failpoints.hit("resume.after_rename")
        for name, text in {**plan.files, paths.record.name: record.to_json()}.items():
            write_text_atomic(paths.root / name, text)
        failpoints.hit("resume.files_written")
    except OSError as error:
        if ours:
            undo(paths, plan)
        return refused_by(error, paths.root)
    finally:
        shutil.rmtree(draft.root, ignore_errors=True)
    return paths


def undo(paths: RunPaths, plan: LaunchPlan) -> None:
    """Takes away what `make` made: the whole folder of a first attempt, the control files of a later one.

    At once, by a name that nobody looks at: a folder that is half gone looks like a run that failed.
    """
    take_away(paths, plan.run_id, plan.attempt)


def take_away(paths: RunPaths, run_id: str, attempt: int = 1) -> None:
    """The same, where there is no plan any more. Nothing, where another run has that folder by now; of a run that was
    gone on with only that attempt's files."""
    alone = attempt == 1
    with suppress(OSError):  # it is taken apart by its name then
        if look_json(paths.attempt(attempt).spec).get("run_id", run_id) != run_id:
            return
        alone = alone and not [number for number in paths.made_attempts() if number != attempt]
    root = paths.root if alone else paths.attempt(attempt).root
    aside = aside_of(root, run_id)
    shutil.rmtree(aside, ignore_errors=True)
    try:
        os.rename(root, aside)
    except OSError:
        aside = root
    shutil.rmtree(aside, ignore_errors=True)
    if not alone:
        with suppress(OSError):  # who has looked at the run looks again (runs/scan.py): it is another one now
            os.utime(paths.record)


def unseen(root: Path, plan: LaunchPlan) -> Path:
    """The name beside a folder under which it is made, and taken apart: one that no look finds."""
    return aside_of(root, plan.run_id)


def aside_of(root: Path, run_id: str) -> Path:
    """The same, of a run's id."""
    return root.with_name(f".{root.name}.{run_id}.new")


def topmost_missing(folder: Path) -> Path | None:
    """The highest ancestor (or the folder itself) that does not exist yet."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    return missing[-1] if missing else None


def remove_empty(folder: Path, top: Path | None) -> None:
    """Removes the folders that were made for a launch that failed, as far as they are empty."""
    while top is not None and (folder == top or top in folder.parents):
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def build(
    paths: RunPaths, plan: LaunchPlan, record: RunRecord, machine: MachineIdentity, more: Spec | None = None
) -> Refused | None:
    """Makes the whole folder under a temporary name, then renames it. OSError leaves nothing behind.

    A rename onto a folder that is not empty fails, so of several launches one wins.
    """
    draft = RunPaths(unseen(paths.root, plan))
    shutil.rmtree(draft.root, ignore_errors=True)  # of a dashboard that was killed here
    try:
        draft.root.mkdir()
        failpoints.hit("folder.draft_made")
        for name, text in plan.files.items():
            write(draft.root / name, text)
        failpoints.hit("folder.files_written")
        write(draft.record, record.to_json())
        failpoints.hit("folder.record_written")
        write_control(draft.attempt(plan.attempt), paths, plan, machine, more)
        if os.path.lexists(paths.root):  # rename would silently take the place of an empty folder
            return Refused("exists", {"path": plan.output_dir})
        sync_folder(str(draft.root))
        failpoints.hit("folder.before_rename")
        os.rename(draft.root, paths.root)
        failpoints.hit("folder.after_rename")
    finally:
        shutil.rmtree(draft.root, ignore_errors=True)
    return None


def write_control(
    control: AttemptPaths, paths: RunPaths, plan: LaunchPlan, machine: MachineIdentity, more: Spec | None = None
) -> None:
    """The attempt's control files; `paths` = where they will lie."""
    control.root.mkdir(parents=True)
    spec = {
        "run_id": plan.run_id, "attempt": plan.attempt, "argv": list(plan.argv), "cwd": plan.cwd,
        "marker": marker(paths, plan.attempt), "console": str(paths.console),
        "exit": os.path.relpath(paths.exit, paths.attempt(plan.attempt).root),
        "boot_id": machine.boot_id(), "host": machine.host(), "clock": machine.clock(),
        "uid": os.getuid(), "pids": namespace(),
        "console_start": console_size(paths), "secrets": mask.names(os.environ, plan.secrets),
        "before": {path.name: look_mark(path) for path in (paths.trainer_log, paths.trainer_state)},
        **(more or {}),
    }
    write(control.spec, json.dumps(spec))
    write(control.child_reserve, " " * RESERVED)
    write(control.reserve, " " * RESERVED)
    write(control.armed, "")


def namespace() -> str | None:
    """The name of the pid namespace that this process is in; other containers have others. None where there is none."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def console_size(paths: RunPaths) -> int:
    """How much earlier attempts have printed, in bytes. OSError when that cannot be known."""
    mark = look_mark(paths.console)
    return 0 if mark is None else mark[1]


def write(path: Path, text: str) -> None:
    """Writes and syncs a new file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


