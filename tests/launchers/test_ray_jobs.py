"""One question for all jobs, seldom; whoever looks never waits for a head that does not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from lfdash.launchers.asking import EVERY_S, MOST_S, SOON_S, CallError
from lfdash.launchers.ray_calls import Calls, Job
from lfdash.launchers.ray_jobs import RayJobs, Snapshot, jobs_of
from tests.support.runs import wait_for


@dataclass(frozen=True)
class Fake(Calls):
    """A Ray that says what a test wants."""

    table: dict[str, Job] = field(default_factory=dict, hash=False)
    done: list[tuple[str, str]] = field(default_factory=list, hash=False)
    fails: list[CallError] = field(default_factory=list, hash=False)
    gate: threading.Event = field(default_factory=threading.Event, hash=False)

    def jobs(self, seconds: float = 0.0) -> list[Job]:
        self.gate.wait(60)
        self.done.append(("jobs", ""))
        if self.fails:
            raise self.fails[-1]
        return list(self.table.values())

    def stop(self, job: str, seconds: float = 0.0) -> None:
        self.done.append(("stop", job))
        if self.fails:
            raise self.fails[-1]


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def fake() -> Fake:
    made = Fake("http://head")
    made.gate.set()
    return made


def asks(fake: Fake) -> tuple[RayJobs, Clock, Callable[[], Snapshot | None]]:
    clock = Clock()
    jobs = RayJobs(fake, clock)

    def settled() -> Snapshot | None:
        """What is seen once the thread has nothing to do."""
        jobs.look()
        wait_for(lambda: not jobs._busy)
        return jobs.look()

    return jobs, clock, settled


def test_many_looks_are_one_question(fake: Fake) -> None:
    fake.table["a"] = Job("a", "RUNNING")
    jobs, clock, settled = asks(fake)
    found = settled()
    assert found is not None and found.by_id == {"a": Job("a", "RUNNING")}
    for _ in range(50):
        assert settled() is found
    clock.now += EVERY_S + 0.1
    assert settled() is not None and jobs.asked == 2


def test_a_stop_is_asked_for_until_it_has_come_true(fake: Fake) -> None:
    fake.table["a"] = Job("a", "PENDING")
    jobs, clock, settled = asks(fake)
    settled()
    jobs.stop("a")
    for _ in range(3):
        clock.now += max(EVERY_S, SOON_S) + 0.1
        settled()
    assert fake.done.count(("stop", "a")) >= 3
    fake.table["a"] = Job("a", "STOPPED")
    clock.now += EVERY_S + 0.1
    settled()
    before = fake.done.count(("stop", "a"))
    clock.now += EVERY_S + 0.1
    settled()
    assert fake.done.count(("stop", "a")) == before


def test_many_stops_do_not_keep_the_question_away(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, clock, settled = asks(fake)
    settled()

    def slow(self: Fake, job: str, seconds: float = 0.0) -> None:
        self.done.append(("stop", job))
        clock.now += 1.0

    monkeypatch.setattr(Fake, "stop", slow)
    fake.table.update({f"j{number}": Job(f"j{number}", "RUNNING") for number in range(25)})
    for name in fake.table:
        with jobs._lock:
            jobs._unwanted[name] = 0
    stopped = []
    for _ in range(3):
        fake.done.clear()
        clock.now += MOST_S
        settled()
        assert fake.done[-1] == ("jobs", "")
        stopped += [job for what, job in fake.done if what == "stop"]
        assert jobs.look() is not None
    assert len(stopped) == 30 and set(stopped) == set(fake.table)


def test_a_head_that_is_silent_is_not_waited_for_twice(fake: Fake) -> None:
    jobs, clock, settled = asks(fake)
    settled()
    fake.fails.append(CallError("away", silent=True))
    fake.done.clear()
    jobs.stop("a")
    clock.now += EVERY_S
    settled()
    assert fake.done == [("stop", "a")]


def test_a_stop_that_is_refused_is_no_reason_not_to_ask(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Fake, job: str, seconds: float = 0.0) -> None:
        raise CallError("Can only stop submission type jobs")

    monkeypatch.setattr(Fake, "stop", refuse)
    jobs, _clock, settled = asks(fake)
    jobs.stop("a")
    assert settled() is not None and jobs.failure == ""


def test_all_launchers_of_a_process_have_the_same() -> None:
    one = jobs_of(Calls("http://head", "/token"))
    assert jobs_of(Calls("http://head", "/token")) is one
    assert jobs_of(Calls("http://head")) is not one
