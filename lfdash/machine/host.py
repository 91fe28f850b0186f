"""Processors, main memory and the disk: those of the machine, or what a container may have of them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
# (limit, usage, statistics, what of the usage is only cache) of the second and of the first version of cgroups
MEMORY_FILES = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


class Host:
    """Asks about processors and memory. cgroups: where the limits of this container are told."""

    def __init__(self, cgroups: Path = CGROUPS) -> None:
        self._cgroups = cgroups
        self._before: tuple[float, float] | None = None

    def cpu(self) -> float | None:
        """Percent of the processors that was used since the last call; None at the first."""
        now = self._quota_use() or machine_use()
        before = self._before
        if before is None or now[1] <= before[1]:  # asked twice within a tick of the kernel's clock
            self._before = before or now
            return None
        self._before = now
        return min(100.0, max(0.0, 100.0 * (now[0] - before[0]) / (now[1] - before[1])))

    def _quota_use(self) -> tuple[float, float] | None:
        """(seconds that were used, seconds that there were) under a quota; None without one."""
        quota, _, period = read(self._cgroups / "cpu.max").partition(" ")
        used = numbers(read(self._cgroups / "cpu.stat")).get("usage_usec")
        if not quota.isdigit() or not period.strip().isdigit() or used is None:
            return None
        return used / 1e6, time.monotonic() * int(quota) / int(period)

    def memory(self) -> tuple[int, int]:
        """(used, total) bytes of main memory; what can be had at once counts as free."""
        machine = psutil.virtual_memory()
        for limit, usage, statistics, cache in MEMORY_FILES:
            most, used = read(self._cgroups / limit).strip(), read(self._cgroups / usage).strip()
            if most.isdigit() and used.isdigit() and int(most) < machine.total:
                reclaimable = numbers(read(self._cgroups / statistics)).get(cache, 0)
                return max(0, int(used) - reclaimable), int(most)
        return machine.total - machine.available, machine.total


def machine_use() -> tuple[float, float]:
    """(seconds that the machine's processors were busy, seconds that there were)."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    counted_twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # they are in user and nice, too
    total = sum(times) - counted_twice
    return total - idle, total


def disk(folder: Path) -> tuple[int, int]:
    """(free, total) bytes of the disk of a folder, as its user has it. OSError when it cannot be asked."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize, (found.f_blocks - found.f_bfree + found.f_bavail) * found.f_frsize


def read(path: Path) -> str:
    """The text of a small file of the kernel; "" when there is none."""
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def numbers(text: str) -> Mapping[str, int]:
    """Lines `name number`."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
