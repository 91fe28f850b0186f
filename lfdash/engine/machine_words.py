"""What the machine does, in the words of any language: short for a line, and in full for who asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lfdash.engine.words import span_in
from lfdash.locales import in_language, list_in, pair_in
from lfdash.machine.patience import HANGS
from lfdash.machine.sample import STALE_S, Device, Sample

GIB = 1 << 30  # of memory, as nvidia-smi (MiB) and PyTorch (GiB) count
SOON_H = 24.0  # a disk that is full within that time is told in the line
HIGH = 95.0  # percent of main memory from which on it is marked
UNKNOWN = "–"

NameOf = Callable[[str], str]  # the name of a run, by its id


@dataclass(frozen=True)
class Cell:
    """One thing of the line. name: what it is. value: the figure that matters. more: others, where there is room. bars:
    percent, None where it is not known. told: all of it in a sentence. look: "run" (a run of ours uses it), "stop"
    (soon full), "old" (not what is there now), "" otherwise."""

    name: str
    value: str
    more: str = ""
    bars: tuple[float | None, ...] = ()
    told: str = ""
    look: str = ""


def cells_in(code: str, sample: Sample, now: float, name_of: NameOf, warm: int | None = None) -> list[Cell]:
    """The line of a sample. code: of the language. now: epoch seconds. name_of: tells a run's name by its id.
    warm: bytes of main memory that LLaMA-Factory kept warm takes; None when it is not."""
    age = sample.age(now) if sample.time else None
    cells = [device_cell(code, device, now, sample, name_of) for device in sample.devices]
    if not sample.devices and sample.time:
        cells = [unread_cell(code, vendor, why) for vendor, why in sample.problems.items() if vendor != "disk"]
        told = in_language(code, "machine.none_told")
        cells = cells or [Cell(in_language(code, "machine.none"), "", told=told)]
    cells += [cpu_cell(code, sample), memory_cell(code, sample, warm), disk_cell(code, sample)]
    if age is not None:
        cells.append(Cell("", in_language(code, "machine.old", span=span_in(code, age)), look="old"))
    return cells


def device_cell(code: str, device: Device, now: float, sample: Sample, name_of: NameOf) -> Cell:
    """A device."""
    used = memory_words(code, device.memory_used, device.memory_total)
    temperature = figure(code, "celsius", device.temperature)
    why = device.problem or sample.problems.get(device.vendor, "")
    old = now - device.seen > STALE_S
    parts = [
        device.name,
        in_language(code, "machine.load", n=percent(device.load)),
        in_language(code, "machine.memory", size=used or in_language(code, "machine.unknown")),
        temperature or in_language(code, "machine.degrees_unknown"),
        power_words(code, device),
        in_language(code, "machine.used_by", runs=list_in(code, map(name_of, device.runs))) if device.runs else "",
        unread(code, why) if why else "",
        in_language(code, "machine.old", span=span_in(code, now - device.seen)) if old else "",
    ]
    look = "old" if old or device.problem else "run" if device.runs else ""
    told = list_in(code, (part for part in parts if part))
    more = " · ".join(part for part in (used, temperature) if part)
    bars = (device.load, device.memory_share)
    return Cell(device.label, percent(device.load), more, bars, pair_in(code, device.label, told), look)


def figure(code: str, key: str, value: float | None) -> str:
    """A figure with its unit; "" where it is not known."""
    return "" if value is None else in_language(code, f"units.{key}", n=f"{value:.0f}")


def unread(code: str, why: str) -> str:
    """Why something cannot be read: in the driver's words, but where it says nothing."""
    return in_language(code, "machine.hangs") if why == HANGS else in_language(code, "machine.unread", why=why)


def power_words(code: str, device: Device) -> str:
    """The power of a device, and what it may have."""
    if device.power is None or device.power_limit is None:
        return figure(code, "watt", device.power) or in_language(code, "machine.power_unknown")
    return in_language(code, "machine.power_of", n=f"{device.power:.0f}", limit=f"{device.power_limit:.0f}")


def unread_cell(code: str, vendor: str, why: str) -> Cell:
    """A vendor's devices that could not be read."""
    told = unread(code, why)
    return Cell("NPU" if vendor == "ascend" else "GPU", in_language(code, "machine.unknown"), told=told, look="old")


def cpu_cell(code: str, sample: Sample) -> Cell:
    """The processors."""
    value = percent(sample.cpu)
    told = in_language(code, "machine.cpu_told", n=value)
    return Cell(in_language(code, "machine.cpu"), value, "", (sample.cpu,), told)


def memory_cell(code: str, sample: Sample, warm: int | None = None) -> Cell:
    """Main memory, and how much of it LLaMA-Factory kept warm takes."""
    share, size = sample.memory_share, memory_words(code, sample.memory_used, sample.memory_total)
    told = in_language(code, "machine.ram_told", size=size or in_language(code, "machine.unknown"))
    if warm is not None:
        size_warm = in_language(code, "units.gib", n=f"{warm / GIB:.1f}")
        told = list_in(code, (told, in_language(code, "machine.warm_told", size=size_warm)))
    name = in_language(code, "machine.ram")
    return Cell(name, percent(share), size, (share,), told, "stop" if share is not None and share >= HIGH else "")


def disk_cell(code: str, sample: Sample) -> Cell:
    """The disk of the workspace, and when it is full."""
    name = in_language(code, "machine.disk")
    if sample.disk_free is None:
        unknown = in_language(code, "machine.unknown")
        why = sample.problems.get("disk", "")
        told = unread(code, why) if why else unknown
        return Cell(name, unknown, "", (None,), pair_in(code, in_language(code, "machine.disk_of"), told))
    free = in_language(code, "machine.free", size=size_words(code, sample.disk_free))
    total = size_words(code, sample.disk_total or 0)
    told = in_language(code, "machine.disk_told", free=size_words(code, sample.disk_free), total=total)
    hours = sample.hours_until_full
    if hours is None:
        return Cell(name, free, "", (sample.disk_share,), told)
    left = span_in(code, hours * 3600)
    span = in_language(code, "machine.full_in", span=left)
    told = f"{told} {in_language(code, 'machine.full_told', span=left)}"
    soon = hours <= SOON_H
    return Cell(name, f"{free} · {span}" if soon else free, "", (sample.disk_share,), told, "stop" if soon else "")


def percent(value: float | None) -> str:
    """A share, or that it is not known."""
    return UNKNOWN if value is None else f"{value:.0f} %"


def memory_words(code: str, used: int | None, total: int | None) -> str:
    """`71/80 GiB`; "" where it is not known."""
    if used is None or not total:
        return ""
    digits = 0 if total >= 10 * GIB else 1
    return in_language(code, "units.of_gib", used=f"{used / GIB:.{digits}f}", total=f"{total / GIB:.{digits}f}")


def size_words(code: str, size: int) -> str:
    """Room on a disk, as its maker counts: `1.24 TB`."""
    unit, whole = next((u, n) for u, n in (("tb", 1e12), ("gb", 1e9), ("mb", 1e6)) if size >= n or u == "mb")
    number = size / whole
    return in_language(code, f"units.{unit}", n=f"{number:.3g}" if number < 999.5 else f"{number:.0f}")
