"""AMD's GPUs; the library is stood in for, with the keys and the units of amdsmi."""

from __future__ import annotations

import sys
from enum import IntEnum
from types import ModuleType
from typing import Any

import pytest

from lfdash.machine import amd
from lfdash.machine.sample import CannotRead, Device

MIB = 1 << 20


class AmdSmiException(Exception):
    """As the library's own."""


class AmdSmiTemperatureType(IntEnum):
    EDGE = 0
    HOTSPOT = 1


class AmdSmiTemperatureMetric(IntEnum):
    CURRENT = 0


def refuse(*_arguments: Any) -> Any:
    raise AmdSmiException("Error code:\n\t2 | AMDSMI_STATUS_NOT_SUPPORTED - Feature not supported")


WELL: dict[str, Any] = {
    "amdsmi_get_gpu_asic_info": {"market_name": "AMD Instinct MI300X", "vendor_id": "0x1002"},
    "amdsmi_get_gpu_activity": {"gfx_activity": 93, "umc_activity": 40, "mm_activity": "N/A"},
    "amdsmi_get_gpu_vram_usage": {"vram_total": 196592, "vram_used": 150000},
    "amdsmi_get_temp_metric": 61,
    "amdsmi_get_power_info": {
        "current_socket_power": 612, "average_socket_power": "N/A", "gfx_voltage": "N/A", "power_limit": 750,
    },
    "amdsmi_get_gpu_device_uuid": "c3ff74a1-0000-1000-80e3-fd3a5d54c5d5",
    "amdsmi_get_gpu_process_list": [
        {"name": "python3", "pid": 4242, "mem": 1, "memory_usage": {"vram_mem": 1}}, {"name": "N/A", "pid": 17},
    ],
}


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An amdsmi with one GPU; what it answers can be changed."""
    answers = dict(WELL)
    module: Any = ModuleType("amdsmi")
    module.AmdSmiException = AmdSmiException
    module.AmdSmiTemperatureType, module.AmdSmiTemperatureMetric = AmdSmiTemperatureType, AmdSmiTemperatureMetric
    module.amdsmi_init = lambda: answers["init"]() if "init" in answers else None
    module.amdsmi_get_processor_handles = lambda: answers.get("handles", ["h0"])

    def ask(name: str) -> Any:
        def answer(_handle: str, *arguments: Any) -> Any:
            value = answers[name]
            return value(*arguments) if callable(value) else value

        return answer

    for name in WELL:
        setattr(module, name, ask(name))
    monkeypatch.setitem(sys.modules, "amdsmi", module)
    monkeypatch.setattr(amd, "_ready", False)
    return answers


def test_a_gpu_is_read_with_all_that_it_tells(library: dict[str, Any]) -> None:
    assert amd.read() == (
        Device(
            "amd", "0", "AMD Instinct MI300X", load=93.0, memory_used=150000 * MIB, memory_total=196592 * MIB,
            temperature=61.0, power=612.0, power_limit=750.0, uuid="c3ff74a1-0000-1000-80e3-fd3a5d54c5d5",
            processes=(17, 4242),
        ),
    )


def test_what_it_does_not_tell_is_unknown(library: dict[str, Any]) -> None:
    library |= dict.fromkeys(WELL, refuse) | {
        "amdsmi_get_gpu_activity": {"gfx_activity": "N/A"}, "amdsmi_get_power_info": {"current_socket_power": 0xFFFF},
    }
    assert amd.read() == (Device("amd", "0"),)


def test_an_older_card_tells_its_power_and_temperature_elsewhere(library: dict[str, Any]) -> None:
    library["amdsmi_get_power_info"] = {"current_socket_power": "N/A", "average_socket_power": 203, "power_limit": 0}
    library["amdsmi_get_temp_metric"] = lambda sensor, _metric: refuse() if sensor == 0 else 58000
    (found,) = amd.read()
    assert (found.power, found.power_limit, found.temperature) == (203.0, None, 58.0)


def test_a_driver_that_fails_is_told_and_asked_anew(library: dict[str, Any]) -> None:
    library["init"] = refuse
    with pytest.raises(CannotRead, match="not supported"):
        amd.read()
    del library["init"]
    assert len(amd.read()) == 1


def test_a_library_that_cannot_be_loaded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    with pytest.raises(CannotRead, match="amdsmi"):
        amd.read()
