"""A page whose runs a fake launcher holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from lfdash.engine.services import Services
from lfdash.launchers.fake import FakeLauncher
from tests.support import app as pages


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setenv("LFDASH_CLI", "/no/llamafactory-cli")
    with pages.opened(tmp_path / "workspace") as found:
        found.registry.launchers.default = FakeLauncher()
        found._started = True  # its thread would look at the runs at moments of its own
        with mock.patch.object(Services, "blocked", None):
            yield found
