"""*Test this target* with a scheduler that is made up: the program that looks around is the real one."""

from __future__ import annotations

import errno
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from lfdash.engine import target_tests
from lfdash.engine.target_facts import MOST_PACKAGES, Failure, TargetGpu, TargetResult, deciding, facts_in
from lfdash.engine.target_tests import TargetTests
from lfdash.files import Unreadable
from lfdash.launchers.scheduled import write_supervisor
from lfdash.launchers.target_probe import FOLDER, Probe, Seen
from lfdash.targets.target import Target
from tests.support.runs import fake_cli, wait_for

LAB = Target("lab", "slurm", python="python3")


class Job:
    """A job of a scheduler that is told what to say. does: what submitting it does."""

    def __init__(self, probe: Probe, seen: Seen, does: Callable[[Probe], None]) -> None:
        self.probe, self.seen, self.does = probe, seen, does
        self.canceled = 0

    def submit(self) -> None:
        self.does(self.probe)

    def look(self) -> Seen:
        return Seen("CANCELLED", over=True) if self.canceled else self.seen

    def cancel(self) -> None:
        self.canceled += 1


class Scheduler:
    """Makes jobs, and remembers them."""

    def __init__(self) -> None:
        self.seen = Seen("PENDING", "Priority")
        self.does: Callable[[Probe], None] = lambda probe: None
        self.jobs: list[Job] = []

    def make(self, probe: Probe) -> Job:
        self.jobs.append(Job(probe, self.seen, self.does))
        return self.jobs[-1]


@pytest.fixture
def scheduler() -> Scheduler:
    return Scheduler()


@pytest.fixture
def tests(
    workspace: Path, tmp_path: Path, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TargetTests]:
    for name in ("LOOK_S", "ASK_S", "SETTLE_S"):
        monkeypatch.setattr(target_tests, name, 0.05)
    made = TargetTests(workspace, lambda: fake_cli(tmp_path), make=scheduler.make)
    yield made
    made.close()


