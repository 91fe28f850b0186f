"""The field that says where a job runs: which targets it offers, and when it is there at all."""

from __future__ import annotations

from lfdash.engine.services import Services
from lfdash.jobs.field import Field
from lfdash.jobs.job import TARGET, JobConfig
from lfdash.targets.target import LOCAL


def is_target(row: Field) -> bool:
    """Whether a field is the one that says where a job runs."""
    return row.name == TARGET


def offered(services: Services) -> list[str]:
    """The clusters that a job can be given to, in the order of their file."""
    return [name for name, target in services.registry.targets.read().rows.items() if target.kind != LOCAL]


def is_shown(services: Services, job: JobConfig, row: Field) -> bool:
    """Whether a field is to be seen at all: the one that says where a job runs only where there is a choice."""
    return not is_target(row) or bool(offered(services) or job.values.get(row.id))
