"""The sampler, with vendors that are stood in for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.machine import sampler
from lfdash.machine.sample import STALE_S, CannotRead, Device, Sample, share
from lfdash.machine.sampler import BUSY_S, IDLE_S, Machine
from lfdash.machine.vendors import VENDORS, Vendor
from tests.support.runs import wait_for


class Stand(Vendor):
    """A vendor that answers as `told` does."""

    def __init__(self, told: Callable[[], tuple[Device, ...]], seconds: float = 5.0) -> None:
        super().__init__("nvidia", lambda: True, seconds)
        object.__setattr__(self, "told", told)

    def read(self) -> tuple[Device, ...]:
        return self.told()  # type: ignore[attr-defined, no-any-return]


class Uses:
    """A run on every device; what was sampled."""

    def __init__(self) -> None:
        self.taken: list[Sample] = []
        self.runs = False

    def busy(self) -> bool:
        return self.runs

    def named(self, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        return tuple(replace(device, runs=("r1",)) for device in devices)

    def take(self, sample: Sample) -> None:
        self.taken.append(sample)


GPU = Device("nvidia", "0", "H100", load=97.0)


def test_a_sample_has_devices_with_their_runs_and_the_host(tmp_path: Path) -> None:
    uses = Uses()
    machine = Machine(tmp_path, uses, [Stand(lambda: (GPU,))])
    assert machine.latest() == Sample()  # nothing is known before the first look
    before = time.time()
    sample = machine.look()
    assert machine.latest() is sample and uses.taken == [sample]
    (device,) = sample.devices
    assert (device.name, device.runs) == ("H100", ("r1",)) and device.seen >= before <= sample.time
    assert sample.memory_share and sample.disk_share and sample.cpu is None and not sample.problems
    wait_for(lambda: machine.look().cpu is not None)


def test_a_machine_without_any_device_has_none_and_no_problem(tmp_path: Path) -> None:
    sample = Machine(tmp_path, vendors=[vendor for vendor in VENDORS if vendor.name != "nvidia"]).look()
    assert (sample.devices, dict(sample.problems)) == ((), {})


def test_a_driver_that_hangs_leaves_the_rest_and_its_devices_grow_old(tmp_path: Path) -> None:
    answers = threading.Event()
    answers.set()

    def told() -> tuple[Device, ...]:
        if not answers.is_set():
            answers.wait(20)
        return (GPU,)

    machine = Machine(tmp_path, vendors=[Stand(told, seconds=0.05)])
    first = machine.look()
    answers.clear()
    second = machine.look()
    assert second.problems == {"nvidia": "does not answer"}
    assert second.devices == first.devices and second.memory_used and second.time > first.time
    answers.set()
    for thread in threading.enumerate():
        if thread.name == "lfdash-nvidia":
            thread.join(20)
    third = machine.look()
    assert not third.problems and third.devices[0].seen >= second.time


def test_a_driver_that_fails_at_once_has_no_devices_and_a_reason(tmp_path: Path) -> None:
    def told() -> tuple[Device, ...]:
        raise CannotRead("Driver Not Loaded")

    sample = Machine(tmp_path, vendors=[Stand(told)]).look()
    assert (sample.devices, sample.problems) == ((), {"nvidia": "Driver Not Loaded"})


def test_a_disk_that_is_away_is_unknown(tmp_path: Path) -> None:
    sample = Machine(tmp_path / "away", vendors=[]).look()
    assert sample.disk_free is None and sample.disk_share is None and "disk" in sample.problems


def test_the_thread_samples_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "SECOND_S", 0.01)
    monkeypatch.setattr(sampler, "BUSY_S", 0.01)
    uses, twice = Uses(), threading.Event()
    uses.runs = True
    machine = Machine(tmp_path, uses, [])
    monkeypatch.setattr(uses, "take", lambda _sample: twice.set() if machine._sample.cpu is not None else None)
    machine.start()
    machine.start()
    names = [thread.name for thread in threading.enumerate()]
    assert twice.wait(20) and names.count("lfdash-machine") == 1
    machine.close()
    machine.close()
    assert "lfdash-machine" not in [thread.name for thread in threading.enumerate()]


def test_it_goes_on_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sampler, "SECOND_S", 0.01)
    monkeypatch.setattr(sampler, "IDLE_S", 0.01)
    uses, again = Uses(), threading.Event()

    def take(_sample: Sample) -> None:
        uses.taken.append(_sample)
        if len(uses.taken) == 1:
            raise RuntimeError("a mistake of ours")
        again.set()

    monkeypatch.setattr(uses, "take", take)
    machine = Machine(tmp_path, uses, [])
    machine.start()
    assert again.wait(20)
    machine.close()
    assert len(caplog.records) == 1


def test_it_looks_seldom_while_nothing_runs_and_nobody_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uses = Uses()
    machine = Machine(tmp_path, uses, [])
    now = 1000.0
    monkeypatch.setattr(sampler.time, "monotonic", lambda: now)
    assert machine.pause() == IDLE_S
    machine.latest()
    assert machine.pause() == BUSY_S
    now += 31
    assert machine.pause() == IDLE_S
    uses.runs = True
    assert machine.pause() == BUSY_S


def test_the_first_who_looks_does_not_wait_for_the_end_of_a_long_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler, "SECOND_S", 0.01)
    uses = Uses()
    machine = Machine(tmp_path, uses, [])
    machine.start()
    wait_for(lambda: machine._rests)
    before = len(uses.taken)
    assert before == 2
    old = machine.latest()
    wait_for(lambda: len(uses.taken) > before)
    wait_for(lambda: not machine._rests)
    machine.close()
    assert machine.seen is not old


def test_who_opens_a_page_after_a_rest_sees_figures_of_now_or_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler, "SECOND_S", 0.01)
    machine = Machine(tmp_path, Uses(), [])
    machine.start()
    wait_for(lambda: machine._rests)
    old = machine.seen
    assert machine.latest(20.0) is not old
    machine.close()
    machine._rests = True  # its thread is held up by a driver
    begun = time.monotonic()
    assert machine.latest(0.05) is machine.seen and time.monotonic() - begun < 5


def test_what_is_old_says_so() -> None:
    sample = Sample(1000.0)
    assert sample.age(1000 + STALE_S) is None
    assert sample.age(1090) == 90
    assert share(1, 0) is None and share(None, 4) is None and share(0, 4) == 0
