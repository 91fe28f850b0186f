"""Helpers of the tests about alerts: a run whose log a test writes, and whoever looks at it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lfdash import files
from lfdash.engine.alerts import Alerts, MachineNow
from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.fake import FakeLauncher
from lfdash.outcomes import Refused
from lfdash.queue.commands import LaunchLock
from lfdash.runs.alerts import file
from lfdash.runs.alerts.alert import Alert
from lfdash.runs.metrics.feeds import Feeds
from lfdash.runs.paths import private
from lfdash.runs.record import Handle
from lfdash.runs.view import RunView
from lfdash.workspace.alert_store import AlertStore
from tests.support.runs import launch, plan_for


def log(handle: Handle, losses: Iterable[float], *, total: int = 100, begin: int = 1) -> None:
    """Adds lines to the log of a run, one a step."""
    with handle.paths.trainer_log.open("a") as file:
        for step, loss in enumerate(losses, begin):
            row = {"current_steps": step, "total_steps": total, "loss": loss, "lr": 1e-4, "epoch": step / total}
            file.write(json.dumps(row) + "\n")


@contextmanager
def unreadable(monkeypatch: pytest.MonkeyPatch, failure: int, name: str = "") -> Iterator[None]:
    """While it lasts, no small file can be opened for reading. failure: errno. name: only files of that name."""
    opened = files.open_descriptor

    def fail(path: Path | str, **more: object) -> tuple[int, int]:
        if name in ("", os.path.basename(path)):
            raise OSError(failure, os.strerror(failure), str(path))
        return opened(path, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(files, "open_descriptor", fail)
        if hasattr(file, "open_descriptor"):
            patch.setattr(file, "open_descriptor", fail)
        yield


class Watch:
    """A dashboard that looks when it is told to. sent: what it had to send."""

    def __init__(self, registry: ProcessRegistry, *, machine: Callable[[], MachineNow] = MachineNow) -> None:
        self.registry, self.now = registry, 0.0
        self.sent: list[Alert | None] = []
        self.stopped: list[str] = []
        self.noticed: list[Path] = []  # the folders of runs that have an alert more
        folder = private(registry.workspace) / "alerts"
        self.store = AlertStore(folder, registry.identity.check)
        self.alerts = Alerts(
            self.store, LaunchLock(folder, registry.identity.check), Feeds(), self.stop, machine=machine,
            wake=self.sent.append, clock=lambda: self.now, noticed=self.noticed.append,
        )

    def stop(self, run_id: str) -> Refused | None:
        """Stops a run as the dashboard does, and notes it."""
        self.stopped.append(run_id)
        return self.registry.stop(run_id, "graceful")

    def look(self, seconds: float = 5.0) -> None:
        """A look after some time."""
        self.now += seconds
        self.registry.refresh()
        watcher = self.registry.watcher
        self.alerts.step(watcher.views, watcher.alive, self.registry.waiting)

    def view(self, handle: Handle) -> RunView:
        """The run as it was seen last."""
        view = self.registry.get(handle.run_id)
        assert view is not None
        return view

    def rules(self, handle: Handle) -> list[str]:
        """What was alerted of a run."""
        return [alert.rule for alert in self.alerts.of(self.view(handle))]


def started(workspace: Path, name: str = "r1") -> tuple[Watch, FakeLauncher, Handle]:
    """A dashboard and a run that goes on."""
    fake = FakeLauncher()
    registry = ProcessRegistry(workspace, fake, interval=60)
    handle = launch(registry, plan_for(workspace, name=name))
    fake.begin(handle)
    return Watch(registry), fake, handle
