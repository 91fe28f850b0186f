"""Files are written whole or not at all, and records in them are read as what they are."""

from __future__ import annotations

import errno
import math
import os
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from lfdash import files
from lfdash.errors import RecordError
from lfdash.files import (
    ABSENT,
    Absent,
    Unreadable,
    as_record,
    read_json_file,
    read_text_file,
    real_number,
    write_text_atomic,
)
from lfdash.runs.record import Exit


def test_a_replaced_file_is_never_half(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    write_text_atomic(path, "new")
    assert path.read_text() == "new" and [item.name for item in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(UnicodeEncodeError):
        write_text_atomic(path, "\ud800")
    assert path.read_text() == "new" and [item.name for item in tmp_path.iterdir()] == ["a.json"]


def test_two_threads_write_files_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the moment before either takes its place: in one file that both write, one would find half of the other."""
    both, drafts = threading.Barrier(2, timeout=20), list[list[str]]()

    def meet(_name: str) -> None:
        both.wait()
        drafts.append(sorted(path.read_text() for path in tmp_path.glob("a.json.*")))
        both.wait()

    monkeypatch.setattr(files, "hit", meet)
    threads = [threading.Thread(target=write_text_atomic, args=(tmp_path / "a.json", text)) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert drafts == [["one", "two"]] * 2
    assert (tmp_path / "a.json").read_text() in ("one", "two")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_an_exit_record_ignores_what_it_does_not_know() -> None:
    ended = Exit("a", 1, -9, None, ("kill",), 0, 1.0, 2.0, 1.0)
    assert as_record(Exit, {**asdict(ended), "sent": ["SIGKILL"], "stop": ["kill"]}, "it") == ended
    with pytest.raises(RecordError, match="code"):
        as_record(Exit, {"run_id": "a", "attempt": 1}, "it")


@pytest.mark.parametrize("digits", [30, 400])
def test_a_number_of_many_digits_makes_no_record(digits: int) -> None:
    ended = {**asdict(Exit("a", 1, 0)), "started": int("9" * digits)}
    with pytest.raises(RecordError, match="started"):
        as_record(Exit, ended, "it")


# -- small files of ours ----------------------------------------------------------------------------------

SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "not a plain file"),
    "folder": (Path.mkdir, "not a plain file"),
    "link": (lambda path: path.symlink_to("/etc/hostname"), "not a plain file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "not a plain file"),
    "huge": (lambda path: [path.touch(), os.truncate(path, 2 << 30)], "larger than 4,194,304 bytes"),
    "bytes": (lambda path: path.write_bytes(b'{"a": "\xff"}'), "not valid UTF-8 text"),
    "nothing": (Path.touch, "not JSON: Expecting value"),
    "brackets": (lambda path: path.write_text("[" * 200_000), "nested too deeply"),
    "deep": (lambda path: path.write_text('{"a": ' + "[" * 64 + "]" * 64 + "}"), "nested too deeply"),
    "digits": (lambda path: path.write_text('{"a": ' + "9" * 5000 + "}"), "not JSON: Exceeds the limit"),
    "list": (lambda path: path.write_text("[1]"), "not a JSON object"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_what_is_spoiled_is_not_what_is_not_there(tmp_path: Path, kind: str) -> None:
    make, reason = SPOILED[kind]
    make(tmp_path / "a.json")
    spoiled = read_json_file(tmp_path / "a.json")
    assert isinstance(spoiled, Unreadable) and spoiled.reason.startswith(reason) and spoiled.failure is None


@pytest.mark.parametrize("name", ["none.json", "none/a.json", "file/a.json", "n" * 300, "nul\0"])
def test_what_is_not_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    assert read_json_file(tmp_path / name) == read_text_file(tmp_path / name) == ABSENT == Absent()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.EACCES])
def test_a_read_that_failed_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    (tmp_path / "a.json").write_text("{}")

    def fail(*_args: object, **_more: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.os, "open", fail)
    assert read_json_file(tmp_path / "a.json") == Unreadable(os.strerror(number), number)


def test_what_is_as_deep_as_it_may_be_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": ' + "[" * 63 + "]" * 63 + "}")
    assert isinstance(read_json_file(path), dict)
    (tmp_path / "link.json").symlink_to(path)
    assert isinstance(read_json_file(tmp_path / "link.json", follow=True), dict)
    assert isinstance(read_json_file(path, limit=path.stat().st_size), dict)
    assert isinstance(read_json_file(path, limit=path.stat().st_size - 1), Unreadable)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (1, 1.0), (0.5, 0.5), (10**400, None), (math.inf, None), (math.nan, None), (True, None), ("1", None),
        (None, None),
    ],
)
def test_only_a_number_that_a_float_can_be_counts(value: object, number: float | None) -> None:
    assert real_number(value) == number
