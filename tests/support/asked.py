"""What the operating system was asked for: a test that counts is right on a slow machine too."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock


@dataclass
class Asked:
    """Paths below one folder. opened: files, listed: folders, seen: what was asked for its `stat`."""

    below: str
    opened: Counter[str] = field(default_factory=Counter)
    listed: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)


now: list[Asked] = []


def hook(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook: there is no way to take one out again, so it is put in once."""
    if now and event in ("open", "os.listdir", "os.scandir") and isinstance(args[0], str | os.PathLike):
        path = os.fspath(args[0])
        if isinstance(path, str) and path.startswith(now[-1].below):
            (now[-1].opened if event == "open" else now[-1].listed)[path] += 1


hooked: list[bool] = []


@contextmanager
def asked_below(folder: object) -> Iterator[Asked]:
    """Counts within the `with`."""
    if not hooked:
        sys.addaudithook(hook)
        hooked.append(True)
    asked, stat = Asked(str(folder)), os.stat

    def counted(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
        if str(path).startswith(asked.below):
            asked.seen[str(path)] += 1
        return stat(path, *args, **kwargs)

    now.append(asked)
    try:
        with mock.patch.object(os, "stat", counted):
            yield asked
    finally:
        now.pop()
