"""The workspaces of the tests of the Runs page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lfdash.engine.services import Services
from lfdash.runs.record import RunState
from tests.support import app as pages
from tests.support.many import add_plain, add_run


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    with pages.with_fake_runs(tmp_path / "workspace", monkeypatch) as found:
        yield found


@pytest.fixture
def three(services: Services) -> Services:
    """Two runs of ours, and one of the plain CLI between them."""
    root = services.workspace.root
    add_run(root, "old", age=9000, checkpoints=(20, 40))
    add_run(root, "new", state=RunState.FAILED, steps=20, age=5000, stage="dpo", model="other", checkpoints=(10,))
    add_plain(root, "cli")
    services.registry.refresh()
    services.registry.summaries.step(services.registry.snapshot(), budget=60)
    return services
