"""TABLE: every way to start a run, one row each. Its module is loaded when it is first asked for.

A launcher is a module with a class like `base.Launcher`, and a row here. One that runs jobs on targets
(lfdash/targets) has a row in TARGETS instead, under the kind of target; it is made with its full name, KIND:TARGET,
and with what looks the target up.
"""

from __future__ import annotations

import logging
import pkgutil
from collections.abc import Callable

from lfdash.launchers.base import Launcher
from lfdash.launchers.target_probe import Probe, ProbeJob
from lfdash.launchers.unknown import UnknownLauncher
from lfdash.outcomes import Refused
from lfdash.targets.offered import Offered
from lfdash.targets.target import Target

TABLE = {
    "local": "lfdash.launchers.local:LocalLauncher",
}
DEFAULT = "local"
TARGETS = {
    "ray": "lfdash.launchers.ray:RayLauncher",
    "slurm": "lfdash.launchers.slurm_array:SlurmArrays",
}
PROBES = {  # kind of target -> what tests it, made with a `Probe`; a kind without a row cannot be tested
    "ray": "lfdash.launchers.ray_probe:RayProbe",
    "slurm": "lfdash.launchers.slurm_probe:SlurmProbe",
}
OFFERS = {  # kind of target -> tells what a target offers; a kind without a row tells nothing
    "ray": "lfdash.launchers.ray_offers:offered",
    "slurm": "lfdash.launchers.slurm_offers:offered",
}
FindTarget = Callable[[str], "Target | Refused"]

logger = logging.getLogger(__name__)


def no_target(name: str) -> Target | Refused:
    """Where there are no targets."""
    return Refused("target_unknown", {"name": name, "file": ""})


def is_target(name: str) -> bool:
    """Whether a launcher of that name runs jobs on a target."""
    return ":" in name


def get(name: str, find_target: FindTarget = no_target) -> Launcher:
    """A new launcher of that name. Where there is no such row, or its module cannot be loaded (it may want packages
    that are not installed), one that starts nothing and signals nobody."""
    kind, colon, _target = name.partition(":")
    row = (TARGETS if colon else TABLE).get(kind)
    if row is None:
        return UnknownLauncher(name)
    try:
        make = pkgutil.resolve_name(row)
        made: Launcher = make(name, find_target) if colon else make()
    except ImportError as error:
        logger.warning("the launcher %s cannot be loaded: %s", name, error)
        return UnknownLauncher(name)
    return made


def probe_job(probe: Probe) -> ProbeJob | None:
    """The job that tests a target; None for a kind of target that cannot be tested, or whose module cannot be
    loaded."""
    row = PROBES.get(probe.target.kind)
    try:
        made: ProbeJob | None = pkgutil.resolve_name(row)(probe) if row else None
    except ImportError as error:
        logger.warning("the test of %s cannot be loaded: %s", probe.target.kind, error)
        return None
    return made


def offers_of(target: Target) -> Offered | None:
    """What a target offers; None for a kind that does not tell. OSError when it does not answer. May take as long as
    the scheduler does."""
    row = OFFERS.get(target.kind)
    made: Offered | None = pkgutil.resolve_name(row)(target) if row else None
    return made


class Launchers:
    """The launchers of one registry, each made once.

    default: starts a run whose record names none yet. find_target: the target of a name, as it is now.
    """

    def __init__(self, default: Launcher, find_target: FindTarget = no_target) -> None:
        self.default = default
        self._find_target = find_target
        self._others: dict[str, Launcher] = {}

    def get(self, name: str) -> Launcher:
        """The launcher that a record names; the default one for ""."""
        if name in ("", self.default.name):
            return self.default
        if name not in self._others:
            self._others[name] = get(name, self._find_target)
        return self._others[name]

    def target(self, name: str) -> Target | Refused | None:
        """The target of a launcher of that name, as it is now; None for a launcher of none."""
        return self._find_target(name.partition(":")[2]) if is_target(name) else None

    def reap(self) -> None:
        """Lets each that was asked for take what ended; see `base.Launcher.reap`."""
        for launcher in (self.default, *self._others.values()):
            launcher.reap()
