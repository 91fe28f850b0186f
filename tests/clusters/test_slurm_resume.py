"""What Slurm ends before it is done goes on by itself, exactly once, and only where it is meant to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lfdash.engine import rests, resuming
from lfdash.engine.resume import prepare_resume
from lfdash.engine.resuming import Resuming, Standing, attach, goes_on, look_standing, standing
from lfdash.engine.services import Services, find_project
from lfdash.launchers.base import Launched
from lfdash.outcomes import Refused
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView
from lfdash.supervisor.failpoints import VARIABLE
from lfdash.targets.target import Target
from tests.clusters.test_slurm_workspace import job, target_on
from tests.support.clusters.slurm import CONF, SlurmCluster
from tests.support.resuming import resumed_words
from tests.support.runs import fake_cli, wait_end, wait_for

pytestmark = pytest.mark.clusters
LIMIT: dict[str, Any] = {"save_s": 30, "resume": 3, "memory": "100M"}


@pytest.fixture
def folder(cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: ((), None))
    monkeypatch.setattr(resuming, "EVERY_S", 0.1)
    monkeypatch.setenv("LFDASH_CLI", fake_cli(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace"


def opened(folder: Path, cluster: SlurmCluster, *, starts: bool = True, **more: Any) -> Services:
    made = Services(find_project(), folder)
    if more:
        known = made.registry.targets.get("lab")
        before = known if isinstance(known, Target) else None
        assert made.registry.targets.put(target_on(cluster, **more), before) is None
    attach(made)
    made.registry.start() if starts else made.registry.refresh()
    return made


@pytest.fixture
def services(folder: Path, cluster: SlurmCluster) -> Iterator[Services]:
    made = opened(folder, cluster, **LIMIT)
    yield made
    made.close()


def started(services: Services, **args: Any) -> RunView:
    plan, record = job(services, **args)
    assert isinstance(services.registry.launch(plan, record), Launched)
    return wait_for(lambda: services.registry.get(plan.run_id))


def seen(services: Services) -> RunView:
    found = services.registry.get("id-r1")
    assert found is not None and found.record is not None
    return found


def told(services: Services) -> str:
    found = standing(services, seen(services))
    return found.code if isinstance(found, Standing) else ""


def jobs_of(cluster: SlurmCluster) -> set[str]:
    return {job for job, _, name in cluster.jobs() if name.startswith("lfdash-id-r1-")}


@pytest.fixture(autouse=True)
def fresh(cluster: SlurmCluster) -> set[str]:
    """The jobs of earlier tests with these names, which Slurm still remembers and may forget at any time."""
    return jobs_of(cluster)


def at_its_limit(services: Services, cluster: SlurmCluster) -> None:
    """The signal that Slurm sends before a time limit, which it looks at every 30 s only."""
    cluster.call("scancel", "--batch", "--signal=USR1", wait_for(lambda: seen(services).scheduled).job)


def has_won(services: Services, number: int) -> None:
    """Until an attempt has saved a checkpoint of its own."""
    wait_for(lambda: seen(services).attempt == number and seen(services).state is RunState.RUNNING, 30)
    before = max(seen(services).saved.checkpoints, default=0)
    wait_for(lambda: max(seen(services).saved.checkpoints, default=0) > before, 30)


def test_a_real_time_limit_is_gone_on_from(folder: Path, cluster: SlurmCluster) -> None:
    services = opened(folder, cluster, **LIMIT, time_limit="1")
    try:
        started(services, steps=100000, delay=0.01, checkpoints=10)
        wait_for(lambda: seen(services).attempt == 2, 60)
        assert services.registry.stop("id-r1", "kill") is None
        assert wait_end(services.registry, "id-r1", 60).record.last.automatic
    finally:
        services.close()


def test_a_time_limit_is_gone_on_from_once_by_two_dashboards(
    services: Services, folder: Path, cluster: SlurmCluster, fresh: set[str]
) -> None:
    """To the end of the training, from the last checkpoint each time."""
    other = opened(folder, cluster)
    try:
        started(services, steps=600, delay=0.02, checkpoints=5)
        for number in (1, 2):
            has_won(services, number)
            at_its_limit(services, cluster)
        wait_for(lambda: seen(services).attempt == 3, 30)
        view = wait_for(lambda: (v := seen(services)).state is RunState.SUCCEEDED and v, 60)
    finally:
        other.close()
    numbers = [attempt.number for attempt in view.record.attempts]
    assert len(numbers) > 1 and numbers == list(range(1, len(numbers) + 1))
    assert [attempt.automatic for attempt in view.record.attempts] == [False, *[True] * (len(numbers) - 1)]
    assert len(jobs_of(cluster) - fresh) == len(numbers)
    assert view.paths.console.read_text().count("started\n") == len(numbers)
    assert (view.path / "attempts" / "002" / "spec.json").read_text().count('"step": 0') == 0


def test_a_time_limit_is_gone_on_from_when_the_scheduler_is_back(
    services: Services, cluster: SlurmCluster
) -> None:
    """However long it was down: it is tried again and again, less and less often, and the page says why it waits."""
    minutes = [0.0]
    rests = services.registry.rests
    rests._clock = lambda: 60 * minutes[0]
    started(services, steps=40000, delay=0.01, checkpoints=20)
    has_won(services, 1)
    services.registry.queue.change_settings(paused=True)  # until the controller is down
    at_its_limit(services, cluster)
    wait_for(lambda: seen(services).state is RunState.STOPPED, 60)
    cluster.kill("slurmctld")
    services.registry.queue.change_settings(paused=False)
    key = resuming.rest_keys(seen(services))[0]
    pauses: list[float] = []
    for _ in range(3):
        pause = wait_for(lambda: (rest := rests._known.get(key)) and rest.pause not in pauses and rest.pause, 90)
        pauses.append(pause)
        assert told(services) == "resume_tries" and seen(services).attempt == 1
        assert "Nothing was started: the scheduler" in resumed_words(services, "en", seen(services))
        minutes[0] += 10
    assert pauses == [30.0, 60.0, 120.0]
    cluster.start_controller()
    # it may take the job that ended meanwhile for one that runs, for a minute

    def goes_on() -> bool:
        minutes[0] += 1
        return seen(services).attempt == 2 and (seen(services).progress.step or 0) > 20

    wait_for(goes_on, 120)
    # a controller that was killed may count its jobs anew
    assert seen(services).paths.console.read_text().count("started\n") == 2
    assert [attempt.automatic for attempt in seen(services).record.attempts] == [False, True]
    assert services.registry.stop("id-r1", "kill") is None
    wait_end(services.registry, "id-r1", 40)


@pytest.mark.parametrize("signed", [True, False])
def test_not_in_a_copy_or_a_folder_of_somebody_else(folder: Path, cluster: SlurmCluster, signed: bool) -> None:
    """It would train a second time, or what somebody else wrote. The run itself goes on, even after it was away."""
    services = opened(folder, cluster, starts=False, **LIMIT)
    plan, record = job(services, steps=100000, delay=0.01, checkpoints=5)
    assert isinstance(services.registry.launch(plan, record), Launched)

    def at(name: str) -> RunView:
        services.registry.refresh()
        return next(view for view in services.registry.snapshot() if view.path.name == name)

    wait_for(lambda: at("r1").saved.checkpoints, 30)
    cluster.call("scancel", "--batch", "--signal=USR1", wait_for(lambda: at("r1").scheduled).job)
    run = wait_for(lambda: (v := at("r1")).state is RunState.STOPPED and v, 30)
    copy = run.path.with_name("copy")
    shutil.copytree(run.path, copy)
    if not signed:
        spec = json.loads((copy / "attempts/001/spec.json").read_text())
        spec.update(signed="\ud800", uid=12345, host="x")
        (copy / "attempts/001/spec.json").write_text(json.dumps(spec))
    turns = Resuming(services)
    assert turns.consider(at("copy")) and not (copy / "attempts/002").exists()
    assert standing(services, at("copy")).code == "resume_strange"
    assert "It does not go on by itself: this folder" in resumed_words(services, "en", at("copy"))
    assert standing(services, at("r1")).code == "resume_next"
    run.path.rename(run.path.with_name("moved"))
    assert standing(services, at("moved")).code == "resume_strange"
    run.path.with_name("moved").rename(run.path)
    assert turns.consider(at("r1")) and at("r1").attempt == 2
    services.registry.stop("id-r1", "kill")
    services.close()


def test_not_after_a_stop_while_it_was_about_to(folder: Path, cluster: SlurmCluster) -> None:
    """Before the next attempt is there, in the moment when it is submitted, and after that."""
    services = opened(folder, cluster, starts=False, **LIMIT)
    registry = services.registry
    plan, record = job(services, steps=100000, delay=0.01, checkpoints=5)
    assert isinstance(registry.launch(plan, record), Launched)

    def looked() -> RunView:
        registry.refresh()
        return seen(services)

    wait_for(lambda: looked().saved.checkpoints, 30)
    cluster.call("scancel", "--batch", "--signal=USR1", wait_for(lambda: looked().scheduled).job)
    view = wait_for(lambda: (v := looked()).state is RunState.STOPPED and v, 30)
    assert goes_on(look_standing(services, view))
    prepared = prepare_resume(services, view, view.saved.checkpoints[-1], "x")
    assert registry.stop("id-r1", "graceful") is None
    assert not goes_on(look_standing(services, looked())) and resumed_words(services, "en", seen(services)) == ""
    assert registry.stop("id-r1", "graceful") == Refused("not_running"), "there is nothing more to stop"
    assert Resuming(services).consider(seen(services)) and looked().attempt == 1
    late = registry.launch(prepared.plan, prepared.record.with_last(automatic=True), prepared.request)
    assert late == Refused("stays") and looked().attempt == 1
    assert isinstance(registry.launch(prepared.plan, prepared.record, prepared.request), Launched), "by hand"
    assert registry.stop("id-r1", "kill") is None
    wait_for(lambda: looked().state is RunState.STOPPED, 30)
    services.close()


def test_one_that_began_nothing_is_made_anew_after_a_while(
    folder: Path, cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node may be broken, or its disk late. What failed is told meanwhile, and not tried as fast as it fails."""
    monkeypatch.setattr(rests, "FIRST_S", 3.0)
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    services = opened(folder, cluster, **LIMIT, python=str(python))
    try:
        started(services, steps=100000, delay=0.01, checkpoints=5)
        has_won(services, 1)
        python.unlink()
        at_its_limit(services, cluster)
        wait_for(lambda: told(services) == "resume_tries" and seen(services).attempt == 1, 60)
        words = resumed_words(services, "en", seen(services))
        assert "its job has begun nothing (Slurm: FAILED" in words and "python" in words
        python.symlink_to(sys.executable)
        wait_for(lambda: seen(services).attempt == 2 and seen(services).state is RunState.RUNNING, 60)
        assert services.registry.stop("id-r1", "kill") is None
        wait_end(services.registry, "id-r1", 60)
    finally:
        services.close()


