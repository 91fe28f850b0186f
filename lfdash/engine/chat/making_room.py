"""The chats that a job waits for: they serve nobody's plan, so whoever waits may be asked whether they shall end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lfdash.jobs.kinds import named
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView


def holders(params: Mapping[str, Any]) -> frozenset[str]:
    """The names of those that have what a job waits for; of processes of others their words.

    params: of a reason to wait (`NoRoom` in lfdash/queue/placement.py), which lists runs in `run`, or each with its
    GPUs in `who`.
    """
    runs = str(params.get("run", "")).split(", ")
    groups = str(params.get("who", "")).split("; ")
    return frozenset(filter(None, [*runs, *(group.rpartition(": ")[2] for group in groups)]))


def chats_in_the_way(views: Iterable[RunView], params: Mapping[str, Any]) -> tuple[RunView, ...]:
    """The chats among those that have what a job waits for, for the same reason as above."""
    wanted = holders(params)
    return tuple(
        view for view in views
        if view.name in wanted and named(view.kind).serves and view.waiting is None
        and view.state not in TERMINAL and view.state is not RunState.STOPPING
    )


def only_chats(views: Iterable[RunView], params: Mapping[str, Any]) -> tuple[RunView, ...]:
    """The same where their end is enough; () where somebody else has a part of it, too."""
    found = chats_in_the_way(views, params)
    return found if {view.name for view in found} == holders(params) else ()
