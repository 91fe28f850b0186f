"""A file that grows, is cut and is replaced: whole lines only, each once."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lfdash.runs import log_reader
from lfdash.runs.metrics import followed
from lfdash.runs.metrics.followed import Deadline, Followed

WAYS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "add", "cut", "replace", "remove", "look"]), st.binary(max_size=30)),
    max_size=25,
)


def whole(data: bytes, ends: bytes) -> bytes:
    """What of a file is over."""
    return data[: max(data.rfind(end) for end in ends) + 1]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ways=WAYS, piece=st.sampled_from([3, 50, 1 << 20]), ends=st.sampled_from([b"\n", b"\n\r"]))
def test_each_whole_line_comes_once(tmp_path: Path, ways: list[tuple[str, bytes]], piece: int, ends: bytes) -> None:
    path = tmp_path / "log"
    path.unlink(missing_ok=True)
    file, taken, content = Followed(str(path), ends), b"", b""
    for number, (way, data) in enumerate([*ways, ("look", b"")]):
        line = b"%d " % number + data.replace(b"a", b"\n").replace(b"b", b"\r") + b"\n" * (number % 3)
        if way == "add":
            content += line
            with path.open("ab") as out:
                out.write(line)
        elif way in ("cut", "replace"):
            content = b"other %d\n" % number + line
            other = tmp_path / "other"
            other.write_bytes(content)
            if way == "replace":
                os.replace(other, path)
            else:
                path.write_bytes(content)
        elif way == "remove":
            path.unlink(missing_ok=True)
            content = b""
        elif file.look():
            old, followed.PIECE = followed.PIECE, piece
            try:
                while not file.through:
                    generation = file.cursor.generation
                    new = file.read()
                    taken = new if file.cursor.generation != generation else taken + new
            finally:
                followed.PIECE = old
    longest = max(map(len, content.replace(b"\r", b"\n").split(b"\n")), default=0)
    if longest < piece - 1:
        assert taken == whole(content, ends)
    else:  # lines that are too long are left out, and nothing else
        lines = content.splitlines() if ends == b"\n\r" else content.split(b"\n")
        assert set(taken.splitlines() if ends == b"\n\r" else taken.split(b"\n")) <= {*lines, b""}


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "PIECE", 8)
    path = tmp_path / "log"
    path.write_bytes(b"one\n" + b"x" * 100 + b"\ntwo\n" + b"y" * 20)
    file, taken = Followed(str(path), b"\n"), b""
    assert file.look()
    while not file.through:
        taken += file.read()
    assert taken == b"one\ntwo\n"
    with path.open("ab") as out:
        out.write(b"yy\nthree\n")
    assert file.look() and file.unread
    while not file.through:
        taken += file.read()
    assert taken == b"one\ntwo\nthree\n" and file.unread == 0


def test_a_file_without_news_costs_a_stat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    old = time.time() - 10
    os.utime(path, (old, old))
    file = Followed(str(path), b"\n")
    assert file.look() and file.read() == b"one\n" and file.through
    monkeypatch.setattr(followed, "read_whole", lambda *_, **__: pytest.fail("it was opened"))
    assert not file.look()
    path.unlink()
    monkeypatch.undo()
    assert file.look() and file.read() == b"" and file.cursor.generation == 1
    monkeypatch.setattr(followed, "read_whole", lambda *_, **__: pytest.fail("it was opened"))
    assert not file.look() and not file.look()


def test_a_change_within_the_same_tick_of_the_clock_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed, "RECHECK_S", 0.0)
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    file = Followed(str(path), b"\n")
    assert file.look() and file.read() == b"one\n"
    before = path.stat()
    path.write_bytes(b"two\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # same size, same time
    assert file.look() and file.read() == b"two\n"


def test_skipping_goes_on_with_the_next_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\nthree\nfour\n")
    file = Followed(str(path), b"\n")
    assert file.look()
    file.skip_to(5)
    assert file.read() == b"three\nfour\n"


def test_a_disk_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    os.utime(path, (1, 1))
    file = Followed(str(path), b"\n")
    with monkeypatch.context() as broken:
        broken.setattr(followed, "read_whole", lambda *_, **__: fail())
        assert file.look() and file.read() == b"" and file.through
    assert file.look() and file.read() == b"one\n" and not file.look()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES])
@pytest.mark.parametrize("way", ["open", "stat"])
def test_a_file_that_cannot_be_opened_once_is_not_taken_for_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, way: str
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    os.utime(path, (1, 1))
    file = Followed(str(path), b"\n")

    def fails(*_args: object, **_named: object) -> None:
        raise OSError(number, os.strerror(number))

    for before in (b"", b"one\n"):
        with monkeypatch.context() as broken:
            broken.setattr(*((log_reader, "open_plain") if way == "open" else (followed, "look_mark")), fails)
            data = file.read() if file.look() else b""
            assert data == b"" and file.through and (file.failed or before)
            assert file.cursor.generation == 0 and file.cursor.offset == len(before)
        if not before:
            assert file.look() and file.read() == b"one\n" and not file.failed


def test_a_file_rewritten_in_place_that_begins_the_same_is_another_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"the same\n" * 100 + b"old\n" * 20)
    file = Followed(str(path), b"\n")
    assert file.look() and file.read() and not file.cursor.generation
    path.write_bytes(b"the same\n" * 100 + b"new\n" * 40)
    assert file.look() and file.read().count(b"new") == 40 and file.cursor.generation == 1


def test_a_secret_that_is_written_over_is_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"secret\n" + b"line\n" * 100 + b"secret\n")
    file = Followed(str(path), b"\n")
    assert file.look() and file.read()
    path.write_bytes(path.read_bytes().replace(b"secret", b"******") + b"more\n")
    assert file.look() and file.read() == b"more\n" and file.cursor.generation == 0


def fail() -> None:
    raise OSError(5, "Input/output error")


def test_a_deadline_passes() -> None:
    assert Deadline(0.0).passed() and not Deadline(None).passed() and not Deadline(60.0).passed()
