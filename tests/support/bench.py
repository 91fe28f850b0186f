"""A registry whose fake runs begin and end when a test says so, on a machine whose GPUs it decides."""

from __future__ import annotations

from pathlib import Path

from lfdash.engine.registry import ProcessRegistry
from lfdash.jobs.resources import ResourceRequest
from lfdash.launchers.fake import FakeLauncher
from lfdash.queue.store import Queued
from lfdash.queue.turns import CachedDevices
from lfdash.runs.record import Handle, RunState
from lfdash.workspace.devices import Devices, Gpu
from tests.support.runs import plan_for, record_for


class Machine:
    """A machine whose GPUs, and the processes on them, a test decides."""

    def __init__(self, gpus: int = 0) -> None:
        self.processes: dict[int, tuple[int, ...]] = {}
        self.gpus = gpus

    def look(self) -> Devices:
        found = tuple(Gpu(n, "G", True, self.processes.get(n, ())) for n in range(self.gpus))
        return Devices(found, 1)


class Bench:
    """A registry with a launcher whose runs begin and end when told; its thread does not run."""

    def __init__(self, workspace: Path, gpus: int = 0) -> None:
        self.machine = Machine(gpus)
        self.fake = FakeLauncher()
        self.registry = ProcessRegistry(workspace, self.fake, look=self.machine.look)
        self.registry.dispatcher.cached_devices = CachedDevices(self.machine.look, 0, self.registry.workspace)
        self.registry.refresh()

    def add(self, name: str, ask: ResourceRequest | None = None, launcher: str = "", **more: object) -> Queued:
        plan = plan_for(self.registry.workspace, name=name, **more)  # type: ignore[arg-type]
        outcome = self.registry.enqueue(plan, record_for(plan, launcher), ask)
        assert isinstance(outcome, Queued), outcome
        return outcome

    def tick(self) -> None:
        """One turn of the thread; what was started begins."""
        self.registry.refresh()
        self.registry.dispatcher.advance()
        for view in self.registry.snapshot():
            if view.state is RunState.STARTING:
                self.fake.begin(self.handle(view.name))
        self.registry.refresh()
        self.registry.dispatcher.advance()  # which sees that they have begun

    def handle(self, name: str) -> Handle:
        view = self.view(name)
        assert view.record is not None
        return self.fake.adopt(view.paths, view.record)

    def view(self, name: str):  # type: ignore[no-untyped-def]
        return next(view for view in self.registry.snapshot() if view.name == name)

    def end(self, name: str, code: int = 0) -> None:
        self.fake.end(self.handle(name), code)
        self.tick()

    @property
    def states(self) -> dict[str, str]:
        return {view.name: view.state.name for view in self.registry.snapshot()}

    def devices(self, name: str) -> str | None:
        return self.view(name).record.last.env.get("CUDA_VISIBLE_DEVICES")
