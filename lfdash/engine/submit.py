"""Hands a prepared job to the registry: to be started now, beside others, or in its turn."""

from __future__ import annotations

from typing import Literal

from lfdash.engine.plans import Prepared
from lfdash.engine.services import Services
from lfdash.jobs.fields import ROWS
from lfdash.jobs.job import JobConfig
from lfdash.launchers.base import Launched
from lfdash.outcomes import Refused
from lfdash.queue.store import Queued

How = Literal["start", "queue", "beside"]


def submit(services: Services, prepared: Prepared, how: How = "start") -> Launched | Queued | Refused:
    """Starts a run, or puts it into the queue.

    how: "start" where its devices are free, "beside" even where others have them, "queue" in its turn.
    Refused: as `Dispatcher.launch` and `Dispatcher.enqueue`.
    """
    if how == "queue":
        return services.registry.enqueue(prepared.plan, prepared.record, prepared.request)
    return services.registry.launch(prepared.plan, prepared.record, prepared.request, beside=how == "beside")


def keep_secrets(services: Services, job: JobConfig) -> None:
    """Hands the secrets of a job to the registry's memory, the only place that keeps them."""
    for row in ROWS[job.kind]:
        if row.secret and job.sends(row):
            services.registry.set_secret(row.secret, str(job.values[row.id]))
