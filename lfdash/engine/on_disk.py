"""What lies on the disk of what a job names: files and folders that are not there, its model's config.json, and how
far the checkpoint is that it would go on from. Nothing is said of what cannot be looked at."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from lfdash.engine.services import Services
from lfdash.files import file_mark, is_absent, read_json_file, real_number
from lfdash.jobs.environment import Missing, ModelFacts, Reached
from lfdash.jobs.named_files import MODEL, NAMED_FILES, STATE, NamedFile, may_be_on_a_hub, names_of

EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
CONFIG_BYTES = 4 << 20  # of a config.json that are read
STATE_BYTES = 64 << 20  # of a trainer_state.json, which has a line a logged step


def missing(services: Services, args: Mapping[str, Any]) -> dict[str, tuple[Missing, ...]]:
    """Argument -> what it names and is not there."""
    found = {}
    for row in NAMED_FILES:
        gone = [gone for name in names_of(row, args) if (gone := looked_for(services, row, name)) is not None]
        if gone:
            found[row.argument] = tuple(gone)
    return found


def looked_for(services: Services, row: NamedFile, name: str) -> Missing | None:
    """What is wrong with a path that an argument names; None when it is there, or that cannot be told.

    Transformers expands no `~` in these arguments: the folder of that name is looked for.
    """
    path = services.roots.readable(name)
    if path is None:
        return None
    try:
        names = os.listdir(path) if path.is_dir() else None
        os.stat(path)
    except OSError as error:
        if not is_absent(error) or may_be_on_a_hub(row, name):
            return None
        return Missing(name, near=near(services.workspace.root, row, name))
    if not row.holds or (names is not None and not set(row.holds).isdisjoint(names)):
        return None
    return Missing(name, lacks=" / ".join(row.holds))


def near(root: Path, row: NamedFile, name: str) -> str:
    """The one path of the workspace that has the name of what is looked for; "" when there is none, or several."""
    parts = name.replace("\\", "/").rstrip("/").split("/")
    wanted = "/".join(parts[-2:] if parts[-1].startswith("checkpoint-") else parts[-1:])
    if not wanted.strip(".~/") or "*" in wanted:
        return ""
    folders = (folder for pattern in row.places for folder in ([root] if pattern == "." else root.glob(pattern)))
    found = {path for folder in folders if fits(path := folder / wanted, row.holds)}
    return str(found.pop().relative_to(root)) if len(found) == 1 else ""


def fits(path: Path, holds: tuple[str, ...]) -> bool:
    """Whether a path is what is looked for: a folder with one of these files, or (none) anything."""
    try:
        return any((path / name).exists() for name in holds) if holds else path.exists()
    except OSError:
        return False


def model_facts(services: Services, model: object) -> ModelFacts | None:
    """What the config.json in a model's folder says; None when it is not on this machine."""
    folder = services.roots.readable(model) if isinstance(model, str) and model else None
    config = read_mapping(folder / MODEL, CONFIG_BYTES) if folder else {}
    if not config:
        return None
    layers = config.get("text_config")
    layers = layers if isinstance(layers, dict) else config
    experts = [value for part in (layers, config) for name in EXPERTS if isinstance(value := part.get(name), int)]
    quantization = config.get("quantization_config")
    quantized = quantization.get("quant_method") if isinstance(quantization, dict) else None
    return ModelFacts(max(experts, default=0), str(quantized or ""), "vision_config" in config)


def reached(services: Services, checkpoint: object) -> Reached | None:
    """How far a checkpoint is that a job resumes from; None when that cannot be told."""
    folder = services.roots.readable(checkpoint) if isinstance(checkpoint, str) and checkpoint else None
    mark = file_mark(folder / STATE) if folder else None
    return read_state(folder / STATE, mark) if folder and mark else None


@lru_cache(maxsize=8)
def read_state(path: Path, _mark: object) -> Reached | None:
    """The same from its trainer_state.json, read again when that changed."""
    state = read_mapping(path, STATE_BYTES)
    step, epoch = state.get("global_step"), real_number(state.get("epoch"))
    return Reached(step, epoch) if isinstance(step, int) and epoch is not None else None


def read_mapping(path: Path, limit: int) -> dict[str, Any]:
    """The mapping in a JSON file of at most so many bytes, which may be a link (a hub's cache is made of them); empty
    where there is none, or something else."""
    found = read_json_file(path, limit=limit, follow=True)
    return found if isinstance(found, dict) else {}
