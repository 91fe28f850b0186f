"""The secrets of this process: those that were typed, in memory only, and those of its environment."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable

from lfdash.jobs.fields import FIELDS
from lfdash.supervisor import mask
from lfdash.supervisor.forms import SHORTEST

NAMES = tuple(sorted({row.secret for row in FIELDS if row.secret}))  # variables that hold one, whatever their value


class SecretStore:
    """Keeps secrets by the variable that a run gets them in; nothing here touches a file."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}
        self._seen: dict[tuple[str, str], None] = {}  # all that were ever typed: earlier logs hold earlier ones
        self._lock = threading.Lock()

    def put(self, name: str, value: str) -> None:
        """Keeps a secret; an empty value forgets it."""
        with self._lock:
            if value:
                self._held[name] = value
                self._seen |= dict.fromkeys(mask.values({name: value}, (name,)))
            else:
                self._held.pop(name, None)

    def hide(self, name: str, value: str) -> None:
        """Takes a secret of the dashboard itself out of what it shows; no run gets it."""
        with self._lock:
            self._seen |= dict.fromkeys(mask.values({name: value}, (name,)))

    def get(self, name: str) -> str:
        """What was typed, else what the environment says; "" when neither does."""
        return self._held.get(name) or os.environ.get(name, "")

    def is_typed(self, name: str) -> bool:
        """Whether a secret was typed, so that it can be forgotten here."""
        return name in self._held

    def known(self) -> list[tuple[str, str]]:
        """(variable, value) of every secret that this process has seen."""
        return [*list(self._seen), *mask.values(os.environ, mask.names(os.environ, NAMES))]

    def redactor(self) -> Callable[[str], str]:
        """A function that takes the secrets out of a text; for many texts, since it looks them up once."""
        return mask.redactor(self.known())

    def found_in(self, texts: Iterable[str]) -> str:
        """The variable whose secret stands in one of the texts; "" when none does."""
        whole = "\n".join(texts)
        return next((name for name, value in self.known() if len(value) >= SHORTEST and value in whole), "")