def begin_program(probe: Probe) -> None:
    """What a scheduler does, on this machine."""
    write_supervisor(Path(probe.plan.cwd))
    subprocess.Popen(probe.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def finished(tests: TargetTests, target: Target = LAB) -> TargetResult:
    tests.start(target)
    wait_for(lambda: tests.going(target.name) is None, 30)
    result = tests.last(target.name)
    assert result is not None
    return result


def test_the_report_is_kept_with_its_time_and_row(
    tests: TargetTests, scheduler: Scheduler, workspace: Path
) -> None:
    scheduler.does, scheduler.seen = begin_program, Seen("RUNNING", waits=False)
    began = time.time()
    result = finished(tests)
    facts = result.facts
    assert facts is not None and result.failure is None and result.time >= began
    assert facts.locks == "seen" and facts.clock is not None and facts.clock[0] <= 0 <= facts.clock[1]
    assert facts.packages and facts.cli.endswith("llamafactory-cli") and facts.interpreter.endswith("python")
    assert not (workspace / FOLDER).exists() and scheduler.jobs[0].canceled == 0
    other = TargetTests(workspace, lambda: "", make=scheduler.make)
    assert other.facts(LAB) == facts and other.facts(Target("lab", "slurm", python="python3", gpus=1)) is None


@pytest.mark.parametrize(("seen", "code"), [
    (Seen("FAILED", "NonZeroExitCode", waits=False, over=True, code=71), "unseen"),
    (Seen("FAILED", "NonZeroExitCode", waits=False, over=True, code=72), "unwritten"),
    (Seen("FAILED", "NonZeroExitCode", waits=False, over=True, code=73), "modules"),
    (Seen("FAILED", "NonZeroExitCode", waits=False, over=True, code=74), "python"),
    (Seen("FAILED", "NonZeroExitCode", waits=False, over=True, code=76), "ended"),
    (Seen("COMPLETED", waits=False, over=True, code=0), "unseen"),
    (Seen("NODE_FAIL", waits=False, over=True), "ended"),
])
def test_a_job_that_is_over_without_a_report_says_why(
    tests: TargetTests, scheduler: Scheduler, workspace: Path, seen: Seen, code: str
) -> None:
    scheduler.seen = seen
    result = finished(tests)
    assert result.facts is None and result.failure is not None and result.failure.code == code
    assert str(workspace) in str(result.failure.params["path"]) and not (workspace / FOLDER).exists()


@pytest.mark.parametrize(("said", "reason"), [
    ("of before\nconda: not found\n\nlfdash: setup line failed (exit code 127): b\n", "conda: not found"),
    (None, "?"), ("\nlfdash: setup line failed (exit code 1): b", "?"),
])
def test_the_line_of_a_setup_that_fails_is_named_with_its_last_words(
    tests: TargetTests, scheduler: Scheduler, said: str | None, reason: str
) -> None:
    def fails(probe: Probe) -> None:
        if said is not None:
            (probe.folder / "shim.log").write_text(said)

    scheduler.does, scheduler.seen = fails, Seen("FAILED", "NonZeroExitCode", waits=False, over=True, code=77)
    failure = finished(tests, replace(LAB, setup=("a", "b"))).failure
    assert failure is not None and (failure.code, dict(failure.params)) == ("setup", {"line": "b", "reason": reason})


def test_what_was_found_before_there_was_a_setup_is_of_the_same_target() -> None:
    assert "setup" not in deciding(LAB) and deciding(replace(LAB, setup=("a",)))["setup"] == ["a"]


@pytest.mark.parametrize(("limit", "seen", "code"), [
    ("WAIT_S", Seen("PENDING", "Resources"), "waited"),
    ("RUN_S", Seen("RUNNING", waits=False), "ran"),
    ("SILENT_S", Seen(silent="no controller"), "silent"),
])
def test_nothing_is_waited_for_for_ever(
    tests: TargetTests, scheduler: Scheduler, workspace: Path, monkeypatch: pytest.MonkeyPatch, limit: str, seen: Seen,
    code: str,
) -> None:
    monkeypatch.setattr(target_tests, limit, 0.2)
    scheduler.seen = seen
    result = finished(tests)
    assert result.failure is not None and result.failure.code == code
    assert scheduler.jobs[0].canceled and not (workspace / FOLDER).exists()


def test_one_that_cannot_be_submitted_says_why(tests: TargetTests, scheduler: Scheduler, workspace: Path) -> None:
    def refused(probe: Probe) -> None:
        raise OSError("invalid partition specified")

    scheduler.does = refused
    result = finished(tests)
    assert result.failure == Failure("not_begun", {"reason": "invalid partition specified"})
    assert scheduler.jobs[0].canceled and not (workspace / FOLDER).exists()


def test_a_mistake_of_ours_ends_the_test_too(tests: TargetTests, scheduler: Scheduler) -> None:
    def fails(probe: Probe) -> None:
        raise KeyError("ours")

    scheduler.does = fails
    result = finished(tests)
    assert result.failure is not None and result.failure.code == "failed" and scheduler.jobs[0].canceled


def test_a_kind_without_a_test_is_told(workspace: Path) -> None:
    tests = TargetTests(workspace, lambda: "", make=lambda probe: None)
    assert finished(tests).failure == Failure("no_way", {"kind": "slurm"})


def test_one_that_is_called_off_leaves_nothing(tests: TargetTests, scheduler: Scheduler, workspace: Path) -> None:
    begun = threading.Event()
    scheduler.does = lambda probe: begun.set()
    tests.start(LAB)
    assert begun.wait(10)
    wait_for(lambda: (going := tests.going("lab")) and going[1].seen.reason == "Priority")
    tests.start(LAB)  # goes on already
    tests.cancel("lab")
    wait_for(lambda: not (workspace / FOLDER).exists())
    assert [job.canceled for job in scheduler.jobs] == [1] and tests.going("lab") is None and tests.last("lab") is None


def test_a_hostile_report_is_no_harm() -> None:
    report: dict[str, Any] = {
        "host": "h" * 9999, "cpus": -3, "memory": True, "disk": 1e9, "locks": ["seen"], "cli": None, "clock_least": "0",
        "clock_most": 1.0, "packages": {str(n): n for n in range(2 * MOST_PACKAGES)},
        "torch": {"cuda": True, "bf16": "yes", "gpus": [3, {"name": {}, "memory": 1 << 30}] * 100},
    }
    facts = facts_in(json.loads(json.dumps(report)))
    assert len(facts.host) == 500 and (facts.cpus, facts.memory, facts.disk) == (0, 0, 0)
    assert (facts.locks, facts.cli) == ("", "")
    assert facts.bf16 is None and facts.clock is None and facts.gpus is not None and len(facts.gpus) <= 64
    assert facts.gpus[0] == TargetGpu("", 1 << 30) and facts.packages is not None
    assert len(facts.packages) == MOST_PACKAGES


def test_gpus_are_those_of_torch_else_of_nvidia_smi_else_unknown() -> None:
    smi = [{"name": "A", "memory": 1, "capability": "8.0"}]
    assert facts_in({"smi": smi}).gpus == (TargetGpu("A", 1, "8.0"),)
    assert facts_in({"smi": smi, "torch": {"cuda": False, "gpus": []}}).gpus == ()
    assert facts_in({"smi": []}).gpus is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"time": "soon"}', '{"time": 1, "report": 3, "row": []}'])
def test_a_result_that_somebody_broke_is_none(tests: TargetTests, text: str) -> None:
    path = tests.files.path("lab")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    found = tests.last("lab")
    assert (found is None or found.facts is None) and tests.facts(LAB) is None
    assert tests.last("../../etc/passwd") is None


