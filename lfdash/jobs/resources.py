"""The devices that a job asks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lfdash.jobs.kinds import kind_of

VISIBLE = "CUDA_VISIBLE_DEVICES"
COUNT = "LFDASH_GPUS"  # environment of a job that asks for a number of GPUs, whichever they are
TARGET = "LFDASH_TARGET"  # of one that runs on a cluster: the name of the target
FITS = "LFDASH_FITS"  # of one that wants only GPUs with enough free memory for it


@dataclass(frozen=True)
class ResourceRequest:
    """What a job wants: exactly `devices`, else `count` GPUs, else all there are; `cpu`: none, whatever there is. fits:
    of `count` GPUs, only those that have enough free memory when it starts."""

    devices: tuple[str, ...] = ()
    count: int | None = None
    cpu: bool = False
    fits: bool = False


def request_of(args: Mapping[str, Any], env: Mapping[str, str]) -> ResourceRequest:
    """What a job asks for, from its arguments and its environment."""
    if args.get("use_cpu") or not kind_of(args).takes_devices(args):
        return ResourceRequest(cpu=True)
    if VISIBLE in env:
        named = tuple(word.strip() for word in env[VISIBLE].split(",") if word.strip())
        return ResourceRequest(named) if named else ResourceRequest(cpu=True)
    told, fits = env.get(COUNT, ""), env.get(FITS) == str(True)
    count = int(told) if told.isdigit() and int(told) else None
    return ResourceRequest(count=count or 1, fits=True) if fits else ResourceRequest(count=count)
