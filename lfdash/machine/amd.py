"""AMD's GPUs, through amdsmi, the Python side of ROCm's AMD SMI; it comes with ROCm and is no dependency of ours.

Seen there: https://rocm.docs.amd.com/projects/amdsmi/en/docs-7.2.3/reference/amdsmi-py-api.html and
ROCm/amdsmi, py-interface/amdsmi_interface.py. Memory is told in MiB, power in W, temperatures in °C; what a card does
not tell is "N/A", a key that is missing, or an AmdSmiException.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from lfdash.machine.sample import CannotRead, Device

NAME = "amd"
MIB = 1 << 20
POWERS = ("socket_power", "current_socket_power", "average_socket_power")  # by generation of card and of library
HOTTEST_TOLD = 1000  # above this it is thousandths of a degree, as the library had it before

_ready = False


def read() -> tuple[Device, ...]:
    """All GPUs that the library lists. CannotRead when it, or its driver, fails."""
    global _ready
    try:
        smi = import_module("amdsmi")
    except (ImportError, OSError, KeyError) as error:  # it loads the driver's library, from where ROCM_PATH leads
        raise CannotRead(f"amdsmi: {error}") from error
    try:
        if not _ready:
            smi.amdsmi_init()
            _ready = True
        return tuple(device(smi, handle, number) for number, handle in enumerate(smi.amdsmi_get_processor_handles()))
    except smi.AmdSmiException as error:
        _ready = False
        raise CannotRead(" ".join(str(error).split())) from error


def device(smi: Any, handle: Any, number: int) -> Device:
    """What the library tells of one GPU."""

    def asked(name: str, *arguments: Any) -> Any:
        return answer(smi, getattr(smi, name), handle, *arguments)

    memory = asked("amdsmi_get_gpu_vram_usage")
    power = asked("amdsmi_get_power_info")
    return Device(
        NAME, str(number), str(told(asked("amdsmi_get_gpu_asic_info"), "market_name") or ""),
        load=number_of(told(asked("amdsmi_get_gpu_activity"), "gfx_activity")),
        memory_used=mebibytes(told(memory, "vram_used")),
        memory_total=mebibytes(told(memory, "vram_total")) or None,
        temperature=temperature(smi, asked),
        power=next((watt for name in POWERS if (watt := number_of(told(power, name))) is not None), None),
        power_limit=number_of(told(power, "power_limit")) or None,
        uuid=str(asked("amdsmi_get_gpu_device_uuid") or ""),
        processes=pids(asked("amdsmi_get_gpu_process_list")),
    )


def answer(smi: Any, ask: Callable[..., Any], *arguments: Any) -> Any:
    """What the library answers; None when it has no answer to this question."""
    try:
        return ask(*arguments)
    except smi.AmdSmiException:
        return None


def temperature(smi: Any, asked: Callable[..., Any]) -> float | None:
    """°C of the edge, or of the hottest spot where a card has no sensor there."""
    for sensor in (smi.AmdSmiTemperatureType.EDGE, smi.AmdSmiTemperatureType.HOTSPOT):
        value = number_of(asked("amdsmi_get_temp_metric", sensor, smi.AmdSmiTemperatureMetric.CURRENT))
        if value is not None:
            return value / 1000 if value > HOTTEST_TOLD else value
    return None


def told(answered: Any, key: str) -> Any:
    """A value of an answer."""
    return answered.get(key) if isinstance(answered, Mapping) else None


def number_of(value: Any) -> float | None:
    """A number as it is told; None for "N/A", and for the highest number of 16 bits, which says the same."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value in (0xFFFF, 0xFFFFFFFF):
        return None
    return float(value)


def mebibytes(value: Any) -> int | None:
    """Bytes of a number of MiB."""
    known = number_of(value)
    return None if known is None else int(known * MIB)


def pids(listed: Any) -> tuple[int, ...] | None:
    """The processes of a GPU, ascending; None where the library does not tell."""
    if not isinstance(listed, list):
        return None
    found = (told(process, "pid") for process in listed)
    return tuple(sorted({pid for pid in found if isinstance(pid, int) and pid > 0}))
