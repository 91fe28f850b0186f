"""Ranks are remembered from their start, and nothing but new processes is read for it."""

from __future__ import annotations

import os
import signal

import pytest

from lfdash.supervisor import rank_watch
from lfdash.supervisor.processes import Rank, descendants, start_ticks
from lfdash.supervisor.rank_watch import RankWatch
from tests.supervisor.conftest import FORK, WAIT, WIPE, Spawn
from tests.support.runs import wait_for

RANK = {"LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "8"}


@pytest.fixture(autouse=True)
def unpaused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_watch, "PAUSE_S", 0)


def test_a_rank_that_starts_below_is_remembered(spawn: Spawn) -> None:
    watch = RankWatch()
    spawn("import time; " + WAIT)
    assert not watch.look() and watch.known == []
    rank = spawn("import time; " + WAIT, env=RANK)
    assert watch.look() and not watch.look()
    assert watch.known == [Rank(rank.pid, start_ticks(rank.pid) or 0, "1", 8)]
    rank.kill()
    wait_for(lambda: start_ticks(rank.pid) is None)
    other = spawn("import time; " + WAIT, env={"LOCAL_RANK": "0"})
    assert watch.look() and [one.pid for one in watch.known] == [other.pid]  # those that ended are forgotten


@pytest.mark.parametrize("wipe", ["", WIPE])
def test_a_ranks_own_workers_are_no_ranks(spawn: Spawn, wipe: str) -> None:
    """They inherit its environment; also where the rank has wiped its own since."""
    watch = RankWatch()
    fork = FORK.format(code="import time; " + WAIT).replace("])", "], env=dict(os.environ))")
    code = f"import os, signal, time\ndef work(*_):\n    {wipe}{fork}\n"
    rank = spawn(f"{code}signal.signal(signal.SIGUSR1, work)\n{WAIT}", env=RANK)
    assert watch.look()
    rank.send_signal(signal.SIGUSR1)
    assert rank.stdout is not None and rank.stdout.readline() == "up\n"
    assert len(descendants(rank.pid)) == 1
    assert not watch.look() and [one.pid for one in watch.known] == [rank.pid]


def test_a_rank_and_its_worker_may_come_between_two_looks(spawn: Spawn) -> None:
    watch = RankWatch()
    rank = spawn(FORK.format(code="import time; " + WAIT) + "import time; " + WAIT, ups=2, env=RANK)
    assert watch.look() and [one.pid for one in watch.known] == [rank.pid]


def test_a_rank_of_another_run_is_not_ours(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = RankWatch()
    other = spawn("import time; " + WAIT)
    spawn("import time; " + WAIT, env=RANK)
    monkeypatch.setattr(os, "getpid", lambda: other.pid)
    assert not watch.look() and watch.known == []


def test_each_process_is_read_twice_and_then_no_more(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first time it may be between fork and exec, and still look like its parent."""
    watch, read = RankWatch(), []
    process = spawn("import time; " + WAIT, env=RANK)

    def early(pid: int) -> Rank | None:
        read.append(pid)
        return real(pid) if read.count(process.pid) > 1 else None

    real = rank_watch.rank_of
    monkeypatch.setattr(rank_watch, "rank_of", early)
    assert [watch.look() for _ in range(4)] == [False, True, False, False]
    assert read.count(process.pid) == 2 and os.getpid() in read  # the parent was asked whether it is one
    assert read.count(1) == 0


def test_looks_that_follow_too_soon_are_left_out(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = RankWatch()
    assert not watch.look()
    monkeypatch.setattr(rank_watch, "PAUSE_S", 3600)
    spawn("import time; " + WAIT, env=RANK)
    assert not watch.look()
    monkeypatch.setattr(rank_watch, "PAUSE_S", 0)
    assert watch.look()
