"""Lets a process die at every step of what it does to the disk, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

STEPS = ("mkdir", "rename", "replace", "unlink", "rmdir", "fsync", "open")  # every way to change names or content


class Died(BaseException):
    """The process is gone: no handler of errors may run on it."""


def every_death(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> Iterator[str]:
    """Calls `act` again and again, dying before its first, second... step; yields what it died before, and at last
    "" when it came to its end. What died must be put right by whoever iterates.
    """
    number = 0
    while True:
        number += 1
        with monkeypatch.context() as patch:
            where = doom(patch, number)
            try:
                act()
            except Died:
                pass
        yield where[0] if where else ""
        if not where:
            return


def doom(patch: pytest.MonkeyPatch, number: int) -> list[str]:
    """The `number`th step will be death; the list then holds which it was."""
    count, where = 0, list[str]()

    def wrap(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            if name == "open" and not (len(args) > 1 and isinstance(args[1], int) and args[1] & os.O_CREAT):
                return original(*args, **kwargs)  # a look changes nothing
            count += 1
            if count >= number:  # once dead, nothing is done any more, whoever tries
                if not where:
                    where.append(f"{name} {args[0]}")
                raise Died
            return original(*args, **kwargs)

        return step

    for name in STEPS:
        patch.setattr(os, name, wrap(name, getattr(os, name)))
    return where
