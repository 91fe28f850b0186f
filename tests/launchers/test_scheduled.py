"""What is the same of all launchers that give a run to a scheduler."""

from __future__ import annotations

from pathlib import Path

from lfdash.launchers.scheduled import write_supervisor
from lfdash.launchers.slurm_script import supervisor_files, supervisor_folder


def test_what_else_lies_beside_the_supervisor_is_taken_away(tmp_path: Path) -> None:
    """A compiled module that came with a workspace would run in place of its text."""
    write_supervisor(tmp_path)
    home = tmp_path / supervisor_folder()
    program = next(home.rglob("remote.py"))
    cache = program.parent / "__pycache__"
    cache.mkdir()
    (cache / "remote.cpython-311.pyc").write_bytes(b"evil")
    (program.parent / "json.py").write_text("evil")
    (program.parent / "yaml").symlink_to("/tmp")
    program.write_text("evil")
    write_supervisor(tmp_path)
    assert {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()} == set(supervisor_files())
    assert not cache.exists() and not (program.parent / "yaml").is_symlink()
    assert program.read_bytes() == supervisor_files()[str(program.relative_to(home))]
