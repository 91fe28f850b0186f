"""The folders that values of a page may lead into: the workspace, and those that were allowed at the start."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lfdash.workspace.folders import Workspace

# arguments of LLaMA-Factory and transformers that name what is written (tokenized_path: when it is not there yet)
WRITTEN = (
    "output_dir", "export_dir", "logging_dir", "cache_dir", "tokenized_path", "offload_folder", "profiler_output_dir",
    "ray_storage_path", "swanlab_logdir",
)
# and what is read; several of them take a list, or names with commas between
READ = (
    "model_name_or_path", "adapter_name_or_path", "adapter_folder", "ref_model", "ref_model_adapters", "reward_model",
    "reward_model_adapters", "new_special_tokens_config", "kt_weight_path", "kt_expert_checkpoint_path", "dataset_dir",
    "media_dir", "deepspeed", "fsdp_config", "accelerator_config", "generation_config", "resume_from_checkpoint",
    "export_quantization_dataset",
)
LONGEST_NAME, LONGEST_PATH = 255, 4096  # bytes (limits.h: NAME_MAX, PATH_MAX)


@dataclass(frozen=True)
class Roots:
    """Where paths of a page may lead.

    workspace: absolute; relative paths start there. folders: the allowed ones, without links. names: as they were
    given. shared: whether others than the person who started the dashboard may use it. Then also what is only read
    must lie in the folders; else that may lie anywhere, as whoever sits there can read it anyway.
    """

    workspace: Path
    folders: tuple[Path, ...]
    names: tuple[str, ...] = ()
    shared: bool = False

    @classmethod
    def of(cls, workspace: Path, more: Iterable[Path] = (), *, shared: bool = False) -> Self:
        """The workspace, the folders in it as they are now (saves/ may be a link to a data disk), and `more`."""
        space = Workspace(workspace)
        more = tuple(more)
        own = (space.root, space.saves, space.data, space.models, space.configs)
        real = tuple(dict.fromkeys(Path(os.path.realpath(folder)) for folder in (*own, *more)))
        names = dict.fromkeys(str(folder) for folder in (space.root, *more, *real))
        return cls(workspace, real, tuple(names), shared)

    def inside(self, path: str | Path) -> Path | None:
        """Where a path leads, links followed; None when that is outside of the folders.

        Nor may it begin with ~, which transformers expands, or hold ${, which OmegaConf fills in.
        """
        text = str(path)
        if text.startswith("~") or "${" in text or not can_be_a_path(text):
            return None
        found = Path(os.path.realpath(self.workspace / text))
        return found if any(found.is_relative_to(folder) for folder in self.folders) else None

    def readable(self, path: str | Path) -> Path | None:
        """Where a path leads that is only read; None when it may not be read."""
        if self.shared:
            return self.inside(path)
        return Path(os.path.realpath(self.workspace / path)) if can_be_a_path(str(path)) else None

    def outside(self, args: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """(argument, path) of every path among LLaMA-Factory's arguments that leads where it may not."""
        for name in WRITTEN:
            path = args.get(name)
            if path and self.inside(str(path)) is None:
                yield name, str(path)
        for name in READ if self.shared else ():
            yield from ((name, path) for path in paths(args.get(name)) if self.inside(path) is None)


def can_be_a_path(text: str) -> bool:
    """Whether a system call takes it: no zero, no half of a character (`\\ud800`), which JSON can name, and no name
    that is longer than the usual file systems allow."""
    try:
        name = os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return b"\0" not in name and len(name) < LONGEST_PATH and all(len(p) <= LONGEST_NAME for p in name.split(b"/"))


def paths(value: Any) -> list[str]:
    """The paths in an argument: none, one, several with commas between, or a list."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [str(item) for item in value if item] if isinstance(value, list) else []


def named(text: str) -> list[Path]:
    """The folders in LFDASH_ROOTS: absolute, with colons between."""
    return [Path(part) for part in text.split(os.pathsep) if part]
