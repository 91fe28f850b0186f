"""What a Ray cluster has, by its dashboard's `GET /nodes?view=summary` (node_head.py of Ray 2.60): the nodes that live,
their resources, and what of them is free. Not a documented API: whatever in it is not as it was is unknown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lfdash.files import real_number
from lfdash.launchers.asking import CallError
from lfdash.launchers.ray_calls import Calls, parsed, printable
from lfdash.targets.offered import Offer, Offered
from lfdash.targets.target import Target

PATH = "/nodes?view=summary"
ASK_S = 10.0  # after which the question is given up
MOST_NODES = 10_000
MOST = 1e18  # of a resource: bytes, too
MOST_TEXT = 20_000  # characters of what is said of one node
NAME = 60  # characters of a node's
LIVES = "ALIVE"
TYPE = "accelerator_type:"
# parse_usage of Ray's autoscaler: "3.0/8.0 CPU (1.0 used of 2.0 reserved in placement groups)"
LINE = re.compile(
    r"(?P<used>[\d.]{1,30})(?P<used_unit>[KMGT]?i?B)?/(?P<all>[\d.]{1,30})(?P<all_unit>[KMGT]?i?B)? (?P<name>\S{1,100})"
    r"(?: \((?P<inner>[\d.]{1,30})(?P<inner_unit>[KMGT]?i?B)? used of (?P<kept>[\d.]{1,30})(?P<kept_unit>[KMGT]?i?B)?"
    r" reserved in placement groups\))?"
)
UNITS = {None: 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
MIB = 1 << 20


@dataclass(frozen=True)
class Node:
    """A node that lives. total: resource -> how much it has; free: the same of what nobody has taken, without those of
    which that is not told. Memory in bytes."""

    name: str
    total: Mapping[str, float] = field(default_factory=dict)
    free: Mapping[str, float] = field(default_factory=dict)
    types: tuple[str, ...] = ()


def offered(target: Target) -> Offered:
    """What the target's cluster has now: all of it first, then each node. An autoscaler may add more. CallError when it
    does not tell."""
    status, text = Calls(target.address, target.token_file).request("GET", PATH, seconds=ASK_S)
    nodes = nodes_in(parsed(status, text))
    if not nodes:
        raise CallError("Ray tells of no node that lives")
    return Offered((offer_of("", nodes, default=True), *(offer_of(node.name, [node]) for node in nodes)))


def nodes_in(answer: Any) -> list[Node]:
    """The nodes that live in an answer. CallError for one that is none."""
    data = answer.get("data") if isinstance(answer, dict) else None
    rows = data.get("summary") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(rows, list):
        raise CallError("the answer is no list of nodes: is this the address of a Ray dashboard?")
    told = data.get("nodeLogicalResources")
    told = told if isinstance(told, dict) else {}
    return [node for row in rows[:MOST_NODES] if (node := node_of(row, told)) is not None]


def node_of(row: Any, told: Mapping[str, Any]) -> Node | None:
    """A node; None for one that is gone, and for what is none. told: node id -> what of it is used."""
    raylet = row.get("raylet") if isinstance(row, dict) else None
    if not isinstance(raylet, dict) or raylet.get("state") != LIVES:
        return None
    name = raylet.get("nodeManagerAddress") or raylet.get("nodeManagerHostname") or row.get("ip")
    resources = raylet.get("resourcesTotal")
    total = {
        str(key): amount for key, value in (resources if isinstance(resources, dict) else {}).items()
        if (amount := real_number(value)) is not None and 0 <= amount < MOST
    }
    lines = told.get(str(raylet.get("nodeId")))
    free, types = usage_in(lines.splitlines()) if isinstance(lines, str) and len(lines) <= MOST_TEXT else ({}, ())
    return Node(printable(name)[:NAME] if isinstance(name, str) else "?", total, free, types)


def usage_in(lines: Iterable[str]) -> tuple[dict[str, float], tuple[str, ...]]:
    """What is free of a node's resources, and the types of its GPUs. What a placement group keeps is not free, whether
    it uses it or not."""
    free: dict[str, float] = {}
    types: list[str] = []
    for line in lines:
        found = LINE.fullmatch(line.strip())
        if found is None:
            continue
        amounts = [amount(found[name], found[f"{name}_unit"]) for name in ("used", "all", "inner", "kept")]
        if None in amounts:
            continue
        used, total, inner, kept = (one or 0.0 for one in amounts)
        if found["name"].startswith(TYPE):
            types.append(found["name"].removeprefix(TYPE))
        else:
            free[found["name"]] = max(0.0, total - used - kept + inner)
    return free, tuple(dict.fromkeys(types))


def amount(text: str | None, unit: str | None) -> float | None:
    """A number with its unit; 0 for one that is not there, None for one that is none."""
    if text is None:
        return 0.0
    if unit not in UNITS or text.count(".") > 1 or text == ".":
        return None
    found = float(text) * UNITS[unit]
    return found if found < MOST else None


def offer_of(name: str, nodes: list[Node], *, default: bool = False) -> Offer:
    """What nodes have together. Nothing is free of what one of them does not tell: it is unknown."""
    whole = [node for node in nodes if is_idle(node)]
    memory, free_memory = total_of(nodes, "memory"), free_of(nodes, "memory")
    return Offer(
        name, default=default, nodes=len(nodes), idle=len(whole) if all(node.free for node in nodes) else None,
        cpus=max(int(node.total.get("CPU", 0)) for node in nodes),
        memory_mb=max(int(node.total.get("memory", 0)) // MIB for node in nodes),
        node_gpus=max(int(node.total.get("GPU", 0)) for node in nodes),
        gpu_types=tuple(dict.fromkeys(kind for node in nodes for kind in node.types)),
        gpus=int(total_of(nodes, "GPU")), free_gpus=whole_of(free_of(nodes, "GPU")),
        all_cpus=int(total_of(nodes, "CPU")), free_cpus=whole_of(free_of(nodes, "CPU")),
        all_memory_mb=int(memory) // MIB, free_memory_mb=None if free_memory is None else int(free_memory) // MIB,
    )


def is_idle(node: Node) -> bool:
    """Whether nobody has taken any of its CPUs and GPUs."""
    return all(node.free.get(name, 0.0) >= node.total.get(name, 0.0) for name in ("CPU", "GPU"))


def total_of(nodes: Iterable[Node], name: str) -> float:
    """How much of a resource there is."""
    return sum(node.total.get(name, 0.0) for node in nodes)


def free_of(nodes: Iterable[Node], name: str) -> float | None:
    """How much of a resource nobody has taken; None where that is not known of a node that has some."""
    having = [node for node in nodes if node.total.get(name, 0.0) > 0]
    if any(name not in node.free for node in having):
        return None
    return sum(node.free[name] for node in having)


def whole_of(value: float | None) -> int | None:
    return None if value is None else int(value)
