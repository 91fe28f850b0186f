"""One feed a run in the whole process: shared, read once, let go when nobody asks for it."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import pytest

from lfdash.runs.metrics import feed as feed_module
from lfdash.runs.metrics import feeds as module
from lfdash.runs.metrics import followed
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.metrics.feeds import Feeds
from lfdash.runs.paths import RunPaths
from tests.support.feeds import fed, written
from tests.support.runs import wait_for

ROWS = [{"current_steps": step, "total_steps": 5000, "loss": 1.0 / step} for step in range(1, 2001)]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def paths(folder: Path, name: str) -> RunPaths:
    return RunPaths(folder / name)


def held(feeds: Feeds) -> list[str]:
    return [Path(key).name for key in feeds._used]


def test_all_tabs_have_the_same_feed_of_a_run(tmp_path: Path) -> None:
    feeds = Feeds()
    assert feeds.of(paths(tmp_path, "a")) is feeds.of(RunPaths(tmp_path / "a"))
    assert feeds.of(paths(tmp_path, "b")) is not feeds.of(paths(tmp_path, "a"))


def test_what_nobody_asks_for_is_let_go(tmp_path: Path, clock: Clock) -> None:
    feeds = Feeds()
    for name in "abc":
        feeds.of(paths(tmp_path, name))
    clock.now = 500.0
    feeds.of(paths(tmp_path, "a"))
    clock.now = 700.0
    feeds.of(paths(tmp_path, "d"))
    assert held(feeds) == ["a", "d"]


def test_what_is_too_large_is_let_go_unless_it_is_in_use(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 10_000)
    feeds = Feeds()
    for name in "abcd":
        fed(tmp_path / name, ROWS)
        feeds.of(paths(tmp_path, name)).poll()
        clock.now += 25.0
    clock.now = 99.0
    feeds.of(paths(tmp_path, "d"))
    assert held(feeds) == ["c", "d"]


def test_a_feed_that_a_tab_still_has_is_shared_with_those_that_ask_later(tmp_path: Path, clock: Clock) -> None:
    feeds = Feeds()
    mine = feeds.of(paths(tmp_path, "a"))
    clock.now = 10_000.0
    feeds.of(paths(tmp_path, "b"))
    assert held(feeds) == ["b"] and feeds.of(paths(tmp_path, "a")) is mine
    clock.now = 20_000.0
    feeds.of(paths(tmp_path, "b"))
    known = id(mine)
    del mine
    gc.collect()
    assert len(feeds._alive) == 1 and known


def test_many_tabs_read_each_byte_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    plain = feed_module.read_block
    monkeypatch.setattr(feed_module, "read_block", lambda data: (read.append(len(data)), plain(data))[1])
    feed = fed(tmp_path, ROWS)
    text = written({**row, "current_steps": row["current_steps"] + 2000} for row in ROWS)
    with feed.paths.trainer_log.open("a") as file:
        file.write(text)
    tabs = [threading.Thread(target=feed.poll) for _ in range(20)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert sum(read) == feed.paths.trainer_log.stat().st_size and len(feed.frame) == 4000


def test_a_tab_does_not_wait_for_another_that_reads(tmp_path: Path) -> None:
    feed = fed(tmp_path, ROWS)
    with feed._reading:
        assert feed.poll(0.1) is False and len(feed.frame) == 2000


def test_a_budget_is_kept_and_the_next_poll_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "PIECE", 2000)
    (tmp_path / "trainer_log.jsonl").write_text(written(ROWS))
    (tmp_path / "console.log").write_text("x" * 30_000)
    feed, shares = RunFeed(RunPaths(tmp_path)), []
    while feed.poll(0.0) or feed.reading is not None:
        shares.append(feed.reading)
    assert len(feed.frame) == 2000 and len(shares) > 50
    known = [share for share in shares if share is not None]
    assert known == sorted(known) and 0.0 < known[0] < known[-1] <= 1.0


def test_a_version_grows_with_every_change_and_only_then(tmp_path: Path) -> None:
    feed = fed(tmp_path, ROWS[:5])
    version = feed.version
    assert version == 1 and not feed.poll() and feed.version == version
    with feed.paths.trainer_log.open("a") as file:
        file.write(written([ROWS[5]]) + '{"current_steps": 7')
    assert feed.poll() and feed.version == version + 1 and feed.planned == 5000
    assert not feed.poll()


def test_a_frame_keeps_its_rows_while_a_resume_cuts_them(tmp_path: Path) -> None:
    feed = fed(tmp_path, ROWS[:50])
    frame = feed.frame
    with feed.paths.trainer_log.open("a") as file:
        file.write(written({**row, "loss": 9.0} for row in ROWS[9:80]))
    assert feed.poll() and feed.frame["loss"].tolist() == [1.0 / n for n in range(1, 10)] + [9.0] * 71
    assert frame["loss"].tolist() == [1.0 / n for n in range(1, 51)] and len(frame) == 50
    assert [(segment.place, segment.step) for segment in feed.frame.segments] == [(9, 10)]
    with pytest.raises(ValueError):
        frame["loss"][0] = 1.0


def test_drawing_and_reading_at_once_disturb_each_other_not(tmp_path: Path) -> None:
    feed, over = fed(tmp_path, ROWS[:10]), threading.Event()
    failed: list[BaseException] = []

    def look() -> None:
        try:
            while not over.is_set():
                for span in (0.0, 5.0):
                    curve = feed.draw("loss", span=span, points=50)
                    assert (curve.x[1:] > curve.x[:-1]).all() and len(curve) <= 50
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    tabs = [threading.Thread(target=look) for _ in range(3)]
    for tab in tabs:
        tab.start()
    for begin in [*range(10, 1500, 30), 3, *range(60, 900, 40)]:
        with feed.paths.trainer_log.open("a") as file:
            file.write(written(ROWS[begin : begin + 40]))
        feed.poll(0.05)
    over.set()
    for tab in tabs:
        tab.join()
    assert not failed


def test_the_console_of_a_run_whose_state_tells_all_is_not_read_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    plain = feed_module.printed
    monkeypatch.setattr(feed_module, "printed", lambda data: (read.append(len(data)), plain(data))[1])
    monkeypatch.setattr(feed_module, "FAR", 1000)
    monkeypatch.setattr(feed_module, "LAST", 300)
    rows = [{**row, "epoch": row["current_steps"] / 10} for row in ROWS[:100]]
    said = "".join(f"{{'loss': '{row['loss']:.4g}', 'kl': '1', 'epoch': '{row['epoch']:.4g}'}}\n" for row in rows)
    said += "{'eval_loss': '0.5', 'epoch': '10'}\n"
    history = [{"step": row["current_steps"], "loss": row["loss"], "kl": 2.0} for row in rows]
    closing = {"current_steps": 100, "total_steps": 100, "epoch": 10.0}
    whole = fed(tmp_path / "whole", [*rows, closing], said, history).frame
    assert 200 < sum(read) <= 300
    assert whole["kl"].tolist()[:90] == [2.0] * 90 and whole.series("eval_loss")[1].tolist() == [0.5]
    part = fed(tmp_path / "part", [*rows, closing], said, history[:-1]).frame
    assert part["kl"].tolist() == [2.0] * 99 + [1.0] and sum(read) > 4000


def long_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> RunPaths:
    """A run whose log takes several polls, however short a budget is."""
    monkeypatch.setattr(followed, "PIECE", 4096)
    folder.mkdir()
    run = RunPaths(folder)
    run.trainer_log.write_text(written(ROWS))
    return run


def ended(name: str) -> bool:
    return all(thread.name != name for thread in threading.enumerate())


def test_what_takes_long_is_read_on_by_a_thread_that_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, feeds = long_log(tmp_path / "run", monkeypatch), Feeds()
    feeds.read(run, 0.0)
    first = len(feeds.of(run).frame)
    assert 0 < first < len(ROWS)
    wait_for(lambda: feeds.of(run).reading is None)
    assert len(feeds.of(run).frame) == len(ROWS)
    wait_for(lambda: ended("lfdash-feeds"))
    feeds.read(run, 0.0)
    assert ended("lfdash-feeds")  # nothing is left to read


def test_a_run_that_nobody_asks_for_again_is_not_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    run, feeds = long_log(tmp_path / "run", monkeypatch), Feeds()
    polled: list[float | None] = []
    real = RunFeed.poll

    def poll(self: RunFeed, budget_s: float | None = None) -> bool:
        polled.append(budget_s)
        clock.now += 2 * module.WANTED_S  # the tab is closed meanwhile
        return real(self, 0.0)

    monkeypatch.setattr(RunFeed, "poll", poll)
    feeds.read(run, 0.0)
    wait_for(lambda: ended("lfdash-feeds"))
    assert polled == [0.0, module.SLICE_S]
    assert feeds.of(run).reading is not None


def test_a_reader_that_fails_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, feeds = long_log(tmp_path / "run", monkeypatch), Feeds()
    real = RunFeed.poll

    def fails(self: RunFeed, budget_s: float | None = None) -> bool:
        if threading.current_thread().name == "lfdash-feeds":
            raise MemoryError
        return real(self, budget_s)

    monkeypatch.setattr(RunFeed, "poll", fails)
    monkeypatch.setattr(threading, "excepthook", lambda told: None)
    feeds.read(run, 0.0)
    wait_for(lambda: ended("lfdash-feeds"))
    monkeypatch.setattr(RunFeed, "poll", real)
    feeds.read(run, 0.0)
    wait_for(lambda: feeds.of(run).reading is None)
