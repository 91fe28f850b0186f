"""Files are written whole or not at all, and records in them are read as what they are."""

from __future__ import annotations

import threading
from dataclasses import asdict
from pathlib import Path

import pytest

from lfdash import files
from lfdash.errors import RecordError
from lfdash.files import as_record, write_text_atomic
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