def test_not_without_a_step_that_was_won(services: Services, cluster: SlurmCluster) -> None:
    started(services, steps=100000, delay=0.01)
    wait_for(lambda: (seen(services).progress.step or 0) > 1)
    at_its_limit(services, cluster)
    wait_for(lambda: seen(services).state is RunState.STOPPED, 40)
    wait_for(lambda: told(services) == "resume_no_step")
    settled(services)
    assert seen(services).attempt == 1 and "no checkpoint" in resumed_words(services, "en", seen(services))


def test_not_from_the_checkpoint_that_it_began_with(services: Services, cluster: SlurmCluster) -> None:
    """Else it would go on for ever where the time is too short for a checkpoint."""
    started(services, steps=100000, delay=0.01, checkpoints=500)
    has_won(services, 1)
    at_its_limit(services, cluster)
    wait_for(lambda: seen(services).attempt == 2 and (seen(services).progress.step or 0) > 500, 40)
    at_its_limit(services, cluster)
    wait_for(lambda: seen(services).state is RunState.STOPPED and told(services) == "resume_no_step", 40)
    settled(services)
    assert seen(services).attempt == 2 and seen(services).saved.checkpoints == (500,)


def test_not_more_often_than_its_target_says(folder: Path, cluster: SlurmCluster) -> None:
    services = opened(folder, cluster, **{**LIMIT, "resume": 1})
    try:
        started(services, steps=100000, delay=0.01, checkpoints=10)
        for number in (1, 2):
            has_won(services, number)
            at_its_limit(services, cluster)
        wait_for(lambda: seen(services).state is RunState.STOPPED and told(services) == "resume_limit", 40)
        settled(services)
        assert seen(services).attempt == 2
    finally:
        services.close()


