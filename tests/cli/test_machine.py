"""`lfdash machine`: what the machine does now."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfdash.machine import nvidia
from lfdash.machine.sample import Device
from tests.support.terminal import lfdash

GB = 1 << 30


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Device("nvidia", "0", "H100", load=97.0, memory_used=71 * GB, memory_total=80 * GB, processes=())
    monkeypatch.setattr(nvidia, "read", lambda: (told,))


def test_for_a_person(workspace: Path, gpu: None) -> None:
    said = lfdash("machine")
    first, cpu, memory, disk = said.out.splitlines()
    assert said.code == 0
    assert first == "GPU 0: H100, load 97 %, memory 71/80 GiB, temperature unknown, power unknown"
    assert cpu.startswith("CPU: ") and memory.startswith("Main memory: ") and disk.startswith("Disk of the workspace: ")


def test_for_a_program(workspace: Path, gpu: None) -> None:
    said = lfdash("machine", "--json").json
    assert said["devices"] == [{
        "device": "nvidia:0", "name": "H100", "load": 97.0, "memory_used": 71 * GB, "memory_total": 80 * GB,
        "temperature": None, "power": None, "power_limit": None, "runs": [], "processes": [], "problem": None,
    }]
    assert said["memory_total"] > said["memory_used"] > 0 and said["disk_free"] is not None and said["problems"] == {}


def test_it_needs_no_gpu_and_writes_nothing(seen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "read", tuple)
    before = sorted(seen.rglob("*"))
    assert lfdash("machine").out.startswith("No GPU was found on this machine.")
    assert sorted(seen.rglob("*")) == before
