"""What a cluster offers: its partitions, as sinfo tells of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lfdash.launchers.slurm_calls import Calls

COLUMNS = ("%R", "%a", "%l", "%A", "%c", "%m", "%G", "%P")  # sinfo(1), --format
GPU = re.compile(r"\bgpu(?::(?P<type>[^:,(]{1,80}))?:(?P<count>\d{1,6})(?![\w.])")


@dataclass(frozen=True)
class Nodes:
    """A partition's nodes that are alike. time_limit: as Slurm writes it. busy, idle: how many nodes have jobs, and
    how many have none and take some. cpus, memory_mb, gpus: of a node; the least of them where they differ ("8+").
    gpu_type: "" where it has none."""

    partition: str
    default: bool
    up: bool
    time_limit: str
    busy: int
    idle: int
    cpus: int
    memory_mb: int
    gpus: int = 0
    gpu_type: str = ""


def offers(calls: Calls) -> list[Nodes]:
    """All partitions, in Slurm's order; one with several kinds of nodes several times. CallError."""
    text = calls.run("sinfo", "-h", "-a", "-o", "|".join(COLUMNS))
    return [nodes for line in text.splitlines() if (nodes := parse_nodes(line)) is not None]


def parse_nodes(line: str) -> Nodes | None:
    """A line of sinfo; None for one that is none."""
    parts = line.split("|")
    if len(parts) != len(COLUMNS):
        return None
    name, available, limit, counts, cpus, memory, gres, marked = parts
    busy, _, idle = counts.partition("/")
    gpu = GPU.search(gres)
    return Nodes(
        name, marked.endswith("*"), available == "up", limit, whole(busy), whole(idle), whole(cpus), whole(memory),
        int(gpu["count"]) if gpu else 0, (gpu["type"] or "") if gpu else "",
    )


def whole(text: str) -> int:
    """The number that a text begins with; 0 for none."""
    digits = re.match(r"\d+", text)
    return int(digits[0]) if digits else 0
