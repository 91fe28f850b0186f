"""What one process has of a workspace."""

from __future__ import annotations

from pathlib import Path

from lfdash.engine.services import Project, Services
from lfdash.outcomes import Refused
from tests.support import ROOT


def test_a_path_that_would_be_filled_in_blocks_every_start(tmp_path: Path) -> None:
    services = Services(Project(ROOT), tmp_path / "a${x}")
    assert services.blocked == Refused("path_filled", {"path": str(tmp_path / "a${x}")})


def test_the_workspace_has_its_id_from_the_start(tmp_path: Path) -> None:
    Services(Project(ROOT), tmp_path / "made")
    assert (tmp_path / "made" / ".lfdash" / "id").is_file()
    (tmp_path / "looked").mkdir()
    Services(Project(ROOT), tmp_path / "looked", create=False)
    assert list((tmp_path / "looked").iterdir()) == []
