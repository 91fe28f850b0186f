"""NVIDIA's GPUs, through the driver's NVML (nvidia-ml-py), without torch. Who else asks NVML does it by way of
this module.

A GPU that is divided (MIG) is told as its parts: each has memory of its own, none a load or a power; they share the
card's temperature.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pynvml

from lfdash.machine.sample import CannotRead, Device

NAME = "nvidia"
# After one of these the driver, or the card, has to be asked anew.
LOST = (
    pynvml.NVML_ERROR_UNINITIALIZED, pynvml.NVML_ERROR_DRIVER_NOT_LOADED, pynvml.NVML_ERROR_GPU_IS_LOST,
    pynvml.NVML_ERROR_RESET_REQUIRED, pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
)
HIDDEN = (pynvml.NVML_ERROR_NO_PERMISSION, pynvml.NVML_ERROR_NOT_FOUND)  # a card that a container does not have

_held = threading.Lock()
_open = False


@contextmanager
def connection() -> Iterator[None]:
    """NVML, open within the `with`; closed again unless `keep_open` was called. NVMLError when that is not possible."""
    pynvml.nvmlInit()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


def keep_open() -> None:
    """Opens NVML until `let_go`: without a persistence daemon a card is woken each time it is opened. NVMLError."""
    global _open
    with _held:
        if not _open:
            pynvml.nvmlInit()
            _open = True


def let_go() -> None:
    """The opposite of `keep_open`."""
    global _open
    with _held:
        if _open:
            _open = False
            with suppress(pynvml.NVMLError):
                pynvml.nvmlShutdown()


def read() -> tuple[Device, ...]:
    """All GPUs that runs of this server can see; none without a driver. CannotRead when the driver fails."""
    try:
        keep_open()
    except pynvml.NVMLError_LibraryNotFound:
        return ()
    except pynvml.NVMLError as error:
        raise CannotRead(str(error)) from error
    try:
        return tuple(device for index in visible_indices() for device in read_gpu(index))
    except pynvml.NVMLError as error:
        let_go()
        raise CannotRead(str(error)) from error


def visible_indices() -> list[int]:
    """The GPUs that CUDA_VISIBLE_DEVICES of this server lets through."""
    return [index for index in range(pynvml.nvmlDeviceGetCount()) if visible(index)]


def visible(index: int) -> bool:
    """Whether the server's own CUDA_VISIBLE_DEVICES lets a GPU through; names (UUIDs) are not judged."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return True
    words = [word.strip() for word in listed.split(",") if word.strip()]
    return str(index) in words or any(not word.lstrip("-").isdigit() for word in words)


def read_gpu(index: int) -> list[Device]:
    """One GPU, or its parts; one that fell off the bus is told with its problem."""
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        parts = list(parts_of(handle))
        if not parts:
            return [device(handle, str(index))]
        return [device(part, f"{index}:{number}", card=handle) for number, part in parts]
    except pynvml.NVMLError as error:
        if error.value in HIDDEN:
            return []
        if error.value in LOST:
            let_go()
        return [Device(NAME, str(index), problem=str(error))]


def parts_of(handle: Any) -> Iterator[tuple[int, Any]]:
    """The parts of a divided GPU with their numbers; none of a whole one."""
    mode = asked(pynvml.nvmlDeviceGetMigMode, handle)
    if not mode or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
        return
    for number in range(asked(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0):
        part = asked(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, number)
        if part is not None:
            yield number, part


def device(handle: Any, index: str, card: Any = None) -> Device:
    """What the driver tells of a GPU or, with its `card`, of a part."""
    rates = asked(pynvml.nvmlDeviceGetUtilizationRates, handle)
    memory = memory_of(handle)
    whole = handle if card is None else card
    power = asked(pynvml.nvmlDeviceGetPowerUsage, handle) if card is None else None
    limit = asked(pynvml.nvmlDeviceGetEnforcedPowerLimit, handle) if card is None else None
    temperature = asked(pynvml.nvmlDeviceGetTemperature, whole, pynvml.NVML_TEMPERATURE_GPU)
    return Device(
        NAME, index, name_of(handle),
        load=None if rates is None else float(rates.gpu),
        memory_used=None if memory is None else int(memory.used),
        memory_total=None if memory is None or not memory.total else int(memory.total),
        temperature=None if temperature is None else float(temperature),
        power=None if power is None else power / 1000,
        power_limit=None if limit is None else limit / 1000,
        uuid=text(asked(pynvml.nvmlDeviceGetUUID, handle) or ""),
        processes=asked(processes_of, handle),
    )


def name_of(handle: Any) -> str:
    """The name of a GPU; "" where the driver does not tell."""
    return text(asked(pynvml.nvmlDeviceGetName, handle) or "")


def memory_of(handle: Any) -> Any:
    """Memory of a GPU (total, used): as nvidia-smi tells it, without what the driver keeps for itself, where the
    driver can do that. None where it cannot tell (a GPU that shares the processor's memory)."""
    newer = asked(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2)
    return asked(pynvml.nvmlDeviceGetMemoryInfo, handle) if newer is None else newer


def processes_of(handle: Any) -> tuple[int, ...] | None:
    """The pids of those that compute on a GPU, ascending; a screen's are not among them. None where the driver does not
    tell (some virtual ones do not), NVMLError when it fails."""
    try:
        return tuple(sorted({int(process.pid) for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)}))
    except pynvml.NVMLError_NotSupported:
        return None


def asked(ask: Callable[..., Any], *arguments: Any) -> Any:
    """What the driver answers; None when it has no answer to this question. NVMLError when it, or the card, is lost."""
    try:
        return ask(*arguments)
    except pynvml.NVMLError as error:
        if error.value in LOST:
            raise
        return None


def text(value: bytes | str) -> str:
    """A name as text; older drivers' bindings give bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
