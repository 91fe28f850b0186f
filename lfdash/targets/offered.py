"""What a target offers, in the words of no scheduler."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Offer:
    """A part of a cluster that jobs can be given to (Slurm: a partition; Ray: "" for all of it, and each of its nodes,
    which no job can choose). default: whether a job without one gets it. up: whether it takes jobs. time_limit: as the
    scheduler writes it. nodes, idle: how many there are that work, and have no job. cpus, memory_mb, node_gpus: of a
    node, the largest. gpu_types: as a job asks for them. gpus, free_gpus, free_cpus, all_cpus, all_memory_mb,
    free_memory_mb: of all nodes, free where a node takes jobs. None where that is not told."""

    name: str
    default: bool = False
    up: bool = True
    time_limit: str = ""
    nodes: int = 0
    idle: int | None = 0
    cpus: int = 0
    memory_mb: int = 0
    node_gpus: int = 0
    gpu_types: tuple[str, ...] = ()
    gpus: int | None = None
    free_gpus: int | None = None
    free_cpus: int | None = None
    all_cpus: int | None = None
    all_memory_mb: int | None = None
    free_memory_mb: int | None = None


@dataclass(frozen=True)
class Offered:
    """What a target offers to this user. accounts, qos: () where there is no accounting, or it does not tell."""

    offers: tuple[Offer, ...] = ()
    accounts: tuple[str, ...] = ()
    qos: tuple[str, ...] = ()
