"""What targets offer, asked in a thread and kept for some seconds: a page never waits for a scheduler.

Where a row says which cluster it is, asking runs what may be somebody else's: a slurm.conf names plugins that Slurm's
programs load, and an address gets this user's token. So such a cluster is asked only once this user has said so
(`allow`), has tested a target on it, or has used the target by hand.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from lfdash.launchers import table
from lfdash.targets.allowed import allow
from lfdash.targets.offered import Offered
from lfdash.targets.target import Target
from lfdash.targets.trust import UsedTargets

KEPT_S = 15.0
FAILED_S = 60.0  # one that did not answer is asked again after so long


@dataclass(frozen=True)
class Told:
    """What is known of a target's offers. offered: None where nothing is; asking: whether an answer is awaited;
    failure: why there was none, the scheduler's own words. waits: whether nobody is asked before this user says so."""

    offered: Offered | None = None
    asking: bool = False
    failure: str = ""
    waits: bool = False


class TargetOffers:
    """For any thread. used: what this user has used by hand. ask: tells what a target offers, None for one that does
    not; OSError when it does not answer."""

    def __init__(
        self, used: UsedTargets, ask: Callable[[Target], Offered | None] = table.offers_of,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._used = used
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[Hashable, Told] = {}
        self._due: dict[Hashable, float] = {}

    def of(self, target: Target) -> Told:
        """What is known now; asked anew when that is old. One cluster is asked once, whatever targets it has."""
        if not self.may_ask(target):
            return Told(waits=True)
        key = target.kind, target.slurm_conf, target.address, target.token_file
        with self._lock:
            told = self._told.get(key, Told())
            if told.asking or self._clock() < self._due.get(key, float("-inf")):
                return told
            told = self._told[key] = Told(told.offered, asking=True, failure=told.failure)
        threading.Thread(target=self._find, args=(key, target), name="lfdash-offers", daemon=True).start()
        return told

    def may_ask(self, target: Target) -> bool:
        """Whether a target's cluster is asked without a click."""
        known = target.kind == "slurm" and not target.slurm_conf  # the one of this machine
        return known or self._used.has(target) or self._used.has(cluster_of(target))

    def allow(self, target: Target) -> None:
        """This user wants a target's cluster to be asked, now and later."""
        cluster = cluster_of(target)
        if cluster.token_file:
            allow("token", cluster.address, cluster.token_file)
        if cluster.slurm_conf:
            allow("slurm.conf", cluster.slurm_conf)
        if cluster.address:
            allow("ray", cluster.address)
        self._used.add(cluster)

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


def cluster_of(target: Target) -> Target:
    """What of a target says which cluster it is; no row has such a name."""
    return Target(
        "", target.kind, slurm_conf=target.slurm_conf, address=target.address, token_file=target.token_file
    )
