"""A page whose runs a fake launcher holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from lfdash.engine.services import Services
from tests.support import app as pages


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    fake = pages.with_fake_runs(tmp_path / "workspace", monkeypatch)
    with fake as found, mock.patch.object(Services, "blocked", None):
        yield found
