"""The devices that a job asks for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lfdash.jobs.kinds import kind_of

VISIBLE = "CUDA_VISIBLE_DEVICES"
COUNT = "LFDASH_GPUS"  # environment of a job that asks for a number of GPUs, whichever they are


@dataclass(frozen=True)
class ResourceRequest:
    """What a job wants: exactly `devices`, else `count` GPUs, else all there are; `cpu`: none, whatever there is."""

    devices: tuple[str, ...] = ()
    count: int | None = None
    cpu: bool = False


def request_of(args: Mapping[str, Any], env: Mapping[str, str]) -> ResourceRequest:
    """What a job asks for, from its arguments and its environment."""
    if args.get("use_cpu") or not kind_of(args).takes_devices(args):
        return ResourceRequest(cpu=True)
    if VISIBLE in env:
        named = tuple(word.strip() for word in env[VISIBLE].split(",") if word.strip())
        return ResourceRequest(named) if named else ResourceRequest(cpu=True)
    count = env.get(COUNT, "")
    return ResourceRequest(count=int(count)) if count.isdigit() and int(count) else ResourceRequest()
