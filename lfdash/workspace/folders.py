"""The workspace: one folder with data, models, runs and what the dashboard keeps for itself."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from lfdash.files import readable, write_text_atomic
from lfdash.outcomes import Refused
from lfdash.runs.paths import ADAPTERS, WEIGHTS, private, saves

# Files that make a folder one of weights (llamafactory/extras/constants.py, CHECKPOINT_NAMES)
CHECKPOINT_NAMES = frozenset({*ADAPTERS, *WEIGHTS})


@dataclass(frozen=True)
class Unwritten:
    """Files of a workspace that could not be written. names: of the files; reason: of the first, by the system."""

    names: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Workspace:
    """The folders of a workspace. `root` is absolute; runs are started in it."""

    root: Path

    @property
    def data(self) -> Path:
        """Datasets, with dataset_info.json."""
        return self.root / "data"

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def deepspeed(self) -> Path:
        """DeepSpeed's configuration files, which jobs name relative to the workspace."""
        return self.root / "deepspeed"

    @property
    def saves(self) -> Path:
        """Runs: saves/<model>/<method>/<run>."""
        return saves(self.root)

    @property
    def configs(self) -> Path:
        """Configurations saved under a name."""
        return self.root / "configs"

    @property
    def private(self) -> Path:
        """Draft of the form, settings, caches."""
        return private(self.root)

    def free_bytes(self) -> int | None:
        """Free space of the disk that runs are written to; None when it cannot be asked."""
        try:
            return shutil.disk_usage(self.saves).free
        except OSError:
            return None

    def prepare(self, deepspeed: Path) -> Unwritten | None:
        """Makes the folders that are missing, and copies the DeepSpeed files of `deepspeed` that are, or are empty: an
        earlier start on a full disk left them so. What of those could not be written is what comes back: few jobs name
        them.

        Raises OSError when the folders cannot be made.
        """
        for folder in (self.data, self.models, self.deepspeed, self.saves, self.configs, self.private):
            folder.mkdir(parents=True, exist_ok=True)
        failed: dict[str, str] = {}
        for source in sorted(deepspeed.glob("*.json")):
            target = self.deepspeed / source.name
            try:
                if is_wanting(target):
                    write_text_atomic(target, source.read_text(encoding="utf-8"))  # a full disk leaves no empty one
            except OSError as error:
                failed[target.name] = error.strerror or type(error).__name__
        return Unwritten(tuple(failed), next(iter(failed.values()))) if failed else None


def is_wanting(path: Path) -> bool:
    """Whether a file is not there, or empty. OSError when that cannot be told."""
    try:
        return path.stat().st_size == 0
    except FileNotFoundError:
        return True


def path_refusal(root: Path) -> Refused | None:
    """Why nothing can be run in a workspace of that path; None when it can. Refused: path_bytes (it is no text, and
    files of ours and LLaMA-Factory's are), path_filled (OmegaConf, which reads the arguments, fills in `${...}`)."""
    shown = {"path": readable(str(root))}
    if shown["path"] != str(root):
        return Refused("path_bytes", shown)
    return Refused("path_filled", shown) if "${" in str(root) else None


def weights_size(folder: Path) -> int | None:
    """Bytes of the weight files in a model's folder; None when it is no folder with weights (a name on a hub)."""
    try:
        sizes = [path.stat().st_size for path in folder.iterdir() if path.suffix in (".safetensors", ".bin")]
    except (OSError, ValueError):
        return None
    return sum(sizes) or None


def weights_in(folder: Path) -> list[str]:
    """Names of the subfolders that hold weights, newest first: what LlamaBoard's list_checkpoints lists."""
    found: list[tuple[float, str]] = []
    try:
        entries = [entry for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        return []
    for entry in entries:
        try:
            if not CHECKPOINT_NAMES.isdisjoint(os.listdir(entry.path)):
                found.append((-entry.stat().st_mtime, entry.name))
        except OSError:  # removed, or not ours to read
            continue
    return [name for _, name in sorted(found)]
