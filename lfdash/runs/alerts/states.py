"""Rules over how runs and jobs stand, and over the machine."""

from __future__ import annotations

from collections.abc import Mapping

from lfdash.runs.alerts.alert import Facts, Found
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView

Limits = Mapping[str, float]

GIB = 2**30


def stalled(facts: Facts, limits: Limits) -> Found | None:
    """A training does not step any more (see `runs/stall.py`), or a stop does not end. One alert for each place where
    it stands still."""
    view = facts.view
    if view is None:
        return None
    step = view.progress.step
    if view.state is RunState.STOPPING and view.stalled:
        return Found(step, occasion="stop")
    if view.stall is None or view.stall.quiet_s < limits["minutes"] * 60:
        return None
    return Found(step, {"quiet_s": view.stall.quiet_s, "usual_s": view.stall.usual_s}, str(step))


def gpu_idle(facts: Facts, limits: Limits) -> Found | None:
    """No device of a run that trains has computed for some time."""
    if not trains(facts) or facts.machine is None:
        return None
    seen = facts.machine.lasting("load", limits["minutes"] * 60)
    if seen is None or seen[1] >= limits["load"]:
        return None
    return Found(step_of(facts), {"minutes": int(limits["minutes"]), "load": round(seen[1])})


def gpu_memory(facts: Facts, limits: Limits) -> Found | None:
    """A device of the run has hardly any memory left, for some time."""
    return nearly_full(facts, "memory", limits)


def main_memory(facts: Facts, limits: Limits) -> Found | None:
    """The machine that a run computes on has hardly any main memory left, for some time."""
    return nearly_full(facts, "ram", limits)


def nearly_full(facts: Facts, name: str, limits: Limits) -> Found | None:
    """Whether a memory was that full all the time."""
    if facts.machine is None or facts.view is None:
        return None
    seen = facts.machine.lasting(name, limits["minutes"] * 60)
    if seen is None or seen[0] < limits["share"]:
        return None
    return Found(step_of(facts), {"used": f"{seen[0]:.1f}"})


def disk_full(facts: Facts, limits: Limits) -> Found | None:
    """The disk of the workspace is nearly full, or will be soon. One alert a day."""
    disk = facts.disk
    if disk is None or disk.free is None:
        return None
    free = f"{disk.free / GIB:.1f}"
    if disk.free < limits["free"] * GIB:
        return Found(None, {"free": free, "hours": ""}, disk.day)
    if disk.hours is not None and disk.hours < limits["hours"]:
        return Found(None, {"free": free, "hours": f"{disk.hours:.1f}"}, disk.day)
    return None


def queue_blocked(facts: Facts, _limits: Limits) -> Found | None:
    """The first job that nobody holds on purpose cannot start: something is amiss with it, or what it waits for stands
    still. One alert for each cause."""
    for view in facts.waiting:
        waiting = view.waiting
        if waiting is None or (waiting.held is not None and waiting.held.code == "user"):
            continue
        if waiting.held is not None:
            told = sorted(f"{name}={value}" for name, value in waiting.held.params.items())
            return Found(None, blocked(facts, view), "/".join((waiting.held.code, *told)))
        if waiting.behind:
            return Found(None, blocked(facts, view), "/".join(("behind", *sorted(run for run, _ in waiting.behind))))
        return None
    return None


def blocked(facts: Facts, view: RunView) -> dict[str, str | float | int]:
    """The job that is first, why, and how many wait."""
    waiting = view.waiting
    assert waiting is not None
    reason = waiting.held or waiting.waits
    params: dict[str, str | float | int] = {"job": view.name, "waiting": len(facts.waiting)}
    if reason is not None:
        params["code"] = reason.code
        params |= {f"why_{name}": str(value) for name, value in reason.params.items()}
    return params


def ended(facts: Facts, _limits: Limits) -> Found | None:
    """A run is over, and did not fail."""
    view = facts.view
    if view is None or view.state not in (RunState.SUCCEEDED, RunState.STOPPED):
        return None
    return Found(view.progress.step, {"state": view.state.name})


def failed(facts: Facts, _limits: Limits) -> Found | None:
    """A run has failed, or is lost."""
    view = facts.view
    if view is None or view.state not in (RunState.FAILED, RunState.LOST):
        return None
    return Found(view.progress.step, {"state": view.state.name, "error": (view.error or "")[:400]})


def trains(facts: Facts) -> bool:
    """Whether a run has taken a step: before that, and after its last one, its devices may rest."""
    view = facts.view
    if view is None or view.state is not RunState.RUNNING or view.progress.step is None:
        return False
    return view.progress.total is None or view.progress.step < view.progress.total


def step_of(facts: Facts) -> int | None:
    """How far the run is."""
    return facts.view.progress.step if facts.view else None
