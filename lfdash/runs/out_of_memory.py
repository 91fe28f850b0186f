"""What PyTorch's message about a full GPU says, and at which moment of a training it came. Pure.

The message is made in c10/cuda/CUDACachingAllocator.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Moment = Literal["loading", "optimizer", "logits", "backward", "forward", ""]
UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
SIZE = r"(\d{1,9}(?:\.\d{1,4})?) (bytes|KiB|MiB|GiB)"
MESSAGE = re.compile(r"(?:CUDA|HIP) out of memory\. Tried to allocate " + SIZE)
TOTAL = re.compile(r"GPU (\d{1,4}) has a total capacity of " + SIZE)
FREE = re.compile(r"of which " + SIZE + " is free")
OWN = re.compile(r"this process has " + SIZE + " memory in use")
ALLOCATED = re.compile(SIZE + " is allocated by PyTorch")
OTHER = re.compile(r"Process (\d{1,9}) has " + SIZE + " memory in use")
LOOKED_AT = 400  # lines before the message
# what a line of the traceback has, the deepest first
MOMENTS: tuple[tuple[Moment, re.Pattern[str]], ...] = (
    ("loading", re.compile(r"from_pretrained|load_model\(|_load_pretrained_model|init_adapter")),
    ("optimizer", re.compile(r"torch/optim/|bitsandbytes/optim/|optimizer\.step\(")),
    ("backward", re.compile(r"autograd/__init__|\.backward\(")),
    ("logits", re.compile(r"loss_utils|cross_entropy|logits\.float|lm_head\(|get_batch_logps|log_softmax")),
)


@dataclass(frozen=True)
class OutOfMemory:
    """A full GPU; sizes in bytes, None where the message does not say. gpu: as the process counts it. wanted: that it
    asked for. own: what it had; allocated: that PyTorch had given out of it. others: pid -> what other processes had.
    moment: of a training; "" where no traceback tells."""

    wanted: int
    gpu: int | None = None
    total: int | None = None
    free: int | None = None
    own: int | None = None
    allocated: int | None = None
    others: tuple[tuple[int, int], ...] = ()
    moment: Moment = ""

    @property
    def foreign(self) -> int:
        """What others had, also those that cannot be seen from a container."""
        told = sum(size for _, size in self.others)
        if self.total is None or self.free is None or self.own is None:
            return told
        return max(told, self.total - self.free - self.own)


def read(lines: Sequence[str]) -> OutOfMemory | None:
    """What the last such message of a log says; None without one."""
    for place in range(len(lines) - 1, -1, -1):
        line = lines[place]
        found = MESSAGE.search(line)
        if found is not None:
            total = TOTAL.search(line)
            others = tuple((int(pid), size(number, unit)) for pid, number, unit in OTHER.findall(line))
            return OutOfMemory(
                size(found[1], found[2]), int(total[1]) if total else None, size(total[2], total[3]) if total else None,
                told(FREE, line), told(OWN, line), told(ALLOCATED, line), others,
                moment_of(lines[max(0, place - LOOKED_AT) : place]),
            )
    return None


def told(pattern: re.Pattern[str], line: str) -> int | None:
    """A size that a line says."""
    found = pattern.search(line)
    return size(found[1], found[2]) if found else None


def size(number: str, unit: str) -> int:
    """Bytes."""
    return int(float(number) * UNITS[unit])


def moment_of(before: Sequence[str]) -> Moment:
    """The moment, from the traceback that ends with the message."""
    begin = next((n for n in range(len(before) - 1, -1, -1) if "Traceback (most recent call last)" in before[n]), None)
    if begin is None:
        return ""
    text = "\n".join(before[begin:])
    return next((moment for moment, pattern in MOMENTS if pattern.search(text)), "forward")
