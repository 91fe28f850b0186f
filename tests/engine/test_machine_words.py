"""What the machine does, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lfdash.engine.machine_words import Cell, cells_in, size_words
from lfdash.locales import available
from lfdash.machine.sample import Device, Sample

GB = 1 << 30
GPU = Device(
    "nvidia", "0", "NVIDIA H100", load=97.4, memory_used=71 * GB, memory_total=80 * GB, temperature=61.0, power=512.3,
    power_limit=700.0, runs=("id-1",), seen=1000.0,
)
HOST = Sample(
    1000.0, (GPU,), cpu=41.2, memory_used=int(7.5 * GB), memory_total=24 * GB, disk_free=1_240_000_000_000,
    disk_total=2_000_000_000_000,
)


def cells(sample: Sample, now: float = 1002.0, code: str = "en") -> list[Cell]:
    return cells_in(code, sample, now, {"id-1": "demo-1126"}.get)  # type: ignore[arg-type]


def test_a_gpu_that_a_run_uses() -> None:
    gpu, cpu, ram, disk = cells(HOST)
    assert gpu == Cell(
        "GPU 0", "97 %", "71/80 GiB · 61 °C", (97.4, pytest.approx(88.75)),
        "GPU 0: NVIDIA H100, load 97 %, memory 71/80 GiB, 61 °C, 512 of 700 W, used by demo-1126", "run",
    )
    assert (cpu.value, ram.value, ram.more, disk.value) == ("41 %", "31 %", "8/24 GiB", "1.24 TB free")
    assert disk.told == "Disk of the workspace: 1.24 TB of 2 TB free." and disk.bars == (pytest.approx(38.0),)


@pytest.mark.parametrize("code", available())
def test_what_is_kept_warm_is_told_of_the_memory(code: str) -> None:
    with_it = cells_in(code, HOST, 1002.0, str, int(0.7 * GB))[2]
    without = cells_in(code, HOST, 1002.0, str)[2]
    assert "0.7" in with_it.told and "LLaMA-Factory" in with_it.told and with_it.told.startswith(without.told)
    assert replace(with_it, told="") == replace(without, told="") and "LLaMA-Factory" not in without.told


def test_what_is_not_known_is_said_to_be_unknown_and_is_no_zero() -> None:
    (gpu, *_) = cells(replace(HOST, devices=(Device("nvidia", "0", seen=1000.0),)))
    assert (gpu.value, gpu.more, gpu.bars, gpu.look) == ("–", "", (None, None), "")
    assert gpu.told == "GPU 0: load –, memory unknown, temperature unknown, power unknown"
    nothing = cells(Sample())
    assert [cell.value for cell in nothing] == ["–", "–", "unknown"]
    assert not any("0" in cell.told for cell in nothing)


def test_a_machine_without_a_gpu_says_so_once() -> None:
    first, *others = cells(replace(HOST, devices=()))
    assert (first.name, first.value, first.bars, len(others)) == ("No GPU", "", (), 3)


def test_a_driver_that_fails_is_not_taken_for_no_gpu() -> None:
    (first, *_) = cells(replace(HOST, devices=(), problems={"nvidia": "Driver Not Loaded"}))
    assert (first.value, first.told, first.look) == ("unknown", "cannot be read: Driver Not Loaded", "old")
    (first, *_) = cells(replace(HOST, devices=(), problems={"ascend": "does not answer"}))
    assert (first.name, first.told) == ("NPU", "no response")


def test_old_figures_say_how_old_they_are() -> None:
    hangs = replace(HOST, time=1060.0, problems={"nvidia": "does not answer"})
    (gpu, *_) = cells(hangs, 1061.0)
    assert gpu.look == "old" and gpu.told.endswith("no response, 61 s ago")
    assert cells(HOST, 1090.0)[-1] == Cell("", "90 s ago", look="old")
    assert cells(HOST, 1015.0)[-1].name == "Disk"


def test_a_disk_that_fills_is_told_and_marked_when_it_is_soon_full() -> None:
    disk = cells(replace(HOST, hours_until_full=5.0))[-1]
    assert (disk.value, disk.look) == ("1.24 TB free · full in 5 h", "stop")
    assert disk.told.endswith("At the current pace it will be full in 5 h.")
    later = cells(replace(HOST, hours_until_full=60.0))[-1]
    assert (later.value, later.look) == ("1.24 TB free", "") and "2 d 12 h" in later.told


def test_a_disk_that_cannot_be_asked_says_why() -> None:
    disk = cells(replace(HOST, disk_free=None, problems={"disk": "does not answer"}))[-1]
    assert (disk.value, disk.told) == ("unknown", "Disk of the workspace: no response")


@pytest.mark.parametrize("code", available())
def test_every_language_has_its_words(code: str) -> None:
    told = " ".join(cell.told for cell in cells(replace(HOST, hours_until_full=5.0), code=code))
    assert "demo-1126" in told and "{" not in told


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 MB"), (999_000_000, "999 MB"), (60_740_000_000, "60.7 GB"), (999_700_000_000, "1000 GB"),
        (10**15, "1000 TB"),
    ],
)
def test_room_on_a_disk(size: int, words: str) -> None:
    assert size_words("en", size) == words
