"""*Test this target* on a real Ray: what is found, what is said where nothing can be, and nothing stays behind."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfdash.engine import target_tests
from lfdash.engine.target_tests import TargetTests
from lfdash.launchers.ray_probe import RayProbe
from lfdash.launchers.target_probe import FOLDER, named_probe
from lfdash.targets.target import Target
from tests.clusters.test_slurm_target_test import finished
from tests.support.clusters.ray import CPUS, RayCluster
from tests.support.clusters.slurm import until
from tests.support.runs import fake_cli

pytestmark = pytest.mark.clusters


@pytest.fixture
def tests(workspace: Path, tmp_path: Path) -> Iterator[TargetTests]:
    made = TargetTests(workspace, lambda: fake_cli(tmp_path))
    yield made
    made.close()


def target_on(cluster: RayCluster, **more: Any) -> Target:
    target = Target(
        "lab", "ray", address=cluster.address, token_file=str(cluster.token_file), python=sys.executable, gpus=0,
        memory="200M",
    )
    return replace(target, **more)


def nothing_stays(workspace: Path, cluster: RayCluster) -> bool:
    """What waits in Ray goes on waiting, and does nothing."""
    live = [row for row in cluster.jobs(workspace) if row["status"] == "RUNNING"]
    return not (workspace / FOLDER).exists() and not live


def hold(cluster: RayCluster) -> list[str]:
    """Both nodes are full. The jobs that fill them, with ids that were never there (`RayCluster.clear`)."""
    ids = [f"hold-{secrets.token_hex(4)}" for _ in range(2)]
    for one in ids:
        cluster.request("POST", "/api/jobs/", {
            "entrypoint": "sleep 600", "submission_id": one, "entrypoint_num_cpus": CPUS,
        })
    assert until(lambda: sum(row["status"] == "RUNNING" for row in cluster.jobs()) == 2, 30)
    return ids


def test_what_is_there_is_found(tests: TargetTests, ray_cluster: RayCluster, workspace: Path) -> None:
    target = target_on(ray_cluster, cpus=2)
    result = finished(tests, target)
    facts = result.facts
    assert facts is not None and result.failure is None and result.is_of(target), result.failure
    assert facts.packages is not None and {"llamafactory", "torch", "transformers"} <= set(facts.packages)
    assert facts.error == "" and facts.gpus == () and facts.python.startswith("3.") and facts.locks == "seen"
    assert facts.clock is not None and facts.clock[0] <= 0 <= facts.clock[1]
    assert tests.facts(target) == facts and tests.facts(replace(target, address="http://127.0.0.1:1")) is None
    assert until(lambda: nothing_stays(workspace, ray_cluster), 20)


@pytest.mark.parametrize(("more", "code", "word"), [
    ({"workspace": "/nowhere/else"}, "unseen", "/nowhere/else"),
    ({"python": "/no/such/python"}, "python", "/no/such/python"),
    ({"setup": ("true", "echo no lf; conda_activate lf")}, "setup", "conda_activate: command not found"),
    ({"setup": ("true", "echo no lf; conda_activate lf")}, "setup", "echo no lf; conda_activate lf"),
    ({"token_file": "/no/such/token"}, "not_begun", "No such file"),
    ({"token_file": ""}, "not_begun", "wants one"),
    ({"address": "http://127.0.0.1:1"}, "not_begun", "refused"),
])
def test_what_is_wrong_is_told(
    tests: TargetTests, ray_cluster: RayCluster, workspace: Path, monkeypatch: pytest.MonkeyPatch,
    more: dict[str, Any], code: str, word: str,
) -> None:
    monkeypatch.setattr(target_tests, "SETTLE_S", 1.0)
    result = finished(tests, target_on(ray_cluster, **more))
    assert result.facts is None and result.failure is not None and result.failure.code == code, result
    assert word in str(result.failure.params)
    assert until(lambda: nothing_stays(workspace, ray_cluster), 20)


def test_one_that_waits_says_why_and_is_called_off(
    tests: TargetTests, ray_cluster: RayCluster, workspace: Path
) -> None:
    hold(ray_cluster)
    tests.start(target_on(ray_cluster))

    def waits() -> bool:
        going = tests.going("lab")
        return going is not None and going[1].name == "wait" and "waiting for resources" in going[1].seen.reason

    assert until(waits, 30), tests.going("lab")
    tests.cancel("lab")
    assert tests.going("lab") is None and until(lambda: nothing_stays(workspace, ray_cluster), 30)
    assert tests.last("lab") is None


def test_what_a_dashboard_left_is_tidied_up(tests: TargetTests, ray_cluster: RayCluster, workspace: Path) -> None:
    held = hold(ray_cluster)
    target = target_on(ray_cluster)
    left = named_probe(workspace, target, "llamafactory-cli", "test-0123456789ab")
    os.close(left.make())
    RayProbe(left).submit()
    tests.start(target)
    assert until(lambda: not left.root.exists(), 30)
    for one in held:
        ray_cluster.stop_job(one)
    assert until(lambda: tests.going("lab") is None and tests.last("lab"), 60)
    assert until(lambda: nothing_stays(workspace, ray_cluster), 20)
    ended = {row["submission_id"]: row["status"] for row in ray_cluster.jobs(workspace)}
    assert ended["lfdash-test-0123456789ab-1"] in ("STOPPED", "FAILED")
