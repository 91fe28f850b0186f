"""Devices are given out once, in order, and nobody waits for ever."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.jobs.resources import Ask, ask_of
from lfdash.queue.placement import Floor, Machine, Place, Wait

FOUR = Machine(("0", "1", "2", "3"))


@pytest.mark.parametrize(
    ("args", "env", "ask"),
    [
        ({}, {}, Ask()),
        ({"use_cpu": True}, {"CUDA_VISIBLE_DEVICES": "1"}, Ask(cpu=True)),
        ({}, {"CUDA_VISIBLE_DEVICES": "1, 3"}, Ask(("1", "3"))),
        ({}, {"CUDA_VISIBLE_DEVICES": ""}, Ask(cpu=True)),
        ({}, {"LFDASH_GPUS": "2"}, Ask(count=2)),
        ({}, {"LFDASH_GPUS": "no"}, Ask()),
        ({"export_dir": "x"}, {}, Ask(cpu=True)),
        ({"export_dir": "x", "export_device": "auto"}, {}, Ask()),
    ],
)
def test_what_a_job_asks_for(args: dict[str, object], env: dict[str, str], ask: Ask) -> None:
    assert ask_of(args, env) == ask
    assert Ask.from_json(asdict(ask)) == ask


def test_without_gpus_slots_are_counted() -> None:
    floor = Floor(Machine(slots=2))
    floor.take("a", Place())
    assert floor.place(Ask()) == Place()
    floor.take("b", Place())
    assert floor.place(Ask(cpu=True)) == Wait("slots", {"run": "a, b"})
    assert floor.place(Ask(count=1)) == Wait("too_many", {"asked": "1", "have": "0"}, never=True)
    assert floor.anyway(Ask()) == Place()
    assert Floor(Machine(countable=False)).place(Ask(count=1)) == Place()


def test_the_lowest_free_gpus_are_given() -> None:
    floor = Floor(Machine(FOUR.gpus, {"1": "python (pid 7)"}), taken={"0": "a"})
    assert floor.place(Ask(count=2)) == Place(("2", "3"))
    assert floor.place(Ask(count=3)) == Wait("short", {"asked": "3", "free": "2"})
    assert floor.place(Ask(count=5)) == Wait("too_many", {"asked": "5", "have": "4"}, never=True)
    assert floor.place(Ask()) == Wait("run", {"gpu": "0", "run": "a"})
    assert floor.place(Ask(("1",))) == Wait("foreign", {"gpu": "1", "who": "python (pid 7)"})
    assert floor.place(Ask(("7",))) == Wait("absent", {"gpu": "7", "have": "0, 1, 2, 3"}, never=True)
    assert Floor(FOUR).place(Ask()) == Place(FOUR.gpus, all=True)


def test_devices_named_otherwise_are_taken_at_their_word() -> None:
    floor = Floor(Machine(countable=False), taken={"GPU-5a": "a"})
    assert floor.place(Ask(("GPU-6b",))) == Place(("GPU-6b",))
    assert floor.place(Ask(("GPU-5a",))) == Wait("run", {"gpu": "GPU-5a", "run": "a"})


def test_what_waits_keeps_what_it_needs_from_those_behind() -> None:
    floor = Floor(FOUR, taken={"0": "a"})
    floor.promise("big", Ask())
    assert floor.place(Ask(count=1)) == Wait("short", {"asked": "1", "free": "0"})
    assert floor.place(Ask(cpu=True)) == Place()  # it needs nothing of what is promised
    floor = Floor(FOUR, taken={"0": "a"})
    floor.promise("exact", Ask(("0",)))
    assert floor.place(Ask(count=3)) == Place(("1", "2", "3"))
    floor.promise("cpu", Ask(cpu=True))
    assert floor.place(Ask(cpu=True)) == Wait("turn", {"run": "cpu"})


def test_a_run_of_unknown_devices_has_them_all() -> None:
    floor = Floor(FOUR)
    floor.take("old", Place(all=True))
    assert floor.place(Ask(count=1)) == Wait("short", {"asked": "1", "free": "0"})


def test_who_does_not_want_to_wait_gets_the_least_used() -> None:
    floor = Floor(Machine(FOUR.gpus, {"1": "x"}), taken={"0": "a", "3": "b"})
    assert floor.anyway(Ask(count=2)) == Place(("1", "2"))
    assert floor.anyway(Ask(count=3)) == Place(("0", "1", "2"))
    assert floor.anyway(Ask(("0", "3"))) == Place(("0", "3"))
    assert floor.anyway(Ask()) == Place(FOUR.gpus, all=True)
    assert isinstance(floor.anyway(Ask(count=9)), Wait)


ASKS = st.one_of(
    st.builds(Ask, count=st.integers(1, 5)),
    st.builds(Ask, devices=st.lists(st.sampled_from(FOUR.gpus), min_size=1, unique=True).map(tuple)),
    st.just(Ask()),
    st.just(Ask(cpu=True)),
)


@given(st.lists(ASKS, max_size=12), st.integers(1, 3))
def test_nothing_is_given_twice_and_the_first_is_never_overtaken(asks: list[Ask], slots: int) -> None:
    """All jobs in order; then runs end one by one: each job that can run at all runs in the end."""
    machine = Machine(FOUR.gpus, slots=slots)
    waiting = list(enumerate(asks))
    running: list[tuple[int, Place]] = []
    while waiting:
        floor = Floor(machine)
        for number, place in running:
            floor.take(str(number), place)
        still = []
        for number, ask in waiting:
            found = floor.place(ask)
            if isinstance(found, Place):
                assert not set(found.devices) & set(floor.taken)
                assert found.devices or len(floor.in_slots) < slots
                assert not any(set(found.devices) & set(wanting(other)) for _, other in still)
                running.append((number, found))
                floor.take(str(number), found)
            elif not found.never:
                floor.promise(str(number), ask)
                still.append((number, ask))
        waiting = still
        if waiting:
            assert running, "they wait for nobody"
            running.pop(0)


def wanting(ask: Ask) -> tuple[str, ...]:
    """The GPUs that only the job itself may get while it waits."""
    return ask.devices or (() if ask.cpu else FOUR.gpus)
