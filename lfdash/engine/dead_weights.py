"""Weights that a job names and that are useless: the run that saved them had, by then, a loss that was no number.

The run's own folder tells it (`metrics/dead.py`), so it holds as long as the job names that folder. Nothing is said of
what cannot be looked at.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from lfdash.engine.on_disk import STATE_BYTES, fits, read_mapping
from lfdash.engine.services import Services
from lfdash.errors import ConfigError
from lfdash.files import read_text_file, real_number
from lfdash.jobs.environment import DeadWeights
from lfdash.jobs.named_files import NAMED_FILES, STATE, NamedFile, names_of
from lfdash.jobs.yaml_format import load
from lfdash.runs.log_reader import read_last
from lfdash.runs.paths import LOG, RunPaths
from lfdash.runs.view import CHECKPOINT

READ_S = 0.2  # of a log, while a page is drawn; the next drawing goes on


def dead_weights(services: Services, args: Mapping[str, Any]) -> dict[str, tuple[DeadWeights, ...]]:
    """Argument -> what it names and is useless, of those that name weights."""
    found = {}
    for row in NAMED_FILES:
        dead = [one for name in names_of(row, args) if row.holds and (one := looked_at(services, row, name))]
        if dead:
            found[row.argument] = tuple(dead)
    return found


def looked_at(services: Services, row: NamedFile, name: str) -> DeadWeights | None:
    """What is wrong with weights that an argument names; None when they may be good, or that cannot be told."""
    path = services.roots.readable(name)
    if path is None:
        return None
    number = checkpoint_in(path.name)
    folder, named = (path, PurePosixPath(name)) if number is None else (path.parent, PurePosixPath(name).parent)
    try:
        dead = dead_since(services, folder)
        if dead is None or not path.is_dir():
            return None
        saved = best_of(folder) if number is None else number
        steps = [step for one in os.listdir(folder) if (step := checkpoint_in(one)) is not None and step < dead]
    except OSError:
        return None
    if saved is not None and saved < dead:
        return None
    earlier = next((step for step in sorted(steps, reverse=True) if fits(folder / f"{CHECKPOINT}{step}", row.holds)), 0)
    return DeadWeights(name, dead, str(named / f"{CHECKPOINT}{earlier}") if earlier else "")


def checkpoint_in(name: str) -> int | None:
    """The step of a checkpoint, by its folder's name; None for another folder."""
    number = name.removeprefix(CHECKPOINT)
    return int(number) if number != name and number.isascii() and number.isdigit() and len(number) < 16 else None


def dead_since(services: Services, folder: Path) -> int | None:
    """The step since which the loss of a folder's run has been no number; None when it is one, or is not known yet.
    OSError when its log cannot be read."""
    paths = RunPaths(folder)
    newest = next((row["loss"] for row in reversed(read_last(paths.named(LOG))) if "loss" in row), None)
    if newest is None or real_number(newest):
        return None  # it learns, however long its log is
    feed = services.feeds.of(paths)
    feed.poll(READ_S if services.started else None)
    return None if feed.reading is not None or feed.dead_since is None else int(feed.dead_since)


def best_of(folder: Path) -> int | None:
    """The step of the weights that a run's folder has itself, where the best ones were loaded at its end; None: they
    are the last ones."""
    text = read_text_file(RunPaths(folder).training_args)
    try:
        args = load(text).args if isinstance(text, str) else {}
    except ConfigError:
        args = {}
    if args.get("load_best_model_at_end") is not True:
        return None
    best = read_mapping(folder / STATE, STATE_BYTES).get("best_model_checkpoint")
    return checkpoint_in(PurePosixPath(best).name) if isinstance(best, str) else None
