"""What this machine has: GPUs (through the driver's NVML, without torch) and processors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil
import pynvml

from lfdash.machine import nvidia
from lfdash.machine.patience import Patience
from lfdash.machine.sample import CannotRead

OTHER_NODES = ("/dev/kfd", "/dev/davinci_manager")  # AMD's ROCm, Huawei's Ascend
DRIVER_S = 5.0  # how long it may take to answer
BF16_SINCE = (8, 0)  # compute capability with bfloat16 arithmetic (Ampere)


@dataclass(frozen=True)
class Gpu:
    """One GPU. index: as CUDA_VISIBLE_DEVICES counts it in PCI order. processes: pids of those that compute on it,
    whoever started them (a screen's are not among them)."""

    index: int
    name: str
    bf16: bool
    processes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Devices:
    """All of them. problem: why no GPU could be asked for, when a driver is there."""

    gpus: tuple[Gpu, ...]
    cpu_count: int
    problem: str | None = None
    others: bool = False  # an accelerator that NVML does not know (AMD, Ascend) seems to be there

    @property
    def gpu_count(self) -> int | None:
        """How many GPUs a run can use; None when there may be some that cannot be counted."""
        return None if self.others and not self.gpus else len(self.gpus)

    @property
    def bf16(self) -> bool:
        """Whether bf16 works on every GPU; False without one."""
        return bool(self.gpus) and all(gpu.bf16 for gpu in self.gpus)


def probe() -> Devices:
    """Looks at the machine. Takes milliseconds."""
    gpus, problem = read_gpus()
    others = any(Path(node).exists() for node in OTHER_NODES)
    return Devices(gpus, cpus(), problem, others)


def cpus() -> int:
    """Processors that this process may use: fewer than there are in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_gpus() -> tuple[tuple[Gpu, ...], str | None]:
    """The GPUs that runs can see, and why none can be asked for when NVML is there but fails. One that hangs keeps
    nobody waiting for more than some seconds: then those that it told last are there, as far as anybody knows."""
    try:
        found = DRIVER.answer()
    except CannotRead as error:
        return _last_told, str(error)
    return found


def ask_driver() -> tuple[tuple[Gpu, ...], str | None]:
    """As `read_gpus`, however long it takes."""
    global _last_told
    found = told_by_driver()
    _last_told = found[0]
    return found


def told_by_driver() -> tuple[tuple[Gpu, ...], str | None]:
    """What NVML tells now."""
    try:
        with nvidia.connection():
            return tuple(read_gpu(index) for index in nvidia.visible_indices()), None
    except pynvml.NVMLError_LibraryNotFound:
        return (), None  # no NVIDIA driver: an ordinary machine
    except pynvml.NVMLError as error:
        return (), str(error)


def read_gpu(index: int) -> Gpu:
    """Asks NVML about one GPU. NVMLError when it is gone."""
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    capability = tuple(pynvml.nvmlDeviceGetCudaComputeCapability(handle))
    return Gpu(index, nvidia.name_of(handle), capability >= BF16_SINCE, nvidia.processes_of(handle) or ())


def process_name(pid: int) -> str:
    """`python3 (pid 7, alice)`, as far as a process can be seen from here: without its user, or its pid alone."""
    try:
        process = psutil.Process(pid)
        name = process.name()
    except psutil.Error:
        return f"pid {pid}"
    try:
        return f"{name} (pid {pid}, {process.username()})"
    except (psutil.Error, KeyError):
        return f"{name} (pid {pid})"


_last_told: tuple[Gpu, ...] = ()
DRIVER = Patience("nvml", ask_driver, DRIVER_S)  # one for the process: of a driver that hangs one thread hangs
