"""What one of several dashboards does."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from filelock import FileLock

from lfdash.engine.only_one import OnlyOne


def read_only(*_args: object, **_more: object) -> None:
    raise OSError(errno.EROFS, "read-only")


def test_who_holds_the_folder_is_the_one_also_when_a_file_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two send the same alert when a disk can be written again."""
    place = tmp_path / "private" / "alerts" / "sender.lock"
    place.parent.parent.mkdir()
    one, two = OnlyOne(place, unwritable=True), OnlyOne(place, unwritable=True)
    with monkeypatch.context() as disk:
        disk.setattr(FileLock, "acquire", read_only)
        assert one.hold() and not two.hold()
    assert not two.hold() and two.is_elsewhere() and not one.is_elsewhere()
    assert one.hold() and place.exists() and not two.hold(), "now by the file"
    one.release()
    assert two.hold() and not one.hold()
    two.release()
