"""A log's pages, news and index against a plain reading of all of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lfdash.runs.output import index, lines, log, search
from lfdash.runs.output.index import Index
from lfdash.runs.output.levels import Levels
from lfdash.runs.output.log import RunLog
from lfdash.runs.output.rows import Folded, Row, Shown
from tests.runs.output import plain

BAR = " 12%|#2   | 3/25 [00:01<00:09,  2.3it/s]"
PIECES = [
    "a\n", "some words\n", "\n", " \n", "\r\n", "\r", "\n\r", "        \r", f"{BAR}\r", f"\r{BAR}", f"{BAR}\n",
    f"{BAR}{BAR}\r",
    f"{BAR}[INFO|x.py:1] 2026-01-01 00:00:00,000 >> {{'loss': 1.0}}\n", "{'loss': 2.5, 'epoch': 1}\n", f"{BAR}more\n",
    "{'eval_loss': 2.5}\n", "[WARNING|x.py:3] 2026-01-01 00:00:00,000 >> careful\n", "  indented\n",
    "Traceback (most recent call last):\n", '  File "a.py", line 1, in f\n', "ValueError: bad\n", "more of it\n",
    "During handling of the above exception, another exception occurred:\n", "[rank1]: RuntimeError: x\n",
    "é中\x1b[31m!\n",
    "x" * 70 + "\n", "y" * 150, "z" * 40 + "\r", "\0\0\n", "\x1b[0m\r",
]
texts = st.lists(st.sampled_from(PIECES), max_size=40).map(lambda pieces: "".join(pieces).encode())
quick = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is large is small, so that it is passed."""
    for module in (lines, index):
        monkeypatch.setattr(module, "LONGEST", 128)
    monkeypatch.setattr(index, "MARGIN", 16)
    monkeypatch.setattr(index, "GRID", 64)
    monkeypatch.setattr(Index.__init__, "__defaults__", (64,))


def opened(path: Path, data: bytes) -> RunLog:
    path.write_bytes(data)
    found = RunLog(path)
    found.poll()
    return found


def indexed(path: Path, data: bytes) -> RunLog:
    found = opened(path, data)
    while found.work(1):
        pass
    found.catch_up(1)
    return found


def flat(rows: Sequence[Shown]) -> list[tuple[int, int] | int]:
    """As `plain.repetitions`, of rows."""
    found: list[tuple[int, int] | int] = []
    run: tuple[int, int] | None = None
    for row in rows:
        if isinstance(row, Row) and not row.kind and lines.is_blank(row.raw):
            continue
        if isinstance(row, Row) and not row.kind:
            found += [run] if run else []
            run = None
            found.append(row.start)
        elif isinstance(row, Folded):
            run = ((run or (0, 0))[0] + row.progress, (run or (0, 0))[1] + row.metrics)
        elif row.kind:
            run = ((run or (0, 0))[0] + (row.kind == 1), (run or (0, 0))[1] + (row.kind == 2))
    return [*found, run] if run else found


def backwards(found: RunLog, most: int, least: int = 0) -> Iterator[log.Page]:
    place = found.size
    while place > 0:
        page = found.before(place, most, least)
        yield page
        assert page.begin < place, "it goes on"
        place = page.begin


def forwards(found: RunLog, most: int, least: int = 0) -> Iterator[log.Page]:
    place = 0
    while place < found.size:
        page = found.after(place, most, least)
        yield page
        assert page.end > place, "it goes on"
        place = page.end


@quick
@given(texts, st.integers(1, 9), st.booleans())
def test_all_pages_together_are_the_log(tmp_path: Path, data: bytes, most: int, known: bool) -> None:
    found = (indexed if known else opened)(tmp_path / "log", data)
    want = plain.repetitions(data)
    pages = list(backwards(found, most))
    assert flat([row for page in reversed(pages) for row in page.rows]) == want
    assert flat([row for page in forwards(found, most) for row in page.rows]) == want
    assert not pages or not pages[-1].rest


@quick
@given(texts, st.integers(1, 9), st.integers(1, 2))
def test_only_what_is_grave(tmp_path: Path, data: bytes, most: int, least: int) -> None:
    found = indexed(tmp_path / "log", data)
    want = [(one.start, one.level, one.raw[:128]) for one in plain.shown(plain.whole_text(data), least)]
    known = found.index.place
    pages = [row for page in reversed(list(backwards(found, most, least))) for row in page.rows if row.start < known]
    assert [(row.start, row.level, row.raw[:128]) for row in pages if isinstance(row, Row)] == want
    ahead = [row for page in forwards(found, most, least) for row in page.rows if row.start < known]
    assert ahead == pages


@quick
@given(texts)
def test_the_index_counts_what_there_is(tmp_path: Path, data: bytes) -> None:
    found = indexed(tmp_path / "log", data)
    whole = plain.whole_text(data)
    assert found.index.place == len(whole) or found.index.place == plain.lines(data)[-1].start
    seen = [one for one in plain.shown(data) if one.start < found.index.place]
    assert found.index.total("progress") == sum(one.kind == 1 for one in seen)
    assert found.index.total("metrics") == sum(one.kind == 2 for one in seen)
    assert found.index.total("others") == sum(not one.kind and not lines.is_blank(one.raw) for one in seen)
    assert found.index.total("warnings") == sum(one.level == 1 for one in seen)
    assert found.index.total("errors") == sum(one.level == 2 for one in seen)
    if any(len(segment) >= lines.LONGEST for segment in plain.segments(data)):
        return  # of such a line only the beginning is judged
    heads = [one.start for one in plain.shown(data) if one.level == 2 and b"Traceback" in one.raw]
    for start in range(0, len(data), 37):
        assert found.first_traceback(start) == next((head for head in heads if head >= start), None)


