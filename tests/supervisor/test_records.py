"""The small files by which an attempt is told to stop."""

from __future__ import annotations

from pathlib import Path

from lfdash.supervisor.records import wished


def test_the_hardest_wish_is_the_one(tmp_path: Path) -> None:
    assert wished(str(tmp_path)) is None
    for level in ("graceful", "kill", "term"):
        (tmp_path / f"stop.{level}").touch()
    assert wished(str(tmp_path)) == "kill"
