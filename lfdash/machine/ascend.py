"""Huawei's Ascend NPUs, through the table that `npu-smi info` prints; it comes with the driver.

Tables of its versions 24 to 26, with Phy-ID (two chips a card, of which the second tells no power):
https://github.com/vllm-project/vllm-ascend/issues/2534 and /12980; with one chip a card, and with the column "Process
id in container": vllm-project/vllm-ascend, docs/source/faqs.md. A 310P has no HBM; its memory stands in the column
before.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field

from lfdash.machine.sample import CannotRead, Device

NAME = "ascend"
TOOL = "npu-smi"
TIMEOUT_S = 10.0  # it asks each card in turn, and takes a second for eight of them
MIB = 1 << 20
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
HEADS = ("power(w)", "aicore(%)", "npu util(%)")  # of a chip's two lines
USAGE = re.compile(r"(\d+)\s*/\s*(\d+)")  # used / total


@dataclass
class Chip:
    """A chip while the table is read. card, chip: as the list of processes names it. logical: its number on a
    machine, as ASCEND_RT_VISIBLE_DEVICES counts."""

    card: str
    name: str
    power: float | None
    temperature: float | None
    chip: str = "0"
    logical: str = ""
    load: float | None = None
    memory: tuple[int, int] | None = None
    processes: list[int] = field(default_factory=list)


def read() -> tuple[Device, ...]:
    """All NPUs that the tool lists. CannotRead when it fails, or takes too long."""
    return tuple(devices(ask()))


def ask() -> str:
    """What the tool prints."""
    tool = shutil.which(TOOL)
    if tool is None:
        raise CannotRead(f"{TOOL} is not there")
    try:
        done = subprocess.run(
            [tool, "info"], stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CannotRead(f"{TOOL} does not answer") from error
    printed = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0 or "NPU" not in printed:
        said = (done.stderr.decode("utf-8", "replace") or printed).strip().splitlines()
        raise CannotRead(f"{TOOL}: {said[-1][:200] if said else done.returncode}")
    return printed


def devices(printed: str) -> Iterator[Device]:
    """The NPUs of a table."""
    chips, tells_processes = table(printed)
    for number, chip in enumerate(chips):
        yield Device(
            NAME, chip.logical or str(number), chip.name,
            load=chip.load,
            memory_used=None if chip.memory is None else chip.memory[0] * MIB,
            memory_total=None if chip.memory is None else chip.memory[1] * MIB,
            temperature=chip.temperature,
            power=chip.power,
            processes=tuple(sorted(chip.processes)) if tells_processes else None,
        )


def table(printed: str) -> tuple[list[Chip], bool]:
    """The chips of a table, and whether it tells the processes too: a chip is two lines, each process a line below the
    head of that list."""
    chips: list[Chip] = []
    processes: list[str] | None = None
    half: Chip | None = None  # one whose second line is to come
    for cells in lines(printed):
        head = [cell.lower() for cell in cells]
        if "process id" in head:
            processes = head
        elif any(mark in cell for mark in HEADS for cell in head):
            continue
        elif processes is not None:
            add_process(chips, cells, processes)
        elif half is None:
            half = first_line(cells)
        else:
            second_line(half, cells)
            chips.append(half)
            half = None
    return chips, processes is not None


def lines(printed: str) -> Iterator[list[str]]:
    """The cells of each line of the table."""
    for line in printed.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.strip().startswith("|") and len(cells) > 1:
            yield cells


def first_line(cells: list[str]) -> Chip | None:
    """A chip's first line: | card, name | health | power, temperature, ... |; None for any other line."""
    words = " ".join(cells[:-2] or cells[:1]).split()
    if not words or not words[0].isdigit():
        return None
    power, temperature = [*map(known, cells[-1].split()), None, None][:2]
    return Chip(words[0], " ".join(words[1:]), power, temperature)


def second_line(chip: Chip, cells: list[str]) -> None:
    """Its second line: | chip, number | bus | load, memory, memory of its own (HBM) where it has some |."""
    numbers = cells[0].split()
    chip.chip = numbers[0] if numbers else "0"
    chip.logical = numbers[1] if len(numbers) > 1 else ""
    chip.load = known(cells[-1].split()[0]) if cells[-1] else None
    usages = [(int(used), int(total)) for used, total in USAGE.findall(cells[-1])]
    chip.memory = next((usage for usage in reversed(usages) if usage[1] > 0), None)


def add_process(chips: list[Chip], cells: list[str], head: list[str]) -> None:
    """A process of a chip; in a container its number there, where the table has it."""
    place = cells[0].split()
    named = dict(zip(head, cells, strict=False))
    told = (named.get("process id in container", ""), named.get("process id", ""))
    pid = next((int(word) for word in told if word.isdigit()), None)
    if pid is None or not place or not place[0].isdigit():
        return
    for chip in chips:
        if chip.card == place[0] and (len(place) == 1 or chip.chip == place[1]):
            chip.processes.append(pid)
            return


def known(word: str) -> float | None:
    """A number of the table; None for "-", "NA" and the like."""
    return float(word) if NUMBER.fullmatch(word) else None
