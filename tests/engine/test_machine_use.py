"""Which run uses which device, and what is kept of the machine in the folders of runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lfdash.engine.machine_use import MachineUse, devices_of, users
from lfdash.engine.only_one import OnlyOne
from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.fake import FakeLauncher
from lfdash.launchers.local import LocalLauncher
from lfdash.machine.history import History
from lfdash.machine.sample import Device, Sample
from lfdash.runs.record import Handle
from lfdash.runs.view import RunView
from tests.support.runs import launch, members, plan_for, wait_end, wait_ready

GPU, OTHER = Device("nvidia", "0", processes=(), seen=100.0), Device("nvidia", "1", processes=(), seen=100.0)
ABSENT = 2**22 + 1  # above the highest pid that Linux gives out


@pytest.fixture
def fake() -> FakeLauncher:
    return FakeLauncher()


@pytest.fixture
def registry(tmp_path: Path, fake: FakeLauncher) -> ProcessRegistry:
    (tmp_path / "workspace").mkdir()
    return ProcessRegistry(tmp_path / "workspace", fake)


def begin(registry: ProcessRegistry, fake: FakeLauncher, name: str = "r1") -> Handle:
    handle = launch(registry, plan_for(registry.workspace, name=name))
    fake.begin(handle)
    registry.refresh()
    return handle


def use_of(registry: ProcessRegistry) -> MachineUse:
    return MachineUse(registry.watcher, registry.identity)


def sample(time: float, *devices: Device) -> Sample:
    return Sample(time, tuple(replace(device, seen=time) for device in devices), cpu=5.0)


@pytest.fixture
def real(tmp_path: Path) -> Iterator[tuple[ProcessRegistry, Handle]]:
    """A run with processes."""
    (tmp_path / "workspace").mkdir()
    registry = ProcessRegistry(tmp_path / "workspace", LocalLauncher())
    handle = launch(registry, plan_for(tmp_path / "workspace", steps=600, delay=0.1))
    wait_ready(handle)
    registry.refresh()
    yield registry, handle
    registry.start()
    registry.stop(handle.run_id, "kill")
    wait_end(registry, handle.run_id)
    registry.close()


def test_a_device_has_the_run_whose_processes_are_on_it(real: tuple[ProcessRegistry, Handle]) -> None:
    registry, handle = real
    use = use_of(registry)
    pids = tuple(members(handle))
    assert pids and use.busy()
    ours, foreign, idle = use.named((replace(GPU, processes=pids), replace(OTHER, processes=(os.getpid(),)), GPU))
    assert (ours.runs, foreign.runs, idle.runs) == ((handle.run_id,), (), ())


def given(view: RunView, *devices: str) -> RunView:
    assert view.record is not None
    return replace(view, record=view.record.with_last(devices=devices))


def test_where_no_process_can_be_seen_those_have_a_device_that_it_was_given_to(
    registry: ProcessRegistry, fake: FakeLauncher
) -> None:
    begin(registry, fake)
    (view,) = use_of(registry).runs()
    hidden = replace(GPU, processes=(ABSENT,))
    assert users(hidden, [given(view, "0")]) == users(GPU, [given(view, "0")]) == ("id-r1",)
    assert users(replace(GPU, index="0:2"), [given(view, "0")]) == ("id-r1",)
    assert users(replace(GPU, uuid="GPU-5a"), [given(view, "GPU-5a")]) == ("id-r1",)
    assert users(hidden, [given(view, "1")]) == users(hidden, [given(view)]) == ()
    assert users(replace(GPU, processes=(os.getpid(),)), [given(view, "0")]) == ()  # a stranger is on it


def test_beside_a_run_stand_the_devices_that_it_uses(registry: ProcessRegistry, fake: FakeLauncher) -> None:
    begin(registry, fake)
    (view,) = use_of(registry).runs()
    used = replace(OTHER, runs=("id-r1",))
    untold = replace(GPU, processes=None)
    assert devices_of(view, (GPU, used)) == (used,)
    assert devices_of(given(view), (GPU, OTHER)) == ()  # it has a place on the processor
    assert devices_of(given(view), (untold, OTHER)) == (untold, OTHER)
    assert view.record is not None
    unknown = replace(view, record=view.record.with_last(devices=None))
    assert devices_of(unknown, (GPU, OTHER)) == (GPU, OTHER)


def test_rows_are_kept_while_a_run_goes_on(registry: ProcessRegistry, fake: FakeLauncher) -> None:
    use = use_of(registry)
    use.take(sample(95, GPU))
    handle = begin(registry, fake)
    path = handle.paths.machine
    assert not path.exists()
    mine = replace(GPU, runs=("id-r1",), load=50.0)
    use.take(sample(100, mine, OTHER))
    fake.log(handle, {"current_steps": 3, "total_steps": 9, "loss": 1.0})
    registry.refresh()
    for at in (102, 105):
        use.take(sample(at, mine, OTHER))
    found = History(path).poll()
    assert found.time.tolist() == [100, 105] and list(found.devices) == ["nvidia:0"]
    assert np.isnan(found.step[0]) and found.step[1] == 3
    assert found.devices["nvidia:0"].load.tolist() == [50, 50] and found.attempt.tolist() == [1, 1]
    fake.end(handle, 0)
    registry.refresh()
    use.take(sample(110, mine))
    assert History(path).poll().time.tolist() == [100, 105] and not use.busy()


def test_of_two_dashboards_one_writes_and_the_other_takes_over(registry: ProcessRegistry, fake: FakeLauncher) -> None:
    handle = begin(registry, fake)
    second = ProcessRegistry(registry.workspace, fake)
    second.refresh()
    one, other = use_of(registry), use_of(second)
    for at in range(100, 200, 5):
        one.take(sample(at, GPU))
        other.take(sample(at + 2, GPU))
    assert History(handle.paths.machine).poll().time.tolist() == list(range(100, 200, 5))
    one.close()
    other.take(sample(207, GPU))
    one.take(sample(215, GPU))
    assert History(handle.paths.machine).poll().time.tolist()[-2:] == [195, 207]


def test_a_run_of_another_machine_is_not_ours_to_tell(registry: ProcessRegistry, fake: FakeLauncher) -> None:
    begin(registry, fake)
    use = use_of(registry)
    (view,) = registry.watcher.alive
    assert view.record is not None
    registry.watcher.alive = [replace(view, record=replace(view.record, host="another"))]
    assert not use.busy() and use.named((GPU,)) == (GPU,)


def test_a_folder_that_cannot_be_written_to_is_told_once(
    registry: ProcessRegistry, fake: FakeLauncher, caplog: pytest.LogCaptureFixture
) -> None:
    path = begin(registry, fake).paths.machine
    path.mkdir()
    use = use_of(registry)
    for at in (100, 105):
        use.take(sample(at, GPU))
    assert len(caplog.records) == 1
    path.rmdir()
    use.take(sample(110, GPU))
    assert History(path).poll().time.tolist() == [110]


def test_nothing_is_written_for_a_workspace_that_was_moved(registry: ProcessRegistry, fake: FakeLauncher) -> None:
    begin(registry, fake)
    use = use_of(registry)
    registry.identity.check()
    registry.workspace.rename(registry.workspace.with_name("elsewhere"))
    use.take(sample(100, GPU))
    assert not registry.workspace.exists()


def test_only_one_holds_what_only_one_does(tmp_path: Path) -> None:
    here = [True]
    one, other = OnlyOne(tmp_path / "lock", lambda: here[0]), OnlyOne(tmp_path / "lock")
    assert one.hold() and one.hold() and not other.hold()
    here[0] = False
    assert not one.hold() and other.hold()
    other.release()
    other.release()
    here[0] = True
    assert one.hold()
