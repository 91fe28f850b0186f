"""machine.jsonl: what is written, what it is bounded by, and what is read of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfdash.machine.history import EMPTY, Histories, History, columns_of, joined
from lfdash.machine.recording import FILE, Recording, read_rows, row_of
from lfdash.machine.sample import Device, Sample

GB = 1 << 30


def row(time: float, **values: Any) -> dict[str, Any]:
    return {"time": time, "attempt": 1, "cpu": 10.0, "devices": {}, **values}


def times(path: Path) -> list[float]:
    return [one["time"] for one in read_rows(path)]


def test_a_row_has_what_is_known_of_a_sample() -> None:
    known = Device(
        "nvidia", "1", "H100", load=97.04, memory_used=GB, memory_total=2 * GB, power=512.34, processes=(7,), seen=100.0
    )
    lost, stale = Device("nvidia", "2", problem="lost", seen=100.0), Device("amd", "0", load=1.0, seen=20.0)
    sample = Sample(100.04, (known, lost, stale), cpu=3.26, memory_used=5, memory_total=10, disk_free=7)
    assert row_of(sample, sample.devices, 2, 7) == {
        "time": 100.0, "attempt": 2, "step": 7, "cpu": 3.3, "memory_used": 5, "memory_total": 10, "disk_free": 7,
        "devices": {
            "nvidia:1": {"load": 97.0, "memory_used": GB, "memory_total": 2 * GB, "power": 512.3, "name": "H100"},
        },
    }


def test_rows_come_at_their_time(tmp_path: Path) -> None:
    recording = Recording(tmp_path / FILE)
    assert [recording.add(row(at)) for at in (100, 102, 104.6, 107, 110, 50, 53, 55)] == [
        True, False, True, False, True, True, False, True,  # a clock that was set back is followed
    ]
    assert times(tmp_path / FILE) == [100, 104.6, 110, 50, 55]


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 40), st.lists(st.floats(4.6, 60), max_size=200), st.data())
def test_a_file_stays_small_evenly_spaced_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, most: int, steps: list[float], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("run") / FILE
    recording, now, written = Recording(path, most), 1000.0, []
    for step in steps:
        now += step
        if data.draw(st.integers(0, 9)) == 0:
            recording = Recording(path, most)  # a dashboard that was started anew goes on
        if recording.add(row(now)):
            written.append(now)
    kept = times(path)
    assert len(kept) < most
    assert kept == sorted(kept) and set(kept) <= set(written)
    if written:
        assert kept[0] == written[0]
        every = read_rows(path)[-1]["every"]
        assert every == 5 * 2 ** round(np.log2(every / 5))
        halvings = every / 5  # each makes what lies between two rows at most twice as long
        assert max([*np.diff([*kept, now]), 0]) <= 2 * halvings * (5 + max(steps))


def test_after_a_halving_the_rows_come_half_as_often(tmp_path: Path) -> None:
    recording = Recording(tmp_path / FILE, most=6)
    for at in range(0, 300, 5):
        recording.add(row(at))
    kept = times(tmp_path / FILE)
    assert len(kept) < 6 and set(np.diff(kept)) <= {40.0, 80.0} and kept[-1] >= 200
    assert sorted({one["every"] for one in read_rows(tmp_path / FILE)})[-1] >= 40


def test_a_line_that_was_cut_costs_that_line(tmp_path: Path) -> None:
    path = tmp_path / FILE
    Recording(path).add(row(100))
    with path.open("ab") as file:
        file.write(b'{"time": 105, "cp')
    Recording(path).add(row(110))
    assert times(path) == [100, 110]


def test_a_byte_that_is_no_text_costs_its_line(tmp_path: Path) -> None:
    path = tmp_path / FILE
    Recording(path).add(row(100))
    with path.open("ab") as file:
        file.write(b'{"time": 105, "cpu\xff": 1}\n\xfe\xff\n')
    assert Recording(path).add(row(110))
    assert times(path)[0] == 100 and times(path)[-1] == 110


@pytest.mark.parametrize("every", ["1e300", "1e9", "-1", "NaN", "true", '"x"'])
def test_a_spoiled_pause_does_not_end_the_recording(tmp_path: Path, every: str) -> None:
    path = tmp_path / FILE
    path.write_text("".join(f'{{"time": {time}, "attempt": 1, "every": 20.0}}\n' for time in (100, 120, 140)))
    with path.open("a") as file:
        file.write(f'{{"time": 160, "attempt": 1, "every": {every}}}\n')
    assert Recording(path).add(row(200)) and times(path)[-1] == 200
    assert not Recording(path).add(row(203))


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / FILE
    recording = Recording(path)
    recording.add(row(100))
    path.unlink()
    assert recording.add(row(102)) and times(path) == [102]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "away"])
def test_nothing_but_a_plain_file_is_written(tmp_path: Path, kind: str) -> None:
    path = tmp_path / FILE
    other = tmp_path / "other"
    if kind == "link":
        path.symlink_to(other)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path = tmp_path / "away" / FILE
    with pytest.raises(OSError):
        Recording(path).add(row(100))
    assert not other.exists() and not (tmp_path / "away").exists()


def test_columns_have_nan_where_nothing_is_known() -> None:
    first = row(100, memory_used=5, memory_total=10, devices={"nvidia:10": {"load": 50.0}, "nvidia:2": {"load": 1}})
    found = columns_of([first, row(105, cpu="x", devices={"nvidia:2": {"memory_used": 1, "memory_total": 4}})])
    assert list(found.devices) == ["nvidia:2", "nvidia:10"]
    assert found.devices["nvidia:2"].label == "GPU 2"
    np.testing.assert_array_equal(found.devices["nvidia:10"].load, [50.0, np.nan])
    np.testing.assert_array_equal(found.devices["nvidia:2"].memory, [np.nan, 25.0])
    np.testing.assert_array_equal(found.cpu, [10.0, np.nan])
    np.testing.assert_array_equal(found.memory, [50.0, np.nan])
    assert np.isnan(found.disk).all() and np.isnan(found.step).all() and len(found) == 2


def test_the_runs_own_time_leaves_out_what_lies_between_its_attempts() -> None:
    rows = [row(100), row(105), row(9000, attempt=2), row(9005, attempt=2), row(9000, attempt=2), row(9100, attempt=2)]
    np.testing.assert_array_equal(columns_of(rows).seconds, [0, 5, 15, 20, 20, 120])


@given(st.lists(st.tuples(
    st.integers(0, 10**6), st.integers(1, 3),
    st.dictionaries(st.sampled_from(["nvidia:0", "nvidia:10", "nvidia:2"]), st.dictionaries(
        st.sampled_from(["load", "power"]), st.integers(0, 100))),
), max_size=20), st.integers(0, 20))
def test_columns_that_grow_are_those_of_all_rows(told: list[Any], cut: int) -> None:
    rows = [row(time, attempt=attempt, devices=devices) for time, attempt, devices in told]
    whole, grown = columns_of(rows), joined(columns_of(rows[:cut]), columns_of(rows[cut:]))
    for name in ("time", "seconds", "attempt", "step", "cpu", "disk_free"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(grown, name))
    assert list(whole.devices) == list(grown.devices)
    for key, device in whole.devices.items():
        np.testing.assert_array_equal(device.load, grown.devices[key].load)
        np.testing.assert_array_equal(device.power, grown.devices[key].power)


def test_a_file_is_followed_and_only_whole_lines_count(tmp_path: Path) -> None:
    path = tmp_path / FILE
    history = History(path)
    assert history.poll() is EMPTY
    recording = Recording(path, most=8)
    recording.add(row(100))
    assert history.poll().time.tolist() == [100]
    same = history.columns
    assert history.poll() is same
    with path.open("ab") as file:
        file.write(json.dumps(row(105)).encode())
        file.flush()
        assert history.poll().time.tolist() == [100]
        file.write(b"\n")
    assert history.poll().time.tolist() == [100, 105]
    for at in range(110, 160, 5):
        recording.add(row(at))
    assert history.poll().time.tolist() == times(path)  # it was halved meanwhile
    path.unlink()
    assert history.poll() is EMPTY


@given(st.lists(st.one_of(
    st.binary(max_size=20), st.just(b'{"time": 1e999}'), st.just(b'{"time": 5, "devices": {"a": 1, "nvidia:x": {}}}'),
    st.just(b'{"time": 7, "devices": [], "cpu": NaN}'),
), max_size=12))
def test_whatever_a_file_holds_it_is_read(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("run") / FILE
    path.write_bytes(b"\n".join(lines) + b"\n")
    found = History(path).poll()
    assert set(found.time) <= {5.0, 7.0} and len(found.seconds) == len(found)


def test_everybody_has_the_same_one_and_few_are_kept(tmp_path: Path) -> None:
    histories = Histories(most=2)
    first = histories.of(tmp_path / "a")
    assert histories.of(tmp_path / "a") is first
    histories.of(tmp_path / "b")
    histories.of(tmp_path / "c")
    assert histories.of(tmp_path / "a") is not first
