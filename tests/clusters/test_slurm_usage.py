"""What a run has used so far, on a cluster that counts it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lfdash.launchers.base import Launched
from tests.support.clusters.launchers import slurm_launcher
from tests.support.clusters.slurm import SlurmCluster
from tests.support.runs import plan_for, record_for, wait_for, wait_ready

pytestmark = pytest.mark.clusters


@pytest.fixture
def counting(cluster: SlurmCluster) -> Iterator[SlurmCluster]:
    """A Slurm that counts, beside the one of the session."""
    made = SlurmCluster(names=("s1", "s2"), gather="linux")
    try:
        yield made.start()
    finally:
        made.stop()


def test_a_run_tells_what_it_has_used(
    counting: SlurmCluster, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lfdash.launchers.slurm_usage.EVERY_S", 1.0)
    launcher = slurm_launcher(counting)
    plan = launcher.plan(plan_for(workspace, steps=100000, delay=0.01))
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    wait_ready(outcome.handle)
    found = wait_for(lambda: launcher.usage(outcome.handle), 60)
    assert found is not None and found.max_rss is not None
    assert 1 << 20 < found.max_rss < 1 << 34 and found.cpu_s is not None and found.cpu_s >= 0
    assert launcher.stop(outcome.handle, "kill") is None
    wait_for(lambda: launcher.poll(outcome.handle).phase == "ended", 30)
