"""The vision tower of a multimodal model: its parameters, and what pictures take. Pure.

Files are transformers' (models/qwen2_vl, qwen2_5_vl, clip, siglip), LLaMA-Factory's (llamafactory/) and peft's own.
Measured with one picture a row on an H200: Qwen2-VL and Qwen2.5-VL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lfdash.memory.config_numbers import TOWER, VISION_PARTS, first, part

PIXELS = 768 * 768  # image_max_pixels (hparams/model_args.py): larger pictures are made smaller
GATED = ("qwen2_5_vl", "qwen2_5_omni")  # towers of RMS norms and gated MLPs; others have layer norms and two matrices
BY_SIZE = ("qwen2_vl", "qwen3_vl", *GATED)  # towers that take a picture in its own size, and join what stands together


@dataclass(frozen=True)
class Tower:
    """A vision tower's shape. merge: patches that become one token, in one direction; 0 where none are joined. out:
    width of the text model; side: pixels that one side of each picture is made to have, 0 where it keeps its own."""

    layers: int
    hidden: int
    intermediate: int
    patch: int
    merge: int
    out: int
    side: int
    gated: bool

    @property
    def linear(self) -> dict[str, tuple[int, int]]:
        """The linear layers of one block: name -> (inputs, outputs)."""
        own, inner = self.hidden, self.intermediate
        gate = {"gate_proj": (own, inner)} if self.gated else {}
        return {"qkv": (own, 3 * own), "proj": (own, own), **gate, "fc1": (own, inner), "fc2": (inner, own)}

    @property
    def projector(self) -> int:
        """Parameters of what turns patches into tokens."""
        joined = self.hidden * self.merge**2
        return joined * joined + joined * self.out if self.merge else self.hidden * self.out

    @property
    def quantizable(self) -> int:
        """Parameters of its linear layers, which bitsandbytes quantizes like those of the text model."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linear.values()) + self.projector

    @property
    def total(self) -> int:
        """All parameters, but for biases."""
        norms = 2 * self.hidden * self.layers
        return self.quantizable + norms + 3 * self.hidden * self.patch**2 * (2 if self.merge else 1)

    def patches(self, pixels: float) -> int:
        """Patches of a picture. pixels: that it has at most."""
        return int((self.side**2 if self.side else max(0.0, pixels)) / self.patch**2)

    @property
    def kept(self) -> float:
        """Bytes a patch that one block keeps for a backward when its weights are frozen: norms' inputs (those of RMS
        norms in fp32), queries, keys and values before and after they are turned, the output, and the MLP's parts."""
        norms = 8 if self.gated else 4
        return (norms + 12) * self.hidden + (6 if self.gated else 4) * self.intermediate


def tower_of(config: Mapping[str, Any], out: int) -> Tower | None:
    """The tower that a config.json describes; None without one. out: width of the text model."""
    found = part(config, VISION_PARTS)
    layers, hidden = first(found, TOWER["layers"]), first(found, TOWER["hidden"])
    if not layers or not hidden:
        return None
    kind = str(found.get("model_type") or config.get("model_type") or "")
    own_size = kind in BY_SIZE
    intermediate = first(found, TOWER["intermediate"]) or first(found, ("mlp_ratio",)) * hidden or 4 * hidden
    return Tower(
        layers, hidden, intermediate, first(found, ("patch_size", "spatial_patch_size")) or 14,
        (first(found, ("spatial_merge_size",)) or 2) if own_size else 0, out,
        0 if own_size else first(found, ("image_size",)), kind in GATED,
    )
