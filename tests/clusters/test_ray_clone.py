"""A run that is moved from target to target by cloning it: its settings stay, and nothing of where it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.demo.__main__ import make_data
from lfdash.engine.opening import open_config
from lfdash.engine.plans import prepare
from lfdash.engine.resume import stored
from lfdash.engine.services import Services, find_project
from lfdash.jobs.job import JobConfig
from lfdash.jobs.resources import TARGET
from lfdash.launchers.base import Launched
from lfdash.launchers.slurm_script import FILE
from lfdash.outcomes import Refused
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView
from lfdash.ui.launch.next_steps import same_job
from tests.clusters.test_slurm_workspace import PRESET, target_on
from tests.support.clusters.launchers import ray_target
from tests.support.clusters.ray import RayCluster
from tests.support.clusters.slurm import SlurmCluster
from tests.support.models import pretend_model
from tests.support.runs import fake_cli, wait_end, wait_for

pytestmark = pytest.mark.clusters


@pytest.fixture
def cluster() -> Iterator[SlurmCluster]:
    """A Slurm beside the one of the session, which another worker may have: with nodes of other names."""
    made = SlurmCluster(names=("c1", "c2"))
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def services(
    cluster: SlurmCluster, ray_cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Services]:
    """A workspace with both targets."""
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: ((), None))
    monkeypatch.setenv("LFDASH_CLI", fake_cli(tmp_path))
    make_data(tmp_path / "workspace" / "data")
    pretend_model(tmp_path / "workspace")
    made = Services(find_project(), tmp_path / "workspace")
    for target in (target_on(cluster), ray_target(ray_cluster)):
        assert made.registry.targets.put(target, None) is None
    made.registry.start()
    yield made
    made.close()


def started(services: Services, job: JobConfig, name: str) -> str:
    """Starts a job as a run of a name; its id."""
    named = replace(job, values={**job.values, f"{job.kind}.output_dir": name})
    prepared = prepare(services, named, "")
    outcome = services.registry.launch(prepared.plan, prepared.record, prepared.request)
    assert isinstance(outcome, Launched), outcome
    return outcome.run_id


def clone(services: Services, view: RunView, target: str) -> JobConfig:
    job = same_job(services, view)
    assert not isinstance(job, Refused)
    return job.on(target)


def settings(view: RunView) -> dict[str, object]:
    document = stored(view)
    assert document is not None
    return {name: value for name, value in document.args.items() if name != "output_dir"}


def test_a_run_is_moved_from_target_to_target(services: Services, cluster: SlurmCluster) -> None:
    """From this machine to Slurm, where it waits, to Ray and back."""
    opened = open_config(services, PRESET, {"learning_rate": 0.0005, "lora_rank": 4})
    assert not isinstance(opened, Refused)
    ids = [started(services, opened.job, "first")]
    assert wait_end(services.registry, ids[0], 40).state is RunState.SUCCEEDED
    for name in cluster.names:
        cluster.call("scontrol", "update", f"nodename={name}", "state=drain", "reason=test")
    for target in ("lab", "pool", ""):
        before = services.registry.get(ids[-1])
        assert before is not None
        ids.append(started(services, clone(services, before, target), f"on-{target or 'here'}"))
        if target == "lab":
            view = wait_for(lambda: (found := services.registry.get(ids[-1])) and found.pending and found, 40)
            # one that waits is cloned, too
            assert clone(services, view, "").target == "" and clone(services, view, "pool").target == "pool"
            for name in cluster.names:
                cluster.call("scontrol", "update", f"nodename={name}", "state=resume")
        assert wait_end(services.registry, ids[-1], 90).state is RunState.SUCCEEDED
    views = [view for one in ids if (view := services.registry.get(one)) is not None]
    assert [view.target for view in views] == ["", "lab", "pool", ""]
    assert [view.record.launcher for view in views if view.record] == ["local", "slurm:lab", "ray:pool", "local"]
    assert not any(view.pending or view.scheduled for view in views)
    first, *_, last = views
    assert settings(first)["learning_rate"] == 0.0005 and all(settings(view) == settings(first) for view in views)
    assert [document.env.get(TARGET, "") for view in views if (document := stored(view))] == ["", "lab", "pool", ""]
    assert (views[1].path / FILE).exists() and "ray" not in (views[1].path / FILE).read_text()
    assert not (views[2].path / FILE).exists()

    def made(view: RunView) -> set[str]:
        alerts = "alerts.jsonl"  # a machine that is slow may be worth one
        return {str(one.relative_to(view.path)) for one in view.path.rglob("*") if one.name != alerts}

    assert made(last) == made(first)
    texts = [one.read_bytes() for one in last.path.rglob("*") if one.is_file()]
    assert not any(word in text for word in (b"LFDASH_TARGET", b"slurm", b"ray:") for text in texts)
