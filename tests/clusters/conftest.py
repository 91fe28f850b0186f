"""What the tests on real schedulers share. Waits are as long as on a real cluster, but for those that only a person
minds."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfdash.launchers import pulse, scheduled, watching
from lfdash.launchers.slurm import SlurmLauncher
from tests.support.clusters.launchers import slurm_launcher
from tests.support.clusters.slurm import SlurmCluster


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A heart that stops is noticed after some seconds; what this user has used is remembered for the test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(scheduled, "BEAT_S", 0.5)
    monkeypatch.setattr(watching, "SETTLE_S", 1.0)
    monkeypatch.setattr(watching, "GONE_S", 4.0)
    for name in ("LOST_S", "AWAY_S", "KILLED_S"):
        monkeypatch.setattr(watching, name, 6.0)
    monkeypatch.setattr(pulse, "DEAD_S", 6.0)


@pytest.fixture
def launcher(cluster: SlurmCluster) -> SlurmLauncher:
    return slurm_launcher(cluster)
