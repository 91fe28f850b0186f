"""Processors, memory and disk; the limits of a container are stood in for."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from lfdash.machine import host
from lfdash.machine.host import Host, disk

MB = 1 << 20


def files(root: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_the_machine_itself(tmp_path: Path) -> None:
    here = Host(tmp_path)
    assert here.cpu() is None  # nothing to compare with yet
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        pass
    busy = here.cpu()
    assert busy is not None and 0 < busy <= 100
    used, total = here.memory()
    assert 0 < used < total == psutil.virtual_memory().total


def test_a_container_has_its_own_memory(tmp_path: Path) -> None:
    root = files(
        tmp_path, memory_dot_max=f"{64 * MB}\n", memory_dot_current=f"{40 * MB}\n",
        memory_dot_stat=f"anon 1\nfile 3\ninactive_file {10 * MB}\n",
    )
    assert Host(root).memory() == (30 * MB, 64 * MB)


def test_one_of_the_older_kind_too(tmp_path: Path) -> None:
    root = files(
        tmp_path, memory__memory_dot_limit_in_bytes=str(64 * MB), memory__memory_dot_usage_in_bytes=str(40 * MB),
        memory__memory_dot_stat=f"total_inactive_file {8 * MB}\n",
    )
    assert Host(root).memory() == (32 * MB, 64 * MB)


def test_without_a_limit_the_machines_memory_counts(tmp_path: Path) -> None:
    root = files(tmp_path, memory_dot_max="max\n", memory_dot_current="1\n")
    assert Host(root).memory()[1] == psutil.virtual_memory().total


def test_processors_under_a_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = files(tmp_path, cpu_dot_max="400000 100000\n", cpu_dot_stat="usage_usec 1000000\nuser_usec 1\n")
    clock = iter((100.0, 101.0))
    monkeypatch.setattr(host.time, "monotonic", lambda: next(clock))
    here = Host(root)
    assert here.cpu() is None
    files(root, cpu_dot_stat="usage_usec 3000000\n")
    assert here.cpu() == pytest.approx(50.0)  # 2 of 4 seconds


def test_a_disk_tells_what_a_user_has_of_it(tmp_path: Path) -> None:
    free, total = disk(tmp_path)
    assert 0 <= free <= total
    with pytest.raises(FileNotFoundError):
        disk(tmp_path / "away")
