"""Rows that are appended to a dataset: whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lfdash.engine import chat_data as module
from lfdash.engine.chat_data import append_line


def test_a_row_stands_on_a_line_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "data" / "mine.jsonl"
    assert append_line(file, '{"a": 1}', new=True) == 9
    file.write_text('{"a": 1}')  # somebody's editor
    assert append_line(file, '{"b": 2}', new=False) == file.stat().st_size
    assert file.read_text() == '{"a": 1}\n{"b": 2}\n'
    with pytest.raises(FileExistsError):
        append_line(file, "{}", new=True)


@pytest.mark.parametrize("new", [True, False])
def test_what_the_disk_does_not_take_whole_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: bool
) -> None:
    file = tmp_path / "mine.jsonl"
    if not new:
        file.write_text('{"a": 1}\n')
    plain = os.pwrite
    monkeypatch.setattr(module.os, "pwrite", lambda handle, data, place: plain(handle, data[:5], place))
    with pytest.raises(OSError, match="No space left"):
        append_line(file, '{"b": 2}', new=new)
    assert not file.exists() if new else file.read_text() == '{"a": 1}\n'
