"""Files are written whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from lfdash.files import write_text_atomic


def test_a_replaced_file_is_never_half(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    write_text_atomic(path, "new")
    assert path.read_text() == "new" and [item.name for item in tmp_path.iterdir()] == ["a.json"]
    with pytest.raises(UnicodeEncodeError):
        write_text_atomic(path, "\ud800")
    assert path.read_text() == "new" and [item.name for item in tmp_path.iterdir()] == ["a.json"]
