"""VENDORS: who makes devices that runs compute on, one row each. A row's module is loaded when its devices may be
there: it has `read() -> tuple[Device, ...]`, which raises CannotRead.

Another vendor is a module here and a row, with a stand-in of what its tool or library says in tests/machine.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from lfdash.machine.sample import Device

Read = Callable[[], tuple[Device, ...]]


@dataclass(frozen=True)
class Vendor:
    """A row. name: as machine.jsonl has it. there: whether its devices may be there, quickly; where it says no, nothing
    is loaded. seconds: how long an answer may take."""

    name: str
    there: Callable[[], bool]
    seconds: float = 5.0

    def read(self) -> tuple[Device, ...]:
        """Its devices as they are now. CannotRead."""
        devices: tuple[Device, ...] = import_module(f"lfdash.machine.{self.name}").read()
        return devices


VENDORS = (
    Vendor("nvidia", lambda: True),  # its library says at once that there is no driver
    Vendor("amd", lambda: Path("/dev/kfd").exists() and find_spec("amdsmi") is not None),
    Vendor("ascend", lambda: shutil.which("npu-smi") is not None, seconds=12.0),
    Vendor("apple", lambda: sys.platform == "darwin"),
)
