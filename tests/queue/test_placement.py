"""Devices are given out once, in order, and nobody waits for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lfdash.jobs.resources import ResourceRequest
from lfdash.queue.placement import Allocation, DevicePool, Fitting, Inventory, NoRoom

FOUR = Inventory(("0", "1", "2", "3"))


def test_without_gpus_slots_are_counted() -> None:
    pool = DevicePool(Inventory(slots=2))
    pool.take("a", Allocation())
    assert pool.place(ResourceRequest()) == Allocation()
    pool.take("b", Allocation())
    assert pool.place(ResourceRequest(cpu=True)) == NoRoom("slots", {"run": "a, b"}, behind=("a", "b"))
    assert pool.place(ResourceRequest(count=1)) == NoRoom("too_many", {"asked": "1", "have": "0"}, never=True)
    assert pool.anyway(ResourceRequest()) == Allocation()
    assert DevicePool(Inventory(countable=False)).place(ResourceRequest(count=1)) == Allocation()


def test_the_lowest_free_gpus_are_given() -> None:
    pool = DevicePool(Inventory(FOUR.gpus, {"1": "python (pid 7)"}), taken={"0": "a"})
    assert pool.place(ResourceRequest(count=2)) == Allocation(("2", "3"))
    assert pool.place(ResourceRequest(count=3)) == NoRoom(
        "short", {"asked": "3", "free": "2", "who": "GPU 0: a; GPU 1: python (pid 7)"}, behind=("a",)
    )
    assert pool.place(ResourceRequest(count=5)) == NoRoom("too_many", {"asked": "5", "have": "4"}, never=True)
    assert pool.place(ResourceRequest()) == NoRoom("several", {"who": "GPU 0: a; GPU 1: python (pid 7)"}, behind=("a",))
    assert pool.place(ResourceRequest(("0",))) == NoRoom("run", {"gpu": "0", "run": "a"}, behind=("a",))
    assert pool.place(ResourceRequest(("1",))) == NoRoom("foreign", {"gpu": "1", "who": "python (pid 7)"})
    assert pool.place(ResourceRequest(("7",))) == NoRoom("absent", {"gpu": "7", "have": "0, 1, 2, 3"}, never=True)
    assert DevicePool(FOUR).place(ResourceRequest()) == Allocation(FOUR.gpus, all=True)


def test_devices_named_otherwise_are_taken_at_their_word() -> None:
    pool = DevicePool(Inventory(countable=False), taken={"GPU-5a": "a"})
    assert pool.place(ResourceRequest(("GPU-6b",))) == Allocation(("GPU-6b",))
    assert pool.place(ResourceRequest(("GPU-5a",))) == NoRoom("run", {"gpu": "GPU-5a", "run": "a"}, behind=("a",))


def test_what_waits_keeps_what_it_needs_from_those_behind() -> None:
    pool = DevicePool(FOUR, taken={"0": "a"})
    pool.promise("big", ResourceRequest())
    assert pool.place(ResourceRequest(count=1)) == NoRoom("turn", {"run": "big"}), "three are free, and kept"
    assert pool.place(ResourceRequest(("2",))) == NoRoom("turn", {"run": "big"})
    assert pool.place(ResourceRequest(count=4)) == NoRoom(
        "short", {"asked": "4", "free": "3", "who": "GPU 0: a"}, behind=("a",)
    )
    assert pool.place(ResourceRequest(cpu=True)) == Allocation()  # it needs nothing of what is promised
    pool = DevicePool(FOUR, taken={"0": "a"})
    pool.promise("exact", ResourceRequest(("0",)))
    assert pool.place(ResourceRequest(count=3)) == Allocation(("1", "2", "3"))
    pool.promise("cpu", ResourceRequest(cpu=True))
    assert pool.place(ResourceRequest(cpu=True)) == NoRoom("turn", {"run": "cpu"})


def test_a_job_that_waits_where_it_fits_keeps_only_what_it_can_use() -> None:
    fits = ResourceRequest(count=1, fits=True)
    pool = DevicePool(Inventory(("0", "1")))  # 0 is too small for it, 1 is full
    full = Fitting(need=3 << 30, empty=("1",))
    assert pool.place(fits, full) == NoRoom("fits_full", {"need": "3.0", "asked": "1", "gpu": "1"})
    pool.promise("first", fits, full)
    assert pool.place(ResourceRequest(count=1)) == Allocation(("0",))
    assert pool.place(ResourceRequest(("1",))) == NoRoom("turn", {"run": "first"})
    assert pool.place(ResourceRequest(count=2)) == NoRoom("turn", {"run": "first"})
    pool = DevicePool(Inventory(("0", "1")))
    pool.promise("first", fits, Fitting(unknown=NoRoom("fits_unread")))
    assert pool.place(ResourceRequest(count=1)) == NoRoom("turn", {"run": "first"}), "not known: any may be its own"


def test_a_run_of_unknown_devices_has_them_all() -> None:
    pool = DevicePool(FOUR)
    pool.take("old", Allocation(all=True))
    assert pool.place(ResourceRequest(count=1)) == NoRoom(
        "short", {"asked": "1", "free": "0", "who": "GPU 0, 1, 2, 3: old"}, behind=("old",)
    )
    assert pool.place(ResourceRequest()) == NoRoom("run", {"gpu": "0, 1, 2, 3", "run": "old"}, behind=("old",))


def test_a_process_of_a_run_that_ends_is_no_stranger() -> None:
    machine = Inventory(FOUR.gpus, {"1": "python (pid 7)"}, leaving={"0": "r1 (pid 8)", "3": "r1 (pid 8)"})
    pool = DevicePool(machine)
    assert pool.place(ResourceRequest(("3", "0"))) == NoRoom("leaving", {"gpu": "3, 0", "run": "r1 (pid 8)"})
    assert pool.anyway(ResourceRequest(count=3)) == Allocation(("0", "2", "3")), "strangers are kept clear of longest"
    pool.take("a", Allocation(("0",)))
    assert pool.place(ResourceRequest(("0",))) == NoRoom("run", {"gpu": "0", "run": "a"}, behind=("a",))


def test_who_does_not_want_to_wait_gets_the_least_used() -> None:
    pool = DevicePool(Inventory(FOUR.gpus, {"1": "x"}), taken={"0": "a", "3": "b"})
    assert pool.anyway(ResourceRequest(count=2)) == Allocation(("1", "2"))
    assert pool.anyway(ResourceRequest(count=3)) == Allocation(("0", "1", "2"))
    assert pool.anyway(ResourceRequest(("0", "3"))) == Allocation(("0", "3"))
    assert pool.anyway(ResourceRequest()) == Allocation(FOUR.gpus, all=True)
    assert isinstance(pool.anyway(ResourceRequest(count=9)), NoRoom)


ASKS = st.one_of(
    st.builds(ResourceRequest, count=st.integers(1, 5)),
    st.builds(ResourceRequest, devices=st.lists(st.sampled_from(FOUR.gpus), min_size=1, unique=True).map(tuple)),
    st.just(ResourceRequest()),
    st.just(ResourceRequest(cpu=True)),
)


@given(st.lists(ASKS, max_size=12), st.integers(1, 3))
def test_nothing_is_given_twice_and_the_first_is_never_overtaken(asks: list[ResourceRequest], slots: int) -> None:
    """All jobs in order; then runs end one by one: each job that can run at all runs in the end."""
    machine = Inventory(FOUR.gpus, slots=slots)
    waiting = list(enumerate(asks))
    running: list[tuple[int, Allocation]] = []
    while waiting:
        pool = DevicePool(machine)
        for number, place in running:
            pool.take(str(number), place)
        still = []
        for number, request in waiting:
            found = pool.place(request)
            if isinstance(found, Allocation):
                assert not set(found.devices) & set(pool.taken)
                assert found.devices or len(pool.in_slots) < slots
                assert not any(set(found.devices) & set(wanting(other)) for _, other in still)
                running.append((number, found))
                pool.take(str(number), found)
            elif not found.never:
                pool.promise(str(number), request)
                still.append((number, request))
        waiting = still
        if waiting:
            assert running, "they wait for nobody"
            running.pop(0)


def wanting(request: ResourceRequest) -> tuple[str, ...]:
    """The GPUs that only the job itself may get while it waits."""
    return request.devices or (() if request.cpu else FOUR.gpus)