def test_a_result_that_cannot_be_written_is_told_all_the_same(
    tests: TargetTests, scheduler: Scheduler, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is what such a test may be asked for."""
    scheduler.seen = Seen("NODE_FAIL", waits=False, over=True)
    kept = finished(tests)
    full = mock.Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with mock.patch("lfdash.engine.target_facts.write_text_atomic", full):
        scheduler.does, scheduler.seen = begin_program, Seen("RUNNING", waits=False)
        found = finished(tests)
    assert found.facts is not None and found.time > kept.time and tests.facts(LAB) == found.facts
    tests.forget("lab")
    assert tests.last("lab") is None
    scheduler.does, scheduler.seen = lambda probe: None, Seen("NODE_FAIL", waits=False, over=True)
    assert finished(tests).failure is not None


def test_a_result_that_could_not_be_read_once_is_read_again(tests: TargetTests) -> None:
    tests.files.save(LAB, 1.0, {"host": "n1"}, None)
    with mock.patch("lfdash.engine.target_facts.read_json_file", return_value=Unreadable("Too many open files")):
        assert tests.last("lab") is None
    assert tests.facts(LAB) is not None


@pytest.mark.parametrize("change", [
    {"cpus": 8}, {"memory": "64G"}, {"account": "proj"}, {"token_file": "/home/me/token"}, {"partition": "gpu"},
])
def test_what_a_row_does_not_ask_for_any_more_tells_nothing_of_it(tests: TargetTests, change: dict[str, Any]) -> None:
    """The result names CPUs and memory; and whether a job is taken at all depends on the account."""
    tests.files.save(LAB, 1.0, {"host": "n1", "cpus": 2, "memory": 1 << 30}, None)
    assert tests.facts(LAB) is not None and tests.facts(replace(LAB, **change)) is None


def test_what_cannot_be_made_ends_the_test_too(workspace: Path) -> None:
    def fails(probe: Probe) -> Job:
        raise KeyError("ours")

    result = finished(TargetTests(workspace, lambda: "", make=fails))
    assert result.failure == Failure("failed", {"reason": "KeyError('ours')"})


def test_only_folders_of_tests_are_tidied_up(tests: TargetTests, scheduler: Scheduler, workspace: Path) -> None:
    """A name in the folder becomes one of a job that is canceled."""
    names = ("test-0123456789ab", "test-0123456789ab,all", "other")
    for name in names:
        (workspace / FOLDER / name).mkdir(parents=True)
        (workspace / FOLDER / name / "target").write_text("lab")
    scheduler.seen = Seen("NODE_FAIL", waits=False, over=True)
    finished(tests)
    assert [path.name for path in sorted((workspace / FOLDER).iterdir())] == sorted(names[1:])
    assert scheduler.jobs[0].probe.plan.run_id == names[0] and scheduler.jobs[0].canceled


def test_one_that_is_called_off_while_an_earlier_one_is_tidied_up_submits_nothing(
    tests: TargetTests, scheduler: Scheduler, workspace: Path
) -> None:
    submitted, goes_on = [], threading.Event()

    class Earlier(Job):
        def look(self) -> Seen:
            return Seen("CANCELLED", over=goes_on.wait(10))

    def make(probe: Probe) -> Job:
        scheduler.jobs.append(Earlier(probe, Seen(), submitted.append))
        return scheduler.jobs[-1]

    tests._make = make
    (workspace / FOLDER / "test-0123456789ab").mkdir(parents=True)
    (workspace / FOLDER / "test-0123456789ab" / "target").write_text("lab")
    tests.start(LAB)
    wait_for(lambda: scheduler.jobs and scheduler.jobs[0].canceled)
    tests.cancel("lab")
    goes_on.set()
    turn = tests._of("lab")._turn
    assert turn.acquire(timeout=20)  # it came to its end
    turn.release()
    assert submitted == [] and not (workspace / FOLDER).exists()


def test_one_that_is_not_seen_for_a_moment_is_not_over(tests: TargetTests, scheduler: Scheduler) -> None:
    """An answer of squeue from before the job was there."""

    class Late(Job):
        looks = 0

        def look(self) -> Seen:
            self.looks += 1
            if self.looks == 1:
                return Seen(over=True)
            if self.looks == 2:
                threading.Event().wait(3 * target_tests.SETTLE_S)
                return Seen("RUNNING", waits=False)
            report = self.probe.folder / "report.json"
            report.write_text('{"done": true}')
            return Seen("COMPLETED", waits=False, over=True, code=0)

    tests._make = lambda probe: Late(probe, Seen(), lambda _: None)
    assert finished(tests).facts is not None


def test_a_report_that_comes_while_the_scheduler_is_asked_is_one(tests: TargetTests, scheduler: Scheduler) -> None:
    class Slow(Job):
        looks = 0

        def look(self) -> Seen:
            self.looks += 1
            if self.looks == 2:
                threading.Event().wait(3 * target_tests.SETTLE_S)
                (self.probe.folder / "report.json").write_text('{"done": true}')
            return Seen("COMPLETED", waits=False, over=True, code=0)

    tests._make = lambda probe: Slow(probe, Seen(), lambda _: None)
    assert finished(tests).facts is not None


def test_a_report_that_counts_more_than_any_machine_has_tells_nothing_of_it() -> None:
    """Whoever draws it makes a float of it."""
    told = facts_in({"memory": 10**400, "disk": 10**400, "cpus": 10**400, "smi": [{"name": "A", "memory": 10**400}]})
    assert (told.memory, told.disk, told.cpus, told.gpus) == (0, 0, 0, (TargetGpu("A", 0),))
    assert facts_in({"memory": 8 << 40}).memory == 8 << 40
