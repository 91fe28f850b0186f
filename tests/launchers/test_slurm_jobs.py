"""One question for all jobs, seldom; whoever looks never waits for a scheduler that does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from lfdash.launchers.asking import EVERY_S, SOON_S, CallError
from lfdash.launchers.slurm_calls import Calls, Job
from lfdash.launchers.slurm_jobs import SlurmJobs, Snapshot, jobs_of
from tests.support.runs import wait_for


@dataclass(frozen=True)
class Fake(Calls):
    """A Slurm that says what a test wants."""

    table: dict[str, Job] = field(default_factory=dict)
    done: list[tuple[str, str]] = field(default_factory=list)
    fails: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def jobs(self, seconds: float = 0.0) -> list[Job]:
        self.gate.wait(60)
        self.done.append(("squeue", ""))
        if self.fails:
            raise CallError(self.fails[-1], silent=True)
        return list(self.table.values())

    def cancel(self, jobs: object) -> None:
        self.done.append(("cancel", str(jobs)))

    def wake(self, jobs: object) -> None:
        self.done.append(("wake", str(jobs)))
        raise CallError("Invalid job id specified")


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def fake() -> Fake:
    made = Fake()
    made.gate.set()
    return made


def asks(fake: Fake) -> tuple[SlurmJobs, Clock, Callable[[], Snapshot | None]]:
    clock = Clock()
    jobs = SlurmJobs(fake, clock)

    def look_done() -> Snapshot | None:
        found = jobs.look()
        wait_for(lambda: not jobs._busy)
        return found or jobs.look()

    return jobs, clock, look_done


def questions(fake: Fake) -> int:
    return fake.done.count(("squeue", ""))


def test_five_hundred_runs_are_one_question(fake: Fake) -> None:
    fake.table.update({str(number): Job(str(number), "PENDING", name=f"n{number}") for number in range(500)})
    jobs, clock, look = asks(fake)
    seen = look()
    assert seen is not None and len(seen.by_id) == 500
    for _ in range(500):
        assert jobs.look() is seen
    clock.now += EVERY_S - 0.1
    assert look() is seen and questions(fake) == 1
    clock.now += 0.2
    look()
    assert questions(fake) == 2


def test_a_slow_one_is_asked_less_often(fake: Fake) -> None:
    _, clock, look = asks(fake)
    real = fake.jobs

    def slow(seconds: float = 0.0) -> list[Job]:
        clock.now += 2.0
        return real(seconds)

    object.__setattr__(fake, "jobs", slow)
    look()
    clock.now += 19.9
    look()
    assert questions(fake) == 1
    clock.now += 0.2
    look()
    assert questions(fake) == 2


def test_a_job_is_canceled_until_it_is_over(fake: Fake) -> None:
    fake.table["7"] = Job("7", "PENDING", name="lfdash-a-1", comment="t1")
    jobs, clock, look = asks(fake)
    jobs.cancel("7", "lfdash-a-1", "t1")
    look()
    clock.now += EVERY_S
    look()
    assert fake.done.count(("cancel", "['7']")) == 2
    fake.table["7"] = Job("7", "CANCELLED", name="lfdash-a-1", comment="t1")
    for _ in range(4):
        clock.now += EVERY_S
        look()
    assert fake.done.count(("cancel", "['7']")) == 2


def test_one_whose_number_is_not_known_is_canceled_once_it_is_seen(fake: Fake) -> None:
    jobs, clock, look = asks(fake)
    fake.table.update({
        "7": Job("7", "PENDING", name="lfdash-a-1", comment="of another submission"),
        "8": Job("8", "PENDING", name="lfdash-a-1", comment="t1"),
    })
    jobs.cancel("", "lfdash-a-1", "t1")
    for _ in range(2):
        look()
        clock.now += EVERY_S
    assert ("cancel", "['8']") in fake.done and ("cancel", "['7']") not in fake.done


def test_a_wake_that_fails_is_done_once_and_stops_no_question(fake: Fake) -> None:
    fake.table["7"] = Job("7", "RUNNING", name="x")
    jobs, clock, look = asks(fake)
    jobs.wake("7", "x", "")
    for _ in range(3):
        look()
        clock.now += EVERY_S
    assert fake.done.count(("wake", "['7']")) == 1 and questions(fake) == 3 and jobs.failure == ""


def test_who_wants_a_later_answer_gets_one_at_once(fake: Fake) -> None:
    """Also while an earlier question is on its way."""
    jobs, clock, look = asks(fake)
    look()
    clock.now += SOON_S
    fake.gate.clear()
    jobs.hurry()
    jobs.hurry()
    fake.gate.set()
    wait_for(lambda: not jobs._busy)
    clock.now += SOON_S
    look()
    assert questions(fake) == 3


def test_a_hundred_submissions_are_no_hundred_questions(fake: Fake) -> None:
    jobs, clock, look = asks(fake)
    for _ in range(100):
        clock.now += 0.05
        jobs.hurry()
        look()
    assert questions(fake) <= 1 + 100 * 0.05 / SOON_S


def test_all_launchers_of_a_cluster_ask_through_one() -> None:
    one = jobs_of("/a/slurm.conf")
    assert jobs_of("/a/slurm.conf") is one is not jobs_of("/b/slurm.conf")


def test_a_job_of_an_array_is_found_by_its_place() -> None:
    """Also where nobody wrote its number down; one that is not there any more has left."""
    jobs = [Job("7_0", "RUNNING", comment="t", name="a"), Job("7_1", "PENDING", comment="t", name="a")]
    seen = Snapshot.of(0.0, [*jobs, Job("8", "RUNNING", comment="u", name="a_1")])
    assert seen.find("", "a_1", "t") == jobs[1] and seen.find("7_1", "a_1", "t") == jobs[1]
    assert seen.find("", "a_1", "another") is None and seen.find("", "a_2", "t") is None
    assert seen.left_array("7_2") and not seen.left_array("7_1")
    assert not seen.left_array("9_0") and not seen.left_array("9")


def test_what_is_canceled_is_canceled_in_one_call(fake: Fake) -> None:
    fake.table.update({number: Job(number, "PENDING", name=f"n{number}") for number in ("7_0", "7_1", "8")})
    jobs, clock, look = asks(fake)
    look()
    for number in fake.table:
        jobs.cancel(number, f"n{number}", "")
    clock.now += EVERY_S
    look()
    assert ("cancel", "['7_0', '7_1', '8']") in fake.done


def test_only_the_very_job_is_canceled(fake: Fake) -> None:
    """A folder may name any number: of a job with another name, or what scancel would take for an option."""
    jobs, clock, look = asks(fake)
    fake.table.update({"7": Job("7", "RUNNING", name="somebody's", comment="else"), "8": Job("8", "RUNNING", name="x")})
    for number in ("7", "--me", "-uroot"):
        jobs.cancel(number, "lfdash-a-1", "t1")
    for _ in range(3):
        look()
        clock.now += EVERY_S
    assert {what for what, _ in fake.done} == {"squeue"}