def settled(services: Services) -> None:
    """Until it is decided, in a whole turn of the thread."""
    turns = Resuming(services)
    turns.tick()
    wait_for(lambda: (setattr(turns, "_next", 0.0), turns.tick(), bool(turns._settled))[2])


@pytest.mark.parametrize("how", ["stop", "scancel"])
def test_not_after_somebody_stopped_it(services: Services, cluster: SlurmCluster, how: str) -> None:
    started(services, steps=100000, delay=0.01, checkpoints=10)
    wait_for(lambda: seen(services).saved.checkpoints)
    if how == "stop":
        assert services.registry.stop("id-r1", "graceful") is None
    else:
        cluster.call("scancel", wait_for(lambda: seen(services).scheduled).job)
    wait_end(services.registry, "id-r1", 40)
    settled(services)
    assert seen(services).attempt == 1 and told(services) == ""


SPARE = """\
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
PartitionName=spare Nodes=n1,n2 State=UP OverSubscribe=NO PriorityTier=0
"""


@pytest.fixture
def preempting(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    """A Slurm whose partition spare gives its nodes up to the others."""
    monkeypatch.setattr("tests.support.clusters.slurm.CONF", CONF + SPARE)
    made = SlurmCluster()
    try:
        yield made.start()
    finally:
        made.stop()


def test_one_that_makes_room_for_another_goes_on(folder: Path, preempting: SlurmCluster) -> None:
    cluster = preempting
    services = opened(folder, cluster, partition="spare", resume=1, memory="4000M")
    try:
        started(services, steps=100000, delay=0.02, checkpoints=10)
        wait_for(lambda: seen(services).saved.checkpoints, 40)
        script = folder / "other.sh"
        script.write_text("#!/bin/sh\nsleep 5\n")
        for _ in range(2):
            cluster.call("sbatch", "--mem=4000", "-p", "main", "-o", "/dev/null", str(script))
        view = wait_for(lambda: (v := seen(services)).attempt == 2 and v, 60)
        first = view.record.attempts[0]
        assert first.exit is None or first.exit.by in ("signal", "preempted")  # what its supervisor, or Slurm said
        wait_for(lambda: seen(services).state is RunState.RUNNING, 60)
        assert services.registry.stop("id-r1", "kill") is None
        assert [attempt.automatic for attempt in view.record.attempts] == [False, True]
    finally:
        services.close()


RESUMES = """
import sys
from pathlib import Path
from lfdash.engine import rests, resuming
from lfdash.engine.services import Services, find_project
resuming.EVERY_S = 0.1
services = Services(find_project(), Path(sys.argv[1]))
turns = resuming.attach(services)
services.registry.start()
services.registry._thread.join(60)
"""


@pytest.mark.parametrize(
    "point",
    ["resume.before_rename", "resume.after_rename", "resume.files_written", "scheduler.sealed", "scheduler.submitted"],
)
def test_a_dashboard_that_is_killed_while_it_resumes(
    folder: Path, cluster: SlurmCluster, fresh: set[str], point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lfdash.launchers.watching.SUBMIT_S", 1.0)
    services = opened(folder, cluster, starts=False, **{**LIMIT, "resume": 1})
    started(services, steps=4000, delay=0.01, checkpoints=20)

    def has_saved() -> bool:
        services.registry.refresh()
        return bool(seen(services).saved.checkpoints and seen(services).scheduled)

    def is_over() -> bool:
        services.registry.refresh()
        return seen(services).state is RunState.STOPPED

    wait_for(has_saved, 40)
    at_its_limit(services, cluster)
    wait_for(is_over, 40)
    services.close()
    done = subprocess.run(
        [sys.executable, "-c", RESUMES, str(folder)], env={**os.environ, VARIABLE: f"{point}=kill"},
        capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    later = opened(folder, cluster)
    try:
        wait_for(lambda: seen(later).attempt == 2 and (seen(later).progress.step or 0) > 20, 60)
        assert len(jobs_of(cluster) - fresh) == 2
        assert [attempt.automatic for attempt in seen(later).record.attempts] == [False, True]
        assert later.registry.stop("id-r1", "kill") is None
        assert wait_end(later.registry, "id-r1", 40).attempt == 2
        settled(later)
        assert seen(later).attempt == 2
    finally:
        later.close()
