"""Gives a run that is over another name: its folder moves, within the same parent."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lfdash.files import look_json, write_text_atomic
from lfdash.jobs.checks import name_code
from lfdash.outcomes import Refused, unchanged_by
from lfdash.runs.paths import RunPaths, is_home, marker
from lfdash.runs.places import elsewhere, note_elsewhere
from lfdash.runs.trash import sync
from lfdash.runs.view import RunView, relative


def rename(workspace: Path, view: RunView, name: str, reserved: Collection[Path] = ()) -> Path | Refused:
    """Moves the folder of a run that is over and writes its new name into its record; the new folder.

    reserved: folders that waiting jobs will have. The folder's name has no spaces, as when a run is started. Whoever
    dies between the two steps leaves a run that is listed by its folder's name (`view.shown_name`).
    Refused: rename_bad, rename_taken, readonly, disk_kept, failed; then nothing has changed.
    """
    folder = name.replace(" ", "")
    if "/" in name or not folder or name_code(name, ()):
        return Refused("rename_bad", {"value": name[:200]})
    target = view.path.with_name(folder)
    if target != view.path and (target in reserved or os.path.lexists(target)):
        return Refused("rename_taken", {"value": relative(workspace, target)})
    try:
        if target != view.path:
            move(workspace, view, target)
    except OSError as error:
        return unchanged_by(error, view.path)
    if view.record is not None and view.record.name != name:
        with suppress(OSError):
            text = replace(view.record, name=name).to_json()
            write_text_atomic(RunPaths(target).record, text)
    return target


def move(workspace: Path, view: RunView, target: Path) -> None:
    """Moves a run's folder. One that lies outside saves/ is noted at both places before, so that it is never lost."""
    note, draft = elsewhere(workspace) / view.run_id, f"{view.run_id}.renamed"
    noted, home = note.exists(), is_home(view.paths, view.attempt)
    spec = look_json(view.paths.attempt(view.attempt).spec) if home else {}
    if noted:
        note_elsewhere(workspace, draft, target)
    os.rename(view.path, target)
    sync(target.parent)
    if noted:
        os.replace(elsewhere(workspace) / draft, note)
    if spec:
        make_home(RunPaths(target), view.attempt, spec)


def make_home(paths: RunPaths, attempt: int, spec: Mapping[str, Any]) -> None:
    """Says in the control files of an attempt that is over that it belongs here: of several folders of one run the
    one that lies at home is the run, the others are copies (`scan.renamed`). spec: what they say so far."""
    with suppress(OSError):
        write_text_atomic(paths.attempt(attempt).spec, json.dumps({**spec, "marker": marker(paths, attempt)}))


