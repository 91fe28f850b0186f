"""What this machine has: GPUs (through the driver's NVML, without torch) and processors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pynvml

OTHER_NODES = ("/dev/kfd", "/dev/davinci_manager")  # AMD's ROCm, Huawei's Ascend
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
    """The GPUs that runs can see, and why none can be asked for when NVML is there but fails."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError_LibraryNotFound:
        return (), None  # no NVIDIA driver: an ordinary machine
    except pynvml.NVMLError as error:
        return (), str(error)
    try:
        found = tuple(read_gpu(index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        return (), str(error)
    finally:
        pynvml.nvmlShutdown()
    return tuple(gpu for gpu in found if visible(gpu.index)), None


def read_gpu(index: int) -> Gpu:
    """Asks NVML about one GPU. NVMLError when it is gone."""
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    name = pynvml.nvmlDeviceGetName(handle)
    capability = tuple(pynvml.nvmlDeviceGetCudaComputeCapability(handle))
    text = name.decode() if isinstance(name, bytes) else str(name)
    pids = tuple(sorted(int(process.pid) for process in computing(handle)))
    return Gpu(index, text, capability >= BF16_SINCE, pids)


def computing(handle: object) -> list[Any]:
    """The processes that compute on a GPU; none where the driver does not tell (some virtual ones do not)."""
    try:
        return list(pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
    except pynvml.NVMLError_NotSupported:
        return []


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


def visible(index: int) -> bool:
    """Whether the server's own CUDA_VISIBLE_DEVICES lets a GPU through; names (UUIDs) are not judged."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return True
    words = [word.strip() for word in listed.split(",") if word.strip()]
    return str(index) in words or any(not word.lstrip("-").isdigit() for word in words)
