"""The rules over how runs, jobs and the machine stand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.jobs.resources import ResourceRequest
from lfdash.runs.alerts.alert import Disk, Facts, Found
from lfdash.runs.alerts.machine import GAP_S, KEEP_S, Look, MachineWindow
from lfdash.runs.alerts.rules import BY_NAME
from lfdash.runs.alerts.settings import defaults
from lfdash.runs.metrics.progress import Progress
from lfdash.runs.record import RunState
from lfdash.runs.view import Reason, RunView, Stall, Waiting

VIEW = RunView("id-r1", "r1", Path("/w/saves/m/lora/r1"), "saves/m/lora/r1", RunState.RUNNING,
               progress=Progress(step=40, total=100))


def check(rule: str, facts: Facts, **limits: float) -> Found | None:
    """What a rule says."""
    row = BY_NAME[rule]
    return row.check(facts, {**defaults(row).limits, **limits})


def seen(minutes: float, *, every: float = 5.0, **values: float | None) -> MachineWindow:
    """A machine that was the same for some time."""
    window = MachineWindow()
    for place in range(int(minutes * 60 / every) + 1):
        window.add(Look(1000.0 + place * every, **values))
    return window


def test_a_stall_is_told_of_the_place_where_it_is() -> None:
    stalled = replace(VIEW, stall=Stall(130.0, 2.0))
    found = check("stall", Facts(stalled))
    assert found == Found(40, {"quiet_s": 130.0, "usual_s": 2.0}, "40")
    later = replace(stalled, progress=Progress(step=70, total=100))
    assert (check("stall", Facts(later)) or Found()).occasion == "70", "another occasion"
    assert check("stall", Facts(VIEW)) is None and check("stall", Facts(stalled), minutes=10) is None


def test_a_stop_that_does_not_end_is_a_stall() -> None:
    view = replace(VIEW, state=RunState.STOPPING, stalled=True)
    assert (check("stall", Facts(view)) or Found()).occasion == "stop"


@pytest.mark.parametrize(
    ("window", "told"),
    [
        (seen(11, load=0.0), True), (seen(11, load=4.9), True), (seen(11, load=5.0), False), (seen(9, load=0.0), False),
        (seen(11, load=None), False), (MachineWindow(), False),
    ],
)
def test_a_gpu_is_idle_when_all_of_the_time_is_known_and_quiet(window: MachineWindow, told: bool) -> None:
    assert (check("gpu_idle", Facts(VIEW, machine=window)) is not None) is told


@pytest.mark.parametrize(
    "view",
    [
        replace(VIEW, progress=Progress()), replace(VIEW, progress=Progress(step=100, total=100)),
        replace(VIEW, state=RunState.STARTING), replace(VIEW, state=RunState.STOPPING),
    ],
)
def test_before_the_first_step_and_after_the_last_a_gpu_may_rest(view: RunView) -> None:
    assert check("gpu_idle", Facts(view, machine=seen(11, load=0.0))) is None


def test_one_busy_look_within_the_time_is_not_idle() -> None:
    window = seen(8, load=0.0)
    window.add(Look(window.looks[-1].time + 5, load=80.0))
    for place in range(36):
        window.add(Look(window.looks[-1].time + 5 + place * 0.1, load=0.0))
    assert check("gpu_idle", Facts(VIEW, machine=window)) is None


@pytest.mark.parametrize(("rule", "name", "minutes"), [("gpu_memory", "memory", 2), ("ram", "ram", 1)])
def test_a_memory_is_full_only_when_it_stays_so(rule: str, name: str, minutes: int) -> None:
    found = check(rule, Facts(VIEW, machine=seen(minutes + 1, **{name: 99.4})))
    assert found is not None and found.params["used"] == "99.4" and found.step == 40
    assert check(rule, Facts(VIEW, machine=seen(minutes + 1, **{name: 90.0}))) is None
    assert check(rule, Facts(VIEW, machine=seen(minutes / 2, **{name: 99.4}))) is None


def test_nothing_is_known_of_a_time_in_which_nobody_looked() -> None:
    window = seen(20, load=0.0)
    window.add(Look(window.looks[-1].time + GAP_S + 1, load=0.0))
    assert len(window.looks) == 1 and check("gpu_idle", Facts(VIEW, machine=window)) is None


def test_a_window_is_bounded_and_takes_each_look_once() -> None:
    window = seen(3 * KEEP_S / 60, load=0.0)
    count = len(window.looks)
    assert count == KEEP_S / 5 + 1
    window.add(window.looks[-1])
    assert len(window.looks) == count


GIB = 2.0**30


@pytest.mark.parametrize(
    ("disk", "key"),
    [
        (Disk(50 * GIB, 3.0, "d"), "3.0"), (Disk(1 * GIB, None, "d"), ""), (Disk(50 * GIB, 13.0, "d"), None),
        (Disk(50 * GIB, None, "d"), None), (Disk(None, None, "d"), None),
    ],
)
def test_a_disk_is_told_when_it_is_full_or_soon_will_be(disk: Disk, key: str | None) -> None:
    found = check("disk", Facts(disk=disk))
    assert (found and found.params["hours"]) == key and (found is None or found.occasion == "d")


def job(name: str, **waiting: object) -> RunView:
    """A job that waits."""
    return replace(VIEW, name=name, state=RunState.QUEUED, waiting=Waiting(1, ResourceRequest(), **waiting))  # type: ignore[arg-type]


def test_a_queue_is_blocked_by_what_nobody_wanted() -> None:
    held = job("q1", held=Reason("secret", {"name": "HF_TOKEN"}))
    found = check("queue", Facts(waiting=(held, job("q2"))))
    assert found is not None and found.params == {"job": "q1", "waiting": 2, "code": "secret", "why_name": "HF_TOKEN"}
    moved = check("queue", Facts(waiting=(replace(held, name="other"),)))
    assert moved is not None and moved.occasion == found.occasion, "one cause, one alert"


def test_a_queue_waits_for_a_run_that_stands_still() -> None:
    behind = job("q1", waits=Reason("gpus_busy", {"run": "r1"}), behind=(("r1", Stall(100.0, 1.0)),))
    assert (check("queue", Facts(waiting=(behind,))) or Found()).occasion == "behind/r1"


@pytest.mark.parametrize(
    "waiting",
    [(), (job("q1"),), (job("q1", held=Reason("user")),), (job("q1", waits=Reason("gpus_busy", {"run": "r1"})),)],
)
def test_a_queue_that_waits_for_its_turn_or_for_a_person_is_not_blocked(waiting: tuple[RunView, ...]) -> None:
    assert check("queue", Facts(waiting=waiting)) is None


def test_a_job_that_a_person_holds_hides_no_other() -> None:
    held = job("q2", held=Reason("after_failure", {"run": "r0"}))
    found = check("queue", Facts(waiting=(job("q1", held=Reason("user")), held)))
    assert found is not None and found.params["job"] == "q2"


@pytest.mark.parametrize("state", list(RunState))
def test_an_end_is_told_by_one_of_two_rules(state: RunState) -> None:
    facts = Facts(replace(VIEW, state=state, error="ValueError: x"))
    told = [rule for rule in ("failed", "ended") if check(rule, facts) is not None]
    good, bad = (RunState.SUCCEEDED, RunState.STOPPED), (RunState.FAILED, RunState.LOST)
    assert told == (["ended"] if state in good else ["failed"] if state in bad else [])
