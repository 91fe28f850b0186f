"""The services that the tests of the Train page share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lfdash.engine.services import Services
from tests.support import app as pages


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.delenv("LFDASH_CLI", raising=False)
    with pages.opened(tmp_path / "workspace") as found:
        found._started = True  # its thread would look at the runs at moments of its own
        yield found
