"""TABLE: every way to start a run, one row each. Its module is loaded when it is first asked for.

A launcher is a module with a class like `base.Launcher`, and a row here.
"""

from __future__ import annotations

import logging
import pkgutil

from lfdash.launchers.base import Launcher
from lfdash.launchers.unknown import UnknownLauncher

TABLE = {
    "local": "lfdash.launchers.local:LocalLauncher",
}
DEFAULT = "local"

logger = logging.getLogger(__name__)


def get(name: str) -> Launcher:
    """A new launcher of that name. Where there is no such row, or its module cannot be loaded (it may want packages
    that are not installed), one that starts nothing and signals nobody."""
    if name not in TABLE:
        return UnknownLauncher(name)
    try:
        made: Launcher = pkgutil.resolve_name(TABLE[name])()
    except ImportError as error:
        logger.warning("the launcher %s cannot be loaded: %s", name, error)
        return UnknownLauncher(name)
    return made


class Launchers:
    """The launchers of one registry, each made once.

    default: starts a run whose record names none yet.
    """

    def __init__(self, default: Launcher) -> None:
        self.default = default
        self._others: dict[str, Launcher] = {}

    def get(self, name: str) -> Launcher:
        """The launcher that a record names; the default one for ""."""
        if name in ("", self.default.name):
            return self.default
        if name not in self._others:
            self._others[name] = get(name)
        return self._others[name]

    def reap(self) -> None:
        """Lets each that was asked for take what ended; see `base.Launcher.reap`."""
        for launcher in (self.default, *self._others.values()):
            launcher.reap()
