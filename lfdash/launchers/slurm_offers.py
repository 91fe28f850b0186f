"""What a cluster offers: its partitions, as sinfo tells of them, what of them is free, and whose accounts there are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from lfdash.launchers.asking import CallError
from lfdash.launchers.slurm_calls import Calls, user
from lfdash.targets.offered import Offer, Offered
from lfdash.targets.target import Target

COLUMNS = ("%R", "%a", "%l", "%A", "%c", "%m", "%G", "%P")  # sinfo(1), --format
FREE = ("NodeHost:.255", "Partition:.255", "StateCompact:.30", "CPUsState:.60", "Gres:.500", "GresUsed:.500")
READY = re.compile(r"(idle|mix|alloc|comp)[~#%]?")  # a node that takes jobs; the sign: it sleeps, or is just woken
ASK_S = 10.0  # after which each of the programs is ended
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
    text = calls.run("sinfo", "-h", "-a", "-o", "|".join(COLUMNS), seconds=ASK_S)
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


def offered(target: Target) -> Offered:
    """What the target's cluster offers. CallError when it does not tell."""
    calls = Calls(target.slurm_conf)
    rows = offers(calls)
    free = free_in(calls)
    partitions = list(dict.fromkeys(one.partition for one in rows))
    accounts, qos = accounts_in(calls)
    return Offered(tuple(
        offer_of([one for one in rows if one.partition == name], None if free is None else free.get(name, Free()))
        for name in partitions
    ), accounts, qos)


@dataclass
class Free:
    """What of a partition's nodes is free: of those that take jobs. gpus: all of them."""

    free_cpus: int = 0
    free_gpus: int = 0
    gpus: int = 0


def offer_of(rows: list[Nodes], free: Free | None) -> Offer:
    """A partition, of its several kinds of nodes. free: None where that is not told."""
    first = rows[0]
    return Offer(
        first.partition, default=first.default, up=first.up, time_limit=first.time_limit,
        nodes=sum(one.busy + one.idle for one in rows), idle=sum(one.idle for one in rows),
        cpus=max(one.cpus for one in rows), memory_mb=max(one.memory_mb for one in rows),
        node_gpus=max(one.gpus for one in rows),
        gpu_types=tuple(dict.fromkeys(one.gpu_type for one in rows if one.gpu_type)),
        gpus=free.gpus if free else None, free_gpus=free.free_gpus if free else None,
        free_cpus=free.free_cpus if free else None,
    )


def free_in(calls: Calls) -> dict[str, Free] | None:
    """What is free of each partition; None where sinfo does not tell (GresUsed is newer than Slurm 18)."""
    try:
        text = calls.run("sinfo", "-h", "-a", "-N", "-O", ",".join(FREE), seconds=ASK_S)
    except CallError:
        return None
    return free_of(text.splitlines())


def free_of(lines: Iterable[str]) -> dict[str, Free]:
    """What is free of each partition, by a line for each of its nodes."""
    found: dict[str, Free] = {}
    for line in lines:
        parts = line.split()
        if len(parts) != len(FREE):
            continue
        _, partition, state, cpus, gres, used = parts
        here = found.setdefault(partition.rstrip("*"), Free())
        here.gpus += gpus_in(gres)
        if READY.fullmatch(state):
            here.free_gpus += max(0, gpus_in(gres) - gpus_in(used))
            here.free_cpus += whole(cpus.partition("/")[2])
    return found


def gpus_in(gres: str) -> int:
    """The number of GPUs in a list of generic resources, of whatever types."""
    return sum(int(one["count"]) for one in GPU.finditer(gres))


def accounts_in(calls: Calls) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The user's accounts and QOS; none where there is no accounting, or it does not tell."""
    lines: list[str] = []
    with suppress(CallError):
        words = ("sacctmgr", "-n", "-P", "show", "assoc", f"user={user()}", "format=account,qos")
        lines = calls.run(*words, seconds=ASK_S).splitlines()
    rows = [line.split("|") for line in lines if line.count("|") == 1]
    accounts = dict.fromkeys(row[0] for row in rows if row[0])
    return tuple(accounts), tuple(dict.fromkeys(name for row in rows for name in row[1].split(",") if name))
