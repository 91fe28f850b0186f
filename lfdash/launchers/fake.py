"""A launcher without processes, for tests and for trying the page: runs begin and end when told to.

Like the local one it keeps what it knows in the run's folder, so another instance can adopt its runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lfdash.files import look_json
from lfdash.launchers import folder
from lfdash.launchers.base import Launched, Level
from lfdash.outcomes import Refused
from lfdash.runs.paths import RunPaths
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import Exit, Handle, RunRecord, Status, read_exit


class FakeLauncher:
    """Every run waits for `put_off`, `begin` or `end`. `secrets` keeps what the last submit was given.

    name, local: as another launcher would have them, for whom it stands.
    """

    def __init__(self, name: str = "fake", *, local: bool = True) -> None:
        self.name, self.local = name, local
        self.secrets: Mapping[str, str] = {}

    def plan(self, plan: LaunchPlan) -> LaunchPlan:
        return plan

    def submit(self, plan: LaunchPlan, record: RunRecord, secrets: Mapping[str, str]) -> Launched | Refused:
        """Makes the folder; nothing is started."""
        paths = folder.make(plan, replace(record, launcher=self.name))
        if isinstance(paths, Refused):
            return paths
        self.secrets = dict(secrets)
        return Launched(Handle(plan.run_id, plan.attempt, paths))

    def adopt(self, paths: RunPaths, record: RunRecord) -> Handle:
        return Handle(record.run_id, record.last.number, paths)

    def poll(self, handle: Handle) -> Status:
        control = handle.paths.attempt(handle.attempt)
        wish = control.read_wish()
        ended = read_exit(handle)
        if ended is not None:
            return Status("ended", ended, wish, ended.started)
        child = look_json(control.child)
        if child.get("pending"):
            return Status("pending", None, wish)
        return Status("running" if child else "starting", None, wish, child.get("started"))

    def stop(self, handle: Handle, level: Level) -> Refused | None:
        """Leaves the token; `end` it is that ends the run."""
        if self.poll(handle).phase == "ended":
            return Refused("not_running")
        handle.paths.attempt(handle.attempt).stop(level).touch()
        return None

    def give_up(self, handle: Handle) -> bool:
        """False: nobody comes late."""
        return False

    def reap(self) -> None:
        """Nothing: there are no processes."""

    def release(self, handle: Handle, seconds: float) -> None:
        """Nothing: there are no processes."""

    def put_off(self, handle: Handle) -> None:
        """The run waits for its turn elsewhere."""
        handle.paths.attempt(handle.attempt).child.write_text(json.dumps({"pending": True}))

    def begin(self, handle: Handle) -> None:
        """The run's process is there."""
        handle.paths.attempt(handle.attempt).child.write_text(json.dumps({"started": time.time()}))

    def log(self, handle: Handle, row: Mapping[str, Any]) -> None:
        """Appends a line to its trainer log."""
        with handle.paths.trainer_log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def end(self, handle: Handle, code: int) -> None:
        """The run ends; a wish that was left counts as acted on."""
        control = handle.paths.attempt(handle.attempt)
        wish = control.read_wish()
        ended = Exit(handle.run_id, handle.attempt, code, None, (wish,) if wish else (), ended=time.time())
        handle.paths.exit.write_text(json.dumps(ended.__dict__))
