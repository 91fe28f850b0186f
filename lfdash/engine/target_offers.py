"""What targets offer, asked in a thread and kept for some seconds: a page never waits for a scheduler."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from lfdash.launchers import table
from lfdash.targets.offered import Offered
from lfdash.targets.target import Target

KEPT_S = 15.0
FAILED_S = 60.0  # one that did not answer is asked again after so long


@dataclass(frozen=True)
class Told:
    """What is known of a target's offers. offered: None where nothing is; asking: whether an answer is awaited;
    failure: why there was none, the scheduler's own words."""

    offered: Offered | None = None
    asking: bool = False
    failure: str = ""


class TargetOffers:
    """For any thread. ask: tells what a target offers, None for one that does not; OSError when it does not answer."""

    def __init__(
        self, ask: Callable[[Target], Offered | None] = table.offers_of, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[Hashable, Told] = {}
        self._due: dict[Hashable, float] = {}

    def of(self, target: Target) -> Told:
        """What is known now; asked anew when that is old. One cluster is asked once, whatever targets it has."""
        key = target.kind, target.slurm_conf, target.address
        with self._lock:
            told = self._told.get(key, Told())
            if told.asking or self._clock() < self._due.get(key, float("-inf")):
                return told
            told = self._told[key] = Told(told.offered, asking=True, failure=told.failure)
        threading.Thread(target=self._find, args=(key, target), name="lfdash-offers", daemon=True).start()
        return told

    def _find(self, key: Hashable, target: Target) -> None:
        told = Told(failure="?")
        try:
            told = Told(self._ask(target))
        except OSError as error:
            told = Told(failure=error.strerror or str(error))
        finally:
            with self._lock:
                self._told[key] = told
                self._due[key] = self._clock() + (FAILED_S if told.failure else KEPT_S)
