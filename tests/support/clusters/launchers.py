"""Launchers for the schedulers of the tests."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

from lfdash.launchers.ray import RayLauncher
from lfdash.launchers.ray_calls import Calls as RayCalls
from lfdash.launchers.ray_jobs import RayJobs
from lfdash.launchers.slurm_array import SlurmArrays
from lfdash.launchers.slurm_calls import Calls
from lfdash.launchers.slurm_jobs import SlurmJobs
from lfdash.targets.target import Target
from tests.support.clusters.ray import RayCluster
from tests.support.clusters.slurm import SlurmCluster

LAB = Target("lab", "slurm", python=sys.executable, gpus=0, memory="100M", cpus=1, save_s=0)


def slurm_launcher(cluster: SlurmCluster, jobs: SlurmJobs | None = None, **more: Any) -> SlurmArrays:
    """A launcher of a target on a cluster, which asks for itself: another process would do so, too. more: of the
    target."""
    target = replace(LAB, slurm_conf=str(cluster.conf), **more)
    asks = jobs or SlurmJobs(Calls(target.slurm_conf))
    return SlurmArrays("slurm:lab", lambda name: target, jobs=lambda conf: asks)


def ray_target(cluster: RayCluster, **more: Any) -> Target:
    """A target on a Ray cluster."""
    where = {"address": cluster.address, "token_file": str(cluster.token_file)}
    return replace(Target("pool", "ray", python=sys.executable, cpus=1, gpus=0, save_s=20), **{**where, **more})


def ray_launcher(cluster: RayCluster, jobs: RayJobs | None = None, **more: Any) -> RayLauncher:
    """A launcher of a target on a Ray cluster, which asks for itself."""
    target = ray_target(cluster, **more)
    asks = jobs or RayJobs(RayCalls(target.address, target.token_file))
    return RayLauncher("ray:pool", lambda name: target, jobs=lambda calls: asks)
