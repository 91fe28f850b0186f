"""Presets: plain LLaMA-Factory YAML, its first comment line the title, its second a line of advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfdash.files import open_plain
from lfdash.jobs.yaml_format import MAX_BYTES, load

FIRST = "demo"  # of the list; the others follow by title


@dataclass(frozen=True)
class Preset:
    """A starting point. name: of its file; text: the file as it is; args: LLaMA-Factory's arguments in it."""

    name: str
    title: str
    advice: str
    text: str
    args: Mapping[str, Any]


def list_presets(folder: Path) -> tuple[Preset, ...]:
    """The presets of a folder, the demo first, then by title. ConfigError for a broken file."""
    found = [read_preset(path) for path in sorted(folder.glob("*.yaml"))]
    return tuple(sorted(found, key=lambda preset: (preset.name != FIRST, preset.title)))


def read_preset(path: Path) -> Preset:
    """One preset."""
    with open_plain(path, follow=True) as file:
        text = file.read(MAX_BYTES + 1).decode("utf-8")
    comments = [line.lstrip("# ").strip() for line in text.splitlines() if line.startswith("#")]
    title, advice = ([*comments, "", ""])[:2]
    return Preset(path.stem, title or path.stem, advice, text, load(text).args)
