"""What a sweep's dialog shows of the array that it will be: made in a thread, because the cluster is asked how many
runs an array may have, and a page never waits for a scheduler."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from lfdash.engine.background import Background
from lfdash.engine.on_target import target_of
from lfdash.engine.services import Services
from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import Sweep
from lfdash.launchers.base import ArrayLauncher
from lfdash.outcomes import Refused

ASK_S = 25.0  # for the cluster to say how many runs an array may have
LOOK_S = 0.5
KEPT_S = 15.0  # after which it is made anew: another run may have taken a name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Script:
    """A script. text: "" where there is none. state: "asking" (it is not known yet, or just made anew), "array" (it is
    what will be submitted), "each" (runs are handed over one by one), "drawn" (the values are drawn later), or
    "failed"."""

    state: str
    text: str = ""


class SweepScripts:
    """The scripts of one process. For any thread."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._works: Background[Script] = Background()

    def takes_arrays(self, job: JobConfig) -> bool:
        """Whether the target of a job is one that takes arrays at all."""
        target = target_of(self._services, job)
        return target is not None and isinstance(self._services.launcher_on(job.target), ArrayLauncher)

    def of(self, job: JobConfig, sweep: Sweep, sweep_id: str) -> Script:
        """What is known of a sweep's script now. sweep_id: the id that the sweep will have."""
        if sweep.strategy == "tpe" or sweep.count < 2:
            return Script("each")
        if sweep.strategy != "grid":
            return Script("drawn")
        key = repr((target_of(self._services, job), job, sweep, sweep_id))
        work = self._works.of(key)
        if work is None or (work.found is not None and work.age - work.seconds > KEPT_S):
            work = self._works.start(key, lambda stop: self._made(job, sweep, sweep_id, stop))
        return work.found or Script("asking")

    def _made(self, job: JobConfig, sweep: Sweep, sweep_id: str, stop: threading.Event) -> Script:
        from lfdash.engine.sweep_array import preview

        until = time.monotonic() + ASK_S
        try:
            text = preview(self._services, job, sweep, sweep_id)
            while isinstance(text, Refused) and time.monotonic() < until and not stop.wait(LOOK_S):
                text = preview(self._services, job, sweep, sweep_id)
        except Exception:  # nothing may leave the page waiting for ever
            logger.exception("the script of a sweep")
            return Script("failed")
        if isinstance(text, Refused):
            return Script("failed")
        return Script("array", text) if text else Script("each")
