"""What a scheduler's accounting says of a run, in a sentence of any language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from lfdash.engine.services import Services
from lfdash.engine.words import span_in
from lfdash.files import look_json
from lfdash.launchers.slurm_accounts import Account
from lfdash.launchers.slurm_usage import Usage
from lfdash.launchers.table import is_target
from lfdash.launchers.watching import JOB
from lfdash.locales import in_language
from lfdash.runs.record import TERMINAL, Handle, RunState
from lfdash.runs.view import RunView

GIB = 1 << 30


def place_of(view: RunView) -> tuple[str, str]:
    """The number of the job that a run's newest attempt was to its scheduler, and the (first) node that it ran on, as
    its folder tells them; "" for each that is not known."""
    if view.record is None or not is_target(view.record.launcher):
        return "", ""
    control = view.paths.attempt(view.attempt)
    try:
        job, host = look_json(control.root / JOB).get("id"), look_json(control.child).get("host")
    except OSError:
        return "", ""
    return job if isinstance(job, str) else "", host if isinstance(host, str) else ""


@runtime_checkable
class AccountingLauncher(Protocol):
    """A launcher whose scheduler keeps accounts."""

    def account(self, handle: Handle) -> Account | None:
        """What they say of an attempt that is over; None: nothing, or nothing yet. OSError."""
        ...


@runtime_checkable
class CountingLauncher(Protocol):
    """A launcher whose scheduler counts what goes on."""

    def usage(self, handle: Handle) -> Usage | None:
        """What an attempt that goes on has used so far; None: nothing is known (yet). OSError."""
        ...


@runtime_checkable
class CancelingLauncher(Protocol):
    """A launcher that has jobs of a scheduler canceled, where they are this user's."""

    def is_ours(self, handle: Handle, spec: Mapping[str, Any]) -> bool:
        """Whether an attempt's job is. spec: what its folder says."""
        ...


def not_ours_in(services: Services, code: str, view: RunView) -> str:
    """Of a run that is to stop: that its job is not canceled from here, and how that is done by hand; "" where it
    is."""
    said = view.scheduled
    if view.state is not RunState.STOPPING or view.record is None or said is None:
        return ""
    launcher = services.registry.launchers.get(view.record.launcher)
    if not isinstance(launcher, CancelingLauncher):
        return ""
    handle = services.registry.watcher.handle(view.paths, view.record)
    try:
        if launcher.is_ours(handle, look_json(view.paths.attempt(view.attempt).spec)):
            return ""
    except OSError:
        return ""
    command = f"{'scancel' if said.by == 'slurm' else 'ray job stop'} {said.job}"
    return in_language(code, "scheduler.not_ours", command=command)


def uses_in(services: Services, code: str, view: RunView) -> str:
    """The main memory and the processor time that a run which goes on has used so far, as its scheduler counts them, at
    most a minute or so old; "" where nothing is known (yet). Never waits for the scheduler."""
    going = view.state in (RunState.RUNNING, RunState.STOPPING) and view.unseen is None
    if view.record is None or not going or not is_target(view.record.launcher):
        return ""
    launcher = services.registry.launchers.get(view.record.launcher)
    if not isinstance(launcher, CountingLauncher):
        return ""
    try:
        found = launcher.usage(services.registry.watcher.handle(view.paths, view.record))
    except OSError:
        return ""
    if found is None or found.max_rss is None:
        return ""
    memory = f"{found.max_rss / GIB:.1f} GiB"
    if found.cpu_s is None:
        return in_language(code, "scheduler.uses_memory", memory=memory)
    return in_language(code, "scheduler.uses", memory=memory, time=span_in(code, found.cpu_s))


def used_in(services: Services, code: str, view: RunView) -> str:
    """The main memory and the time that a run's newest attempt took, as its scheduler counted them; "" where nothing
    is known (yet). Never waits for the scheduler."""
    if view.record is None or view.state not in TERMINAL or not is_target(view.record.launcher):
        return ""
    launcher = services.registry.launchers.get(view.record.launcher)
    if not isinstance(launcher, AccountingLauncher):
        return ""
    try:
        found = launcher.account(services.registry.watcher.handle(view.paths, view.record))
    except OSError:
        return ""
    if found is None or found.seconds is None:
        return ""
    time = span_in(code, found.seconds)
    if found.max_rss is None:
        return in_language(code, "scheduler.used_time", time=time)
    return in_language(code, "scheduler.used", time=time, memory=f"{found.max_rss / GIB:.1f} GiB")
