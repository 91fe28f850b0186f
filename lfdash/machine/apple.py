"""The GPU of an Apple computer, through `ioreg`, which needs no rights. It shares the processor's memory.

`ioreg -r -d 1 -c IOAccelerator` prints an entry a GPU, with `"model"` and, in a line, `"PerformanceStatistics"`; that
is no documented interface, but the one that monitors of macOS read.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import psutil

from lfdash.machine.sample import CannotRead, Device

NAME = "apple"
COMMAND = ("/usr/sbin/ioreg", "-r", "-d", "1", "-w", "0", "-c", "IOAccelerator")
TIMEOUT_S = 5.0
ENTRY = re.compile(r"^\+-o ", re.MULTILINE)
MODEL = re.compile(r'"model"\s*=\s*<?"([^"]*)"')


def read() -> tuple[Device, ...]:
    """The GPUs that the system lists. CannotRead when it does not answer."""
    try:
        done = subprocess.run(
            COMMAND, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=True, encoding="utf-8",
            errors="replace",
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise CannotRead(f"ioreg: {error}") from error
    return tuple(devices(done.stdout, psutil.virtual_memory().total))


def devices(printed: str, memory: int) -> Iterator[Device]:
    """The GPUs of a text. memory: bytes that the machine has."""
    entries = (entry for entry in ENTRY.split(printed) if "PerformanceStatistics" in entry)
    for number, entry in enumerate(entries):
        model = MODEL.search(entry)
        load, used = value(entry, "Device Utilization %"), value(entry, "In use system memory")
        yield Device(
            NAME, str(number), model[1] if model else "", load=load,
            memory_used=None if used is None else int(used), memory_total=None if used is None else memory,
        )


def value(entry: str, name: str) -> float | None:
    """A number of an entry's statistics."""
    found = re.search(rf'"{re.escape(name)}"\s*=\s*(\d+)', entry)
    return float(found[1]) if found else None
