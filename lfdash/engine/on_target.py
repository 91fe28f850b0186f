"""The cluster that a job of the form is to run on, and what its row says of the devices there."""

from __future__ import annotations

from dataclasses import replace

from lfdash.engine.services import Services
from lfdash.engine.target_facts import TargetFacts, TargetGpu
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import named
from lfdash.jobs.resources import ResourceRequest
from lfdash.outcomes import Refused
from lfdash.targets.target import LOCAL, Target


def target_of(services: Services, job: JobConfig) -> Target | None:
    """The target that a job names; None for this machine, and for a target that is not there or cannot be read."""
    return target_named(services, job.target)


def target_named(services: Services, name: str) -> Target | None:
    """The same by its name."""
    found = services.registry.targets.get(name) if name else None
    return None if found is None or isinstance(found, Refused) or found.kind == LOCAL else found


def asked_there(target: Target, job: JobConfig, request: ResourceRequest) -> ResourceRequest:
    """What a job asks for on a target: without a number of its own as many GPUs of a node as the target says, one where
    that says nothing, and of a training that on each of its nodes."""
    count = request.count or usual_gpus(target)
    nodes = target.nodes if named(job.kind).trains else 1
    return request if request.cpu else replace(request, count=count * nodes if count else None)


def usual_gpus(target: Target) -> int:
    """How many GPUs of a node a job gets that does not say a number itself."""
    return 1 if target.gpus is None else target.gpus


def facts_of(services: Services, target: Target | None) -> TargetFacts | None:
    """What the last *Test this target* found there; None for this machine, and where the target was not tested, or was
    changed since."""
    return services.target_tests.facts(target) if target is not None else None


def gpus_there(told: TargetFacts | None, request: ResourceRequest) -> int | None:
    """How many GPUs a job has to do with: none where it asks for none, and a test that asked for none saw none. What a
    test saw is no limit: it was given what the target asks for."""
    return 0 if told is not None and told.gpus == () and not request.count else None


def smallest_gpu(services: Services, target: Target | None) -> TargetGpu | None:
    """The GPU with the least memory that the test saw there; None where none is known."""
    told = facts_of(services, target)
    known = [gpu for gpu in (told.gpus or () if told is not None else ()) if gpu.memory > 0]
    return min(known, key=lambda gpu: gpu.memory, default=None)
