"""NVIDIA's GPUs; the driver is stood in for."""

from __future__ import annotations

from types import SimpleNamespace

import pynvml
import pytest

from lfdash.machine import nvidia
from lfdash.machine.sample import CannotRead, Device
from tests.machine.drivers import GB, NOT_SUPPORTED, Nvml, card, no


def test_a_gpu_is_read_with_all_that_it_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Nvml(monkeypatch, [card()])
    assert nvidia.read() == (
        Device(
            "nvidia", "0", "NVIDIA H100 80GB HBM3", load=97.0, memory_used=71 * GB, memory_total=80 * GB,
            temperature=61.0, power=512.345, power_limit=700.0, uuid="GPU-5a", processes=(7, 9),
        ),
    )
    nvidia.read()
    assert driver.opened == 1  # it stays open between two looks
    nvidia.let_go()
    nvidia.let_go()
    assert driver.opened == 0


def test_what_a_driver_does_not_tell_is_unknown_and_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("UtilizationRates", "MemoryInfo", "Temperature", "PowerUsage", "EnforcedPowerLimit", "UUID")
    Nvml(monkeypatch, [card(**dict.fromkeys((*names, "ComputeRunningProcesses"), NOT_SUPPORTED))])
    assert nvidia.read() == (Device("nvidia", "0", "NVIDIA H100 80GB HBM3"),)


def test_an_older_driver_tells_its_memory_the_old_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def memory(version: int | None = None) -> SimpleNamespace:
        if version is not None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return SimpleNamespace(total=8 * GB, used=GB)

    Nvml(monkeypatch, [card(MemoryInfo=memory)])
    (found,) = nvidia.read()
    assert (found.memory_used, found.memory_total, found.memory_share) == (GB, 8 * GB, 12.5)


def test_a_divided_gpu_is_told_as_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    part = card(
        Name="NVIDIA H100 80GB HBM3 MIG 3g.40gb", UUID="MIG-1", UtilizationRates=NOT_SUPPORTED,
        MemoryInfo=SimpleNamespace(total=40 * GB, used=GB), Temperature=NOT_SUPPORTED,
        PowerUsage=NOT_SUPPORTED, ComputeRunningProcesses=[SimpleNamespace(pid=11)],
    )
    whole = card(MigMode=(1, 1), parts=[part, None, part], UtilizationRates=NOT_SUPPORTED)
    Nvml(monkeypatch, [card(), whole])
    found = nvidia.read()
    assert [one.label for one in found] == ["GPU 0", "GPU 1:0", "GPU 1:2"]
    assert found[1] == Device(
        "nvidia", "1:0", "NVIDIA H100 80GB HBM3 MIG 3g.40gb", memory_used=GB, memory_total=40 * GB, temperature=61.0,
        uuid="MIG-1", processes=(11,),
    )


def test_a_gpu_that_fell_off_the_bus_is_told_and_the_others_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Nvml(monkeypatch, [no(pynvml.NVML_ERROR_GPU_IS_LOST), card()])
    lost, well = nvidia.read()
    assert lost.problem and lost.load is None and well.load == 97
    assert driver.opened == 0  # asked anew next time
    driver.cards = [card(), card()]
    assert [one.problem for one in nvidia.read()] == ["", ""]


def test_one_that_is_lost_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    Nvml(monkeypatch, [card(Temperature=no(pynvml.NVML_ERROR_GPU_IS_LOST))])
    (found,) = nvidia.read()
    assert found.problem and found.memory_used is None


def test_a_card_that_a_container_does_not_have_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    Nvml(monkeypatch, [no(pynvml.NVML_ERROR_NO_PERMISSION), card()])
    assert [one.index for one in nvidia.read()] == ["1"]


def test_the_servers_own_choice_limits_them(monkeypatch: pytest.MonkeyPatch) -> None:
    Nvml(monkeypatch, [card(), card()])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [one.index for one in nvidia.read()] == ["1"]


def test_a_machine_without_a_driver_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError_LibraryNotFound

    Nvml(monkeypatch, [])
    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    assert nvidia.read() == ()


@pytest.mark.parametrize("name", ["nvmlInit", "nvmlDeviceGetCount"])
def test_a_driver_that_fails_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    driver = Nvml(monkeypatch, [card()])
    with monkeypatch.context() as broken:
        broken.setattr(pynvml, name, no(pynvml.NVML_ERROR_DRIVER_NOT_LOADED))
        with pytest.raises(CannotRead, match="Driver"):
            nvidia.read()
    assert len(nvidia.read()) == 1 and driver.opened == 1
