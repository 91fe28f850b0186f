"""What a scheduler's accounting says of a run, in a sentence of any language."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from lfdash.engine.services import Services
from lfdash.engine.words import span_in
from lfdash.files import look_json
from lfdash.launchers.slurm_accounts import Account
from lfdash.launchers.table import is_target
from lfdash.launchers.watching import JOB
from lfdash.locales import in_language
from lfdash.runs.record import TERMINAL, Handle
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
