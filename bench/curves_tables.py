"""The tables of bench/curves.py: figures -> a section of docs/benchmarks.md."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

MARKS = ("<!-- curves: begin, written by bench/curves.py -->", "<!-- curves: end -->")
PACKAGES = ("msgspec", "numpy", "orjson", "pyarrow", "llamafactory", "gradio", "matplotlib")
Figures = dict[str, float]


@dataclass(frozen=True)
class Result:
    """The figures of all rounds of one measurement."""

    rounds: tuple[Figures, ...]

    def median(self, name: str) -> float:
        return statistics.median(figures[name] for figures in self.rounds)

    def spread(self, name: str) -> tuple[float, float]:
        values = [figures[name] for figures in self.rounds]
        return min(values), max(values)


def told(result: Result | None, name: str) -> str:
    """A median with its spread, for people."""
    if result is None:
        return "–"
    low, high = result.spread(name)
    if name.startswith("memory"):
        return f"{result.median(name):.0f} MB"
    return f"{seconds(result.median(name))} ({seconds(low)}–{seconds(high)})"


def seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e3:.3f} ms"


Results = Mapping[tuple[str, str], Result]
ROWS = (
    ("first open, lfdash", "lfdash", "open"),
    ("first open, LlamaBoard", "LlamaBoard", "open"),
    ("parsing alone, orjson a line", "orjson", "open"),
    ("parsing alone, pyarrow's reader", "pyarrow", "open"),
    ("first drawing of three lines, lfdash", "lfdash", "first draw"),
    ("a tick with one new line, lfdash", "lfdash", "one line"),
    ("the same for 20 tabs, lfdash", "lfdash", "20 tabs"),
    ("drawing three lines at a tick, lfdash", "lfdash", "draw"),
    ("a tick without news, lfdash", "lfdash", "no news"),
    ("a tick, with or without news, LlamaBoard (each tab)", "LlamaBoard", "tick"),
    ("memory, lfdash", "lfdash", "memory"),
    ("memory with what is drawn, lfdash", "lfdash", "memory, drawn"),
    ("memory, LlamaBoard", "LlamaBoard", "memory"),
    ("memory, pyarrow's columns", "pyarrow", "memory"),
)


def main_table(results: Results, sizes: Sequence[str]) -> list[str]:
    lines = ["| CPU | " + " | ".join(f"{size} rows" for size in sizes) + " |", "|---" * (len(sizes) + 1) + "|"]
    for label, subject, name in ROWS:
        cells = [told(results.get((subject, size)), name) for size in sizes]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return lines


def console_table(results: Results) -> list[str]:
    heads = (
        "run and console", "rows are there after", "console is read after", "longest poll (0.25 s allowed)", "memory",
        "steps with a gradient norm",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for (subject, word), result in results.items():
        if subject == "console":
            cells = [told(result, name) for name in ("open", "console", "longest", "memory")]
            run = f"{word}: {result.median('size'):,.0f} MB"
            lines.append(f"| {run} | " + " | ".join(cells) + f" | {result.median('told'):,.0f} |")
    return lines if len(lines) > 2 else []


def aims(results: Results) -> list[str]:
    """What was aimed at, and what it is."""
    ours, small = results.get(("lfdash", "1M")), results.get(("lfdash", "1k"))
    orjson, five = results.get(("orjson", "1M")), results.get(("lfdash", "5M"))
    if ours is None or small is None or orjson is None:
        return []
    line = ours.median("one line")
    checks = [
        ("first open of 1M rows: at most twice orjson a line", ours.median("open") / orjson.median("open"), 2.0, " x"),
        ("memory for 1M rows: at most 150 MB", ours.median("memory, drawn"), 150.0, " MB"),
        ("a tick with one new line at 1M: at most 3 times that at 1k", line / small.median("one line"), 3.0, " x"),
        ("a tick with one new line at 1M: at most 1 ms", line * 1e3, 1.0, " ms"),
        ("a tick without news at 1M: at most 0.2 ms", ours.median("no news") * 1e3, 0.2, " ms"),
        ("20 tabs on one run: at most twice the reading of one", ours.median("20 tabs") / line, 2.0, " x"),
    ]
    lines = ["| aim | measured | |", "|---|---|---|"]
    for label, value, most, unit in checks:
        verdict = "met" if value <= most else f"missed by {value - most:.2g}{unit}"
        lines.append(f"| {label} | {value:.3g}{unit} | {verdict} |")
    if five is not None:
        lines.append(f"| 5M rows open | {told(five, 'open')}, {told(five, 'memory')} | met |")
    return lines


def machine() -> str:
    import psutil

    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        named = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(": ")[2] if named else model
    memory = psutil.virtual_memory().total / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB; Python {platform.python_version()}; {packages}"


def section(results: Results, sizes: Sequence[str], rounds: int, load: tuple[float, float]) -> str:
    how = (
        f"`make bench`, {date.today().isoformat()}: CPU time of the process, not wall time; the median of {rounds} "
        "processes, with the smallest and the largest, on the same files. LlamaBoard: its own `get_trainer_info`, "
        "which it calls at each tick in each tab."
    )
    lines = [
        "## Reading and drawing a run",
        "",
        how,
        "",
        f"{machine()}. Load of the machine (1 min) before and after: {load[0]:.1f}, {load[1]:.1f}.",
        "",
        *main_table(results, sizes),
        "",
        *aims(results),
        "",
        *console_table(results),
    ]
    return "\n".join(lines).rstrip() + "\n"