@quick
@given(st.lists(texts, min_size=1, max_size=5))
def test_what_is_new_together_is_the_log(tmp_path: Path, parts: list[bytes]) -> None:
    """A line without an end is given again, with its end."""
    path = tmp_path / "log"
    path.write_bytes(b"")
    found, rows, place, levels = RunLog(path), list[Shown](), 0, Levels()
    for part in parts:
        with path.open("ab") as file:
            file.write(part)
        found.poll()
        news = found.news(place, levels)
        assert news is not None
        rows = [row for row in rows if row.start < place]
        rows += news.rows
        place, levels = news.place, news.levels
    data = b"".join(parts)
    assert flat(rows) == plain.repetitions(data)
    grave = {one.start: one.level for one in plain.shown(data)}
    assert all(row.level == grave[row.start] for row in rows if isinstance(row, Row) and row.start < place)


@quick
@given(texts, st.integers(1, 20), st.data())
def test_what_is_folded_can_be_asked_for(tmp_path: Path, data: bytes, most: int, draw: st.DataObject) -> None:
    found = opened(tmp_path / "log", data)
    begin = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(begin, len(data)))
    want = [one.start for one in plain.shown(data) if begin <= one.start < end]
    got: list[int] = []
    while end > begin:
        page = found.between(begin, end, most)
        assert len(page.rows) <= most and page.begin < end
        got = [row.start for row in page.rows] + got
        end = page.begin
    assert got == want


@quick
@given(st.lists(texts, min_size=1, max_size=4), st.sampled_from(["a", "LOSS", "it/s", "é中!", "bad", "x" * 30, "•"]))
def test_a_search_finds_every_line(tmp_path: Path, parts: list[bytes], query: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"")
    found = RunLog(path)
    for part in parts:
        with path.open("ab") as file:
            file.write(part)
        found.poll()
        wanted = found.search(query, str)
        while found.work(1):
            pass
    data = b"".join(parts)
    want = [
        one.start for one in plain.shown(data)
        if query.lower() in one.raw[:128].decode(errors="replace").replace("\x1b[31m", "").lower()
    ]
    ended = [place for place in want if place < search_end(path)]
    assert wanted.count == len(ended) and wanted.done(found.size)
    ahead, place = [], 0
    while (match := wanted.find(place, True)).place is not None:
        assert match.number == len(ahead)
        ahead.append(match.place)
        place = match.place + 1
    back, place = [], found.size
    while (match := wanted.find(place, False)).place is not None:
        back.append(match.place)
        place = match.place
    assert ahead == want and back == want[::-1]


def search_end(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return search.whole_end(descriptor, path.stat().st_size)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("how", ["cut", "replaced", "gone"])
def test_a_log_that_is_cut_or_replaced_is_another_one(tmp_path: Path, how: str) -> None:
    path = tmp_path / "log"
    found = indexed(path, b"one\n{'loss': 1}\n" * 20)
    assert not found.poll() and found.index.total("metrics") == 20
    if how == "cut":
        path.write_bytes(b"cut\n")
    elif how == "replaced":
        (tmp_path / "new").write_bytes(b"another\n" * 100)
        os.replace(tmp_path / "new", path)
    else:
        path.unlink()
    assert found.poll() and found.generation == 1 and found.index.place == 0
    assert found.size == (path.stat().st_size if path.exists() else 0)


@pytest.mark.parametrize("same_size", [False, True])
def test_a_log_rewritten_in_place_that_begins_the_same_is_another_one(tmp_path: Path, same_size: bool) -> None:
    path = tmp_path / "log"
    found = indexed(path, b"the same\n" * 60 + b"old\n" * 20)
    path.write_bytes(b"the same\n" * 60 + b"new\n" * (20 if same_size else 40))
    os.utime(path, (1, 1))
    assert found.poll() and found.generation == 1 and found.index.place == 0


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("called", ["open", "stat"])
def test_a_log_that_fails_once_is_no_empty_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, called: str
) -> None:
    path = tmp_path / "log"
    found = indexed(path, b"one\n{'loss': 1}\n" * 20)
    size = found.size
    with path.open("ab") as file:
        file.write(b"more\n")

    def fails(*_args: object, **_named: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(os, called, fails)
        assert not found.poll() and (found.size, found.generation, found.failure) == (size, 0, os.strerror(number))
        assert not RunLog(path).poll()
    assert found.poll() and (found.size, found.generation, found.failure) == (size + 5, 0, "")
    assert found.index.total("metrics") == 20


def test_a_secret_that_is_masked_in_the_file_changes_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "log"
    found = indexed(path, b"key 12345678 end\n" * 3)
    path.write_bytes(b"key ******** end\n" * 3 + b"more\n")
    assert found.poll() and found.generation == 0


def test_an_exception_that_was_ignored_is_not_the_first_traceback(tmp_path: Path) -> None:
    ignored = b"Exception ignored in: <function f at 0x7f>\nTraceback (most recent call last):\nOSError: x\n"
    assert indexed(tmp_path / "one", ignored).first_traceback() is None
    found = indexed(tmp_path / "two", ignored + b"\nTraceback (most recent call last):\nOSError: x\n")
    assert found.first_traceback() == len(ignored) + 1


def test_a_line_that_goes_on_and_on_is_looked_through_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "LOOK", 100)
    path = tmp_path / "log"
    found = opened(path, b"one\n" + b"x" * 5000)
    assert found.work(0) and found.index.place < 5000, "it does not wait for its end"
    while found.work(0):
        pass
    assert found.index.place == 4 and found.index.seen == 5004
    with path.open("ab") as file:
        file.write(b"y" * 900 + b"\nlast\n")
    found.poll()
    while found.work(0):
        pass
    assert found.index.place == found.size and found.index.total("others") == 3
