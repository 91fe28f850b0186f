"""Files are written whole or not at all, and records in them are read as what they are."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

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


def test_an_exit_record_ignores_what_it_does_not_know() -> None:
    ended = Exit("a", 1, -9, None, ("kill",), 0, 1.0, 2.0, 1.0)
    assert as_record(Exit, {**asdict(ended), "sent": ["SIGKILL"], "stop": ["kill"]}, "it") == ended
    with pytest.raises(RecordError, match="code"):
        as_record(Exit, {"run_id": "a", "attempt": 1}, "it")
