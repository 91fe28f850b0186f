"""A scheduler that does not answer: nothing else waits for it, and what it is given is given once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lfdash.demo.__main__ import make_data
from lfdash.engine import sweeps
from lfdash.engine.opening import open_config
from lfdash.engine.services import Services, find_project
from lfdash.engine.sweep_views import SweepView
from lfdash.jobs.sweep import Sweep, read_sweep
from lfdash.launchers import slurm_jobs
from lfdash.launchers.base import Launched
from lfdash.launchers.slurm_calls import Calls
from lfdash.outcomes import Refused
from lfdash.queue.store import Queued, QueueSettings
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import RunRecord, RunState
from lfdash.targets.target import Target
from tests.support import ROOT
from tests.support import fake_slurm as fake
from tests.support.fake_slurm import FakeSlurm
from tests.support.models import pretend_model
from tests.support.runs import fake_cli, plan_for, record_for, wait_end, wait_for
from tests.support.terminal import end_runs

PRESET = ROOT / "configs" / "presets" / "demo.yaml"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    slurm_jobs.KNOWN.clear()
    monkeypatch.setattr(Calls.submit, "__defaults__", (600.0,))
    found = FakeSlurm(tmp_path / "slurm", monkeypatch)
    found.says("hangs", "yes")
    yield found
    found.says("hangs")


@pytest.fixture
def services(slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: ((), None))
    monkeypatch.setattr(sweeps, "EVERY_S", 0.1)
    monkeypatch.setenv("LFDASH_CLI", fake_cli(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    make_data(tmp_path / "workspace" / "data")
    pretend_model(tmp_path / "workspace")
    made = Services(find_project(), tmp_path / "workspace")
    assert made.registry.targets.put(Target("lab", "slurm", python=sys.executable), None) is None
    yield made
    slurm.says("hangs")
    end_runs(tmp_path / "workspace")
    made.close()


def job(services: Services, name: str, **args: Any) -> tuple[LaunchPlan, RunRecord]:
    """One for the target."""
    launcher = services.launcher_on("lab")
    plan = launcher.plan(plan_for(services.workspace.root, name=name, cli=services.cli_path, **args))
    return plan, record_for(plan, launcher.name)


def ends_here(services: Services, name: str) -> None:
    """Starts a run of this machine, and another by the queue; both are seen to end."""
    root = services.workspace.root
    for number, begin in enumerate((services.registry.launch, services.registry.enqueue)):
        plan = plan_for(root, name=f"{name}{number}", cli=services.cli_path, steps=2)
        assert isinstance(begin(plan, record_for(plan)), Launched | Queued)
        assert wait_end(services.registry, plan.run_id, 60).state is RunState.SUCCEEDED


def test_a_sweep_that_is_handed_over_lets_everything_else_go_on(services: Services, slurm: FakeSlurm) -> None:
    found = sweeps.attach(services)
    services.registry.start()
    opened = open_config(services, PRESET, None, "lab")
    assert not isinstance(opened, Refused)
    for settings in ({"settings": {"learning_rate": "0.0001 .. 0.01"}, "strategy": "tpe", "trials": 2, "parallel": 1},
                     {"settings": {"lora_rank": [8, 16]}, "parallel": 1}):
        sweep = read_sweep(settings, opened.job)
        assert isinstance(sweep, Sweep) and isinstance(found.create(opened.job, sweep), SweepView)
    wait_for(lambda: slurm.calls("sbatch"), 60)
    ends_here(services, "local")
    assert slurm.jobs() == {}  # it hung all the time
    slurm.says("hangs")
    wait_for(lambda: sorted(slurm.jobs().values()) == [1, 2], 60)
    wait_for(lambda: sum(view.target == "lab" for view in services.registry.snapshot()) == 3, 60)
    assert len(slurm.calls("sbatch")) == 2


@pytest.mark.parametrize("answer", ["", fake.GONE])
def test_a_job_that_the_queue_hands_over_lets_everything_else_go_on(
    services: Services, slurm: FakeSlurm, answer: str
) -> None:
    registry = services.registry
    registry.queue.set_settings(QueueSettings(slots=1, paused=True))
    registry.start()
    for name in ("far1", "far2"):
        assert isinstance(registry.enqueue(*job(services, name)), Queued)
    registry.queue.change_settings(paused=False)
    wait_for(lambda: slurm.calls("sbatch"), 60)
    ends_here(services, "near")
    assert len(slurm.calls("sbatch")) == 1 and slurm.jobs() == {}
    slurm.says("refuses", answer)
    slurm.says("hangs")
    if answer:
        wait_for(lambda: [view.waiting and view.waiting.held and view.waiting.held.code for view in registry.waiting]
                 == ["refused_scheduler_refused"] * 2, 60)
        assert not (services.workspace.root / "saves/m/lora/far1").exists()
    else:
        wait_for(lambda: list(slurm.jobs().values()) == [1, 1] and not registry.waiting, 60)
    assert len(slurm.calls("sbatch")) == 2


def test_one_that_was_stopped_while_it_was_submitted_leaves_its_successor_alone(
    services: Services, slurm: FakeSlurm
) -> None:
    """The refusal comes when another run has the folder."""
    registry = services.registry
    registry.queue.set_settings(QueueSettings(paused=True))
    registry.start()
    assert isinstance(registry.enqueue(*job(services, "far")), Queued)
    registry.queue.change_settings(paused=False)
    wait_for(lambda: slurm.calls("sbatch"), 60)
    wait_for(lambda: registry.stop("id-far", "kill") is None, 60)
    wait_end(registry, "id-far", 60)
    wait_for(lambda: registry.archive.discard("id-far") is None, 60)
    other = plan_for(services.workspace.root, name="other", cli=services.cli_path, steps=2,
                     output_dir="saves/m/lora/far")
    wait_for(lambda: isinstance(registry.launch(other, record_for(other)), Launched), 60)
    assert wait_end(registry, "id-other", 60).state is RunState.SUCCEEDED
    slurm.says("refuses", fake.GONE)
    slurm.says("hangs")
    wait_for(lambda: not registry.dispatcher._later, 60)
    assert (services.workspace.root / "saves/m/lora/far/run.json").exists()
