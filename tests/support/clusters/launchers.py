"""Launchers for the schedulers of the tests."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from lfdash.launchers.slurm import SlurmLauncher
from lfdash.launchers.slurm_calls import Calls
from lfdash.launchers.slurm_jobs import SlurmJobs
from lfdash.targets.target import Target
from tests.support.clusters.slurm import SlurmCluster

LAB = Target("lab", "slurm", python=sys.executable, memory="100M", cpus=1, save_s=0)


def slurm_launcher(cluster: SlurmCluster, jobs: SlurmJobs | None = None, **more: Any) -> SlurmLauncher:
    """A launcher of a target on a cluster, which asks for itself: another process would do so, too. more: of the
    target."""
    target = replace(LAB, slurm_conf=str(cluster.conf), **more)
    asks = jobs or SlurmJobs(Calls(target.slurm_conf))
    return SlurmLauncher("slurm:lab", lambda name: target, jobs=lambda conf: asks)
