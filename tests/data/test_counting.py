"""Counts of large files: off the page's thread, each file once, given up when nobody needs them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lfdash.data.counting import KEPT, Counter
from lfdash.data.preview import Counted

OLD, NEW = (1, 1, 1), (2, 2, 2)


class Looker:
    """Stands in for the look through a file: waits until it may go on, or is told to stop."""

    def __init__(self) -> None:
        self.looked: list[str] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def look(self, path: Path, told: Callable[[int, int], bool]) -> Counted | None:
        self.looked.append(path.name)
        self.begun.release()
        assert self.go.acquire(timeout=60)
        return Counted(7) if told(1, 4) else None


def test_a_file_is_counted_once_and_its_progress_told() -> None:
    looker = Looker()
    counter = Counter(looker.look, Counted)
    asked = counter.ask(Path("a"), OLD)
    assert looker.begun.acquire(timeout=60)
    assert counter.ask(Path("a"), OLD) is asked and asked.found is None
    looker.go.release()
    assert counter.settle(60)
    assert asked.found == Counted(7) and asked.share == 0.25
    assert counter.ask(Path("a"), OLD) is asked and looker.looked == ["a"]


def test_a_file_that_changed_is_counted_anew_and_the_last_asked_is_next() -> None:
    looker = Looker()
    counter = Counter(looker.look, Counted)
    old = counter.ask(Path("a"), OLD)
    assert looker.begun.acquire(timeout=60)
    for name in "bc":
        counter.ask(Path(name), OLD)
    new = counter.ask(Path("a"), NEW)
    looker.go.release(9)
    assert counter.settle(60)
    assert looker.looked == ["a", "a", "c", "b"]
    assert new.found == Counted(7) and old.found == Counted(None)  # given up: nobody knows


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_look_that_fails_leaves_the_others() -> None:
    def look(path: Path, _told: object) -> Counted:
        if path.name == "bad":
            raise SystemExit  # ends its thread without a word
        return Counted(1)

    counter = Counter(look, Counted)
    bad = counter.ask(Path("bad"), OLD)
    assert counter.settle(60) and bad.found == Counted(None)
    good = counter.ask(Path("good"), OLD)
    assert counter.settle(60) and good.found == Counted(1)


def test_only_so_many_files_are_remembered() -> None:
    looks: list[str] = []
    counter: Counter[Path, Counted] = Counter(lambda path, _told: looks.append(path.name) or Counted(1), Counted)
    for number in range(KEPT + 1):
        counter.ask(Path(str(number)), OLD)
        assert counter.settle(60)
    for name in (str(KEPT), "0"):
        counter.ask(Path(name), OLD)
        assert counter.settle(60)
    assert looks[KEPT + 1 :] == ["0"]


def test_what_is_quick_is_known_at_once_and_only_looked_through_once() -> None:
    looks: list[str] = []
    counter: Counter[Path, Counted] = Counter(lambda path, _told: looks.append(path.name) or Counted(3), Counted)
    for _ in range(2):
        assert counter.ask(Path("a"), OLD, at_once=True).found == Counted(3)
    assert looks == ["a"] and counter.ask(Path("a"), NEW, at_once=True).found == Counted(3) and looks == ["a", "a"]
