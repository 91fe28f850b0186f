"""Fixtures that the tests of the queue share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.bench import Bench


@pytest.fixture
def bench(workspace: Path) -> Bench:
    return Bench(workspace)
