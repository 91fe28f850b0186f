"""File names of runs, and what is read from a folder by them."""

from __future__ import annotations

from pathlib import Path

from lfdash.runs.paths import RunPaths


def test_a_listing_leaves_the_control_files_out(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    assert paths.listing() == []
    paths.attempt(1).root.mkdir(parents=True)
    paths.attempt(1).spec.write_text("{}")
    (paths.root / "checkpoint-2").mkdir()
    (paths.root / "checkpoint-2" / "a.bin").write_bytes(b"12345")
    paths.console.write_text("x")
    assert [(name, size) for name, size, _ in paths.listing()] == [("checkpoint-2/a.bin", 5), ("console.log", 1)]


def test_the_hardest_wish_counts(tmp_path: Path) -> None:
    control = RunPaths(tmp_path).attempt(7)
    assert control.root.name == "007" and control.read_wish() is None
    control.root.mkdir(parents=True)
    control.stop("graceful").touch()
    assert control.read_wish() == "graceful"
    control.stop("kill").touch()
    assert control.read_wish() == "kill"
