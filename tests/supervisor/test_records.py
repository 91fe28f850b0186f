"""The small files by which an attempt may start and is told to stop."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from lfdash.supervisor.records import RESERVE, RIGHT, TAKEN, give_up, is_given_up, take_right, wished


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    """An attempt's folder before its start."""
    for name in (RIGHT, RESERVE, "armed"):
        (tmp_path / name).write_text(" " * 4096)
    return tmp_path


def test_the_hardest_wish_is_the_one(tmp_path: Path) -> None:
    assert wished(str(tmp_path)) is None
    for level in ("graceful", "kill", "term"):
        (tmp_path / f"stop.{level}").touch()
    assert wished(str(tmp_path)) == "kill"


def test_a_right_that_was_taken_cannot_be_given_up(attempt: Path) -> None:
    assert take_right(str(attempt)) and (attempt / TAKEN).stat().st_size == 4096
    assert not take_right(str(attempt)) and not give_up(str(attempt))
    assert not is_given_up(str(attempt)) and (attempt / RESERVE).exists()
    (attempt / TAKEN).rename(attempt / "child.json")  # it was started
    assert not take_right(str(attempt)) and not give_up(str(attempt))


def test_a_right_that_was_given_up_cannot_be_taken(attempt: Path) -> None:
    assert not is_given_up(str(attempt)) and give_up(str(attempt)) and is_given_up(str(attempt))
    assert not take_right(str(attempt))
    assert not (attempt / RESERVE).exists()  # without which a supervisor of 0.1 starts nothing
    assert (attempt / "armed").exists()
    (attempt / "exit.given-up").rename(attempt / RESERVE)  # who gave it up was killed in the middle
    assert give_up(str(attempt)) and not (attempt / RESERVE).exists()
    assert give_up(str(attempt))


def test_nothing_is_known_of_a_folder_that_is_gone_or_cannot_be_read(attempt: Path) -> None:
    assert not take_right(str(attempt / "gone")) and not give_up(str(attempt / "gone"))
    (attempt / "looped").symlink_to("looped")
    for act in (take_right, give_up, is_given_up):
        with pytest.raises(OSError, match="symbolic links"):
            act(str(attempt / "looped"))


def race(folder: str, number: int, barrier: Barrier) -> None:
    """One of two processes: takes or gives up the right of many attempts, each at the same moment as the other."""
    for name in sorted(os.listdir(folder)):
        barrier.wait(20)
        if (take_right, give_up)[number](os.path.join(folder, name)):
            open(os.path.join(folder, name, f"won.{number}"), "x").close()


def test_of_two_processes_exactly_one_has_its_way(tmp_path: Path) -> None:
    """The one takes, the other gives up: not both, and not neither."""
    for number in range(200):
        (tmp_path / f"{number:03}").mkdir()
        (tmp_path / f"{number:03}" / RIGHT).touch()
    barrier = multiprocessing.Barrier(2)
    both = [multiprocessing.Process(target=race, args=(str(tmp_path), number, barrier)) for number in (0, 1)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    winners = [sorted(path.name for path in folder.glob("won.*")) for folder in sorted(tmp_path.iterdir())]
    assert all(len(won) == 1 for won in winners), winners
