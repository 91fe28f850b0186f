"""Sweeps on a scheduler that refuses, is silent or not known: nothing is hammered, nothing is lost, and it is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lfdash.demo.__main__ import make_data
from lfdash.engine import sweeps as module
from lfdash.engine.opening import open_config
from lfdash.engine.rests import FIRST_S, Rests
from lfdash.engine.services import Services, find_project
from lfdash.engine.sweep_target import LIMIT
from lfdash.engine.sweep_views import SweepView
from lfdash.engine.sweeps import attach
from lfdash.jobs.sweep import Sweep, read_sweep
from lfdash.launchers import slurm_jobs
from lfdash.launchers.slurm_array import AGAIN_S, ArraySize
from lfdash.launchers.slurm_calls import Calls
from lfdash.outcomes import Refused
from lfdash.targets.target import Target
from tests.support import ROOT
from tests.support import fake_slurm as fake
from tests.support.fake_slurm import FakeSlurm
from tests.support.models import pretend_model
from tests.support.runs import fake_cli, wait_for

PRESET = ROOT / "configs" / "presets" / "demo.yaml"
GRID = {"learning_rate": "0.001, 0.002, 0.003", "lora_rank": [8, 16]}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    slurm_jobs.KNOWN.clear()
    return FakeSlurm(tmp_path / "slurm", monkeypatch)


class Dashboard:
    """Services on a workspace with a target, whose thread and clocks a test takes the place of."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.services = Services(find_project(), folder)
        self.services.registry.rests = Rests(lambda: self.now)
        self.sweeps = attach(self.services)
        self.services.registry.refresh()

    def turn(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.services.registry.refresh()
        self.sweeps.tick()

    def create(self, settings: Any = GRID, **options: Any) -> SweepView:
        opened = open_config(self.services, PRESET, None, "lab")
        assert not isinstance(opened, Refused)
        sweep = read_sweep({"settings": settings, **options}, opened.job)
        assert isinstance(sweep, Sweep), sweep
        found = self.sweeps.create(opened.job, sweep)
        assert isinstance(found, SweepView), found
        return found

    def why(self, sweep: SweepView) -> str:
        found = self.sweeps.get(sweep.id)
        assert isinstance(found, SweepView)
        refused = self.sweeps.refused(found)
        return f"{refused.code}: {refused.params.get('reason')}" if refused else ""


@pytest.fixture
def dashboard(slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: ((), None))
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    monkeypatch.setenv("LFDASH_CLI", fake_cli(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    make_data(tmp_path / "workspace" / "data")
    pretend_model(tmp_path / "workspace")
    found = Dashboard(tmp_path / "workspace")
    assert found.services.registry.targets.put(Target("lab", "slurm", python=sys.executable), None) is None
    yield found
    found.services.close()


def test_runs_one_by_one_rest_after_a_refusal(dashboard: Dashboard, slurm: FakeSlurm) -> None:
    slurm.says("refuses", fake.GONE)
    sweep = dashboard.create({"learning_rate": "0.0001 .. 0.01"}, strategy="tpe", trials=4, parallel=3)
    for _ in range(5):
        dashboard.turn(1.0)
    assert len(slurm.calls("sbatch")) == 1 and "Unable to contact" in dashboard.why(sweep)
    dashboard.turn(FIRST_S)
    assert len(slurm.calls("sbatch")) == 2
    dashboard.turn(FIRST_S)
    assert len(slurm.calls("sbatch")) == 2  # it rests longer than before
    slurm.says("refuses")
    dashboard.turn(FIRST_S)
    dashboard.turn()
    assert len(slurm.jobs()) == 3 and dashboard.why(sweep) == ""


def test_an_array_that_nobody_took_leaves_no_more_runs_than_may_go_on_at_once(
    dashboard: Dashboard, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no arrays any more; after the first that is refused the others are not tried."""
    monkeypatch.setattr(ArraySize, "look", lambda self: 6)
    slurm.says("refuses", fake.GONE)
    sweep = dashboard.create(parallel=2)
    dashboard.turn()
    assert len(slurm.calls("sbatch")) == 1
    monkeypatch.setattr(ArraySize, "look", lambda self: 0)
    dashboard.turn(FIRST_S)
    assert len(slurm.calls("sbatch")) == 2
    slurm.says("refuses")
    for _ in range(5):
        dashboard.turn(10 * FIRST_S)
    assert list(slurm.jobs().values()) == [1, 1]
    found = dashboard.sweeps.get(sweep.id)
    assert isinstance(found, SweepView) and len(found.trials) == 6


def test_an_array_is_as_large_as_its_cluster_lets_it_be(dashboard: Dashboard, slurm: FakeSlurm) -> None:
    dashboard.create(parallel=2)
    slurm.says("size", "4")
    wait_for(lambda: (dashboard.turn(), slurm.jobs())[1])
    assert list(slurm.jobs().values()) == [4]


@pytest.mark.parametrize(("text", "sizes"), [(fake.GONE, [6]), (fake.LIMIT, [1])])
def test_only_a_limit_makes_arrays_smaller(
    dashboard: Dashboard, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, text: str, sizes: list[int]
) -> None:
    monkeypatch.setattr(ArraySize, "look", lambda self: 100)
    slurm.says("refuses", text)
    sweep = dashboard.create(parallel=2)
    for _ in range(2):  # 6, 3
        dashboard.turn(FIRST_S * 10)
    assert text.rpartition(": ")[2][:20] in dashboard.why(sweep)
    slurm.says("refuses")
    dashboard.turn(FIRST_S * 10)
    assert list(slurm.jobs().values()) == sizes
    assert dashboard.sweeps.handover.most.get(sweep.id) == (2 if sizes == [1] else None)  # and larger again


@pytest.mark.parametrize(
    ("said", "limits"),
    [
        (fake.LIMIT, True), ("Batch job submission failed: Invalid job array specification", True),
        ("QOSMaxSubmitJobPerUserLimit", True), ("AssocMaxJobsLimit", True), (fake.GONE, False),
        ("Batch job submission failed: Invalid partition name specified", False),
        ("Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)", False),
    ],
)
def test_what_names_a_limit_of_jobs(said: str, limits: bool) -> None:
    assert (LIMIT.search(said) is not None) is limits


def test_nothing_is_handed_over_while_nobody_knows_how(dashboard: Dashboard, slurm: FakeSlurm) -> None:
    """And a controller that does not say is asked once in a while, not at each turn."""
    slurm.says("refuses", "slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)")
    sweep = dashboard.create(parallel=2)
    for _ in range(5):
        dashboard.turn()
    wait_for(lambda: "scheduler_silent" in dashboard.why(sweep) and "Unable" in dashboard.why(sweep))
    for _ in range(5):
        dashboard.turn()
    assert len(slurm.calls("scontrol")) == 1 and slurm.calls("sbatch") == []


def test_the_size_of_an_array_is_asked_again_after_a_rest(slurm: FakeSlurm) -> None:
    now = [0.0]
    size = ArraySize(Calls(), lambda: now[0])
    slurm.says("refuses", "no answer")
    assert isinstance(size.look(), Refused)
    slurm.says("refuses")
    now[0] += AGAIN_S - 1
    assert isinstance(size.look(), Refused) and not size._busy
    now[0] += 1
    assert wait_for(lambda: not isinstance(found := size.look(), Refused) and found) == 100
    assert len(slurm.calls("scontrol")) == 2


def test_without_scontrol_there_are_no_arrays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ArraySize(Calls()).look() == 0
