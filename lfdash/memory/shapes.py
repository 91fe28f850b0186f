"""The table of published shapes (configs/architectures.json), for models whose config.json is not on this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lfdash.memory.architecture import Architecture, from_config

BY_NAME_BAND = 0.40  # how far off a shape is taken to be that was chosen by a size in a name
FAR = 1.2  # times that a shape's size may be off without a change: names round, and some count no embeddings


@dataclass(frozen=True)
class Shapes:
    """by_name: LLaMA-Factory's name of a model -> its shape; dense: shapes without experts, tower, odd attention and
    files that are quantized already (a size in a name says nothing of bits), by parameters."""

    by_name: Mapping[str, Architecture] = field(default_factory=dict)
    dense: tuple[Architecture, ...] = ()

    def nearest(self, billions: float) -> Architecture | None:
        """The dense shape whose size is nearest to so many billions of parameters, of as many layers as give that size
        where it is further off than FAR; None where there is none."""
        if not self.dense or billions <= 0:
            return None
        wanted = billions * 1e9
        found = min(self.dense, key=lambda shape: max(shape.total / wanted, wanted / shape.total))
        layers = found.layers
        if not 1 / FAR < found.total / wanted < FAR:
            layers = max(1, layers + round((wanted - found.total) / found.layer))
        return replace(found, layers=layers, source="name", band=BY_NAME_BAND)


def load(path: Path) -> Shapes:
    """Reads the table. OSError, ValueError: it is no such table, which a test finds."""
    return read(json.loads(path.read_text(encoding="utf-8")))


def read(table: Mapping[str, Any]) -> Shapes:
    """The table from its JSON: {"shapes": [{"names": [...], "config": {as config.json}, "source": "..."}]}."""
    by_name: dict[str, Architecture] = {}
    for row in table["shapes"]:
        shape = from_config(row["config"], source="table")
        if shape is None:
            raise ValueError(f"a number is missing: {row['names']}")
        by_name.update(dict.fromkeys(row["names"], shape))
    plain = (shape for shape in by_name.values() if not (shape.experts or shape.tower or shape.quantized))
    dense = {shape.total: shape for shape in plain if shape.is_known}
    return Shapes(by_name, tuple(dense[total] for total in sorted(dense)))
