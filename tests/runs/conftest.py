"""Fixtures that the tests of runs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.finished import Runs
from tests.support.world import World


@pytest.fixture
def world(workspace: Path) -> World:
    return World(workspace)


@pytest.fixture
def runs(workspace: Path) -> Runs:
    return Runs(workspace)
