"""Stand-ins for vendors' drivers: most machines have none."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from lfdash.machine import nvidia

GB = 1 << 30


def no(code: int) -> Any:
    """A function of NVML that refuses."""

    def refuse(*_arguments: Any) -> Any:
        raise pynvml.NVMLError(code)

    return refuse


NOT_SUPPORTED = no(pynvml.NVML_ERROR_NOT_SUPPORTED)


def card(**changes: Any) -> dict[str, Any]:
    """What NVML tells of an H100, function by function, with `changes`; a function is called with the arguments."""
    return {
        "Name": "NVIDIA H100 80GB HBM3", "UUID": "GPU-5a", "MigMode": NOT_SUPPORTED,
        "UtilizationRates": SimpleNamespace(gpu=97, memory=40),
        "MemoryInfo": SimpleNamespace(total=80 * GB, used=71 * GB, free=9 * GB),
        "Temperature": 61, "PowerUsage": 512_345, "EnforcedPowerLimit": 700_000,
        "ComputeRunningProcesses": [SimpleNamespace(pid=9), SimpleNamespace(pid=7)],
        **changes,
    }


class Nvml:
    """A driver with these cards. opened: how often it is open now. handle: a card, or a part of one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cards: list[Any]) -> None:
        self.cards, self.opened = cards, 0
        stands: dict[str, Callable[..., Any]] = {
            "nvmlInit": self.init, "nvmlShutdown": self.shut, "nvmlDeviceGetCount": lambda: len(self.cards),
            "nvmlDeviceGetHandleByIndex": self.by_index,
            "nvmlDeviceGetMaxMigDeviceCount": lambda handle: len(handle.get("parts", ())),
            "nvmlDeviceGetMigDeviceHandleByIndex": self.part,
        }
        asked = (name for name in card() if name != "ComputeRunningProcesses")
        stands |= {f"nvmlDeviceGet{name}": self.ask(name) for name in [*asked, "ComputeRunningProcesses"]}
        for name, stand in stands.items():
            monkeypatch.setattr(pynvml, name, stand)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(nvidia, "_open", False)

    def init(self) -> None:
        self.opened += 1

    def shut(self) -> None:
        self.opened -= 1

    def by_index(self, index: int) -> Any:
        found = self.cards[index]
        return found() if callable(found) else found

    def part(self, handle: Any, number: int) -> Any:
        found = handle["parts"][number]
        if found is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return found

    def ask(self, name: str) -> Callable[..., Any]:
        def answer(handle: Any, *arguments: Any) -> Any:
            value = handle[name]
            return value(*arguments) if callable(value) else value

        return answer
