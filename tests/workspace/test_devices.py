"""What the machine has; the driver is stood in for, since most machines have none."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest

from lfdash.workspace import devices
from lfdash.workspace.devices import Gpu, probe

CARDS = [("A", (9, 0)), ("B", (8, 0)), (b"C", (7, 5))]


def running(index: int) -> list[SimpleNamespace]:
    """The first computes nothing, the second two processes, the third does not tell."""
    if index == 2:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    return [SimpleNamespace(pid=9), SimpleNamespace(pid=7)] if index else []


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver with three GPUs."""
    stands = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: len(CARDS),
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda index: CARDS[index][0],
        "nvmlDeviceGetCudaComputeCapability": lambda index: CARDS[index][1],
        "nvmlDeviceGetComputeRunningProcesses": running,
    }
    for name, stand in stands.items():
        monkeypatch.setattr(pynvml, name, stand)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_gpus_are_listed_with_what_they_can(driver: None) -> None:
    found = probe()
    assert found.gpus == (
        Gpu(0, "A", True), Gpu(1, "B", True, (7, 9)), Gpu(2, "C", False),
    )
    assert not found.bf16 and found.problem is None


@pytest.mark.parametrize(
    ("listed", "indices"), [("0,1", [0, 1]), ("1", [1]), ("", []), ("-1", []), ("GPU-5a", [0, 1, 2])]
)
def test_the_servers_own_choice_limits_them(
    driver: None, monkeypatch: pytest.MonkeyPatch, listed: str, indices: list[int]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    found = probe()
    assert [gpu.index for gpu in found.gpus] == indices
    assert found.bf16 == (indices in ([0, 1], [1]))


def test_without_a_driver_there_is_no_gpu_and_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    found = probe()
    assert (found.gpus, found.problem, found.bf16) == ((), None, False)


def test_a_driver_that_fails_is_told_and_closed(driver: None, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    def broken() -> int:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", broken)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: closed.append(1))
    found = probe()
    assert found.gpus == () and found.problem and closed == [1]


def test_a_driver_that_hangs_keeps_nobody_waiting_and_its_gpus_stay(
    driver: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = probe()
    answers = threading.Event()
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: answers.wait(20) and len(CARDS))
    monkeypatch.setattr(devices.DRIVER, "_seconds", 0.05)
    for _ in range(2):
        found = probe()
        assert found.gpus == before.gpus and found.problem == "does not answer"
    answers.set()
    thread = devices.DRIVER._thread
    assert thread is not None
    thread.join(20)
    assert probe() == before


def test_the_processors_that_may_be_used_are_counted() -> None:
    assert devices.cpus() == probe().cpu_count >= 1


def test_accelerators_that_cannot_be_counted_are_not_called_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tmp_path / "kfd"
    monkeypatch.setattr(devices, "OTHER_NODES", (str(node),))
    monkeypatch.setattr(devices, "read_gpus", lambda: ((), None))
    assert devices.probe().gpu_count == 0
    node.touch()
    assert devices.probe().gpu_count is None
