"""The workspace that was opened is told from another one, and from none, at its path."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from lfdash.errors import WorkspaceGone
from lfdash.outcomes import Refused, refused_by, unchanged_by
from lfdash.workspace.identity import WorkspaceIdentity


@pytest.fixture
def identity(workspace: Path) -> WorkspaceIdentity:
    made = WorkspaceIdentity(workspace)
    made.check()
    return made


def test_its_id_is_made_once(workspace: Path, identity: WorkspaceIdentity) -> None:
    text = (workspace / ".lfdash" / "id").read_text()
    assert len(text) == 33
    identity.check()
    WorkspaceIdentity(workspace).check()
    assert (workspace / ".lfdash" / "id").read_text() == text


def test_a_look_makes_nothing(workspace: Path) -> None:
    assert WorkspaceIdentity(workspace).is_here() and list(workspace.iterdir()) == []
    assert not WorkspaceIdentity(workspace / "none").is_here() and list(workspace.iterdir()) == []


def test_one_that_was_moved_or_deleted_is_gone(workspace: Path, identity: WorkspaceIdentity) -> None:
    moved = workspace.rename(workspace.with_name("moved"))
    assert not identity.is_here() and not workspace.exists()
    gone = Refused("workspace_gone", {"path": str(workspace)})
    with pytest.raises(WorkspaceGone) as caught:
        identity.check()
    assert identity.refusal() == refused_by(caught.value, Path()) == unchanged_by(caught.value, Path()) == gone
    assert not workspace.exists()
    moved.rename(workspace)
    assert identity.is_here() and identity.refusal() is None


@pytest.mark.parametrize("with_id", [True, False])
def test_another_one_at_its_place_is_not_it(workspace: Path, identity: WorkspaceIdentity, with_id: bool) -> None:
    workspace.rename(workspace.with_name("moved"))
    workspace.mkdir()
    if with_id:
        WorkspaceIdentity(workspace).check()
    before = sorted(workspace.rglob("*"))
    assert not identity.is_here() and identity.refusal() is not None
    assert sorted(workspace.rglob("*")) == before


def test_a_folder_that_was_emptied_by_hand_is_the_same(workspace: Path, identity: WorkspaceIdentity) -> None:
    text = (workspace / ".lfdash" / "id").read_text()
    shutil.rmtree(workspace / ".lfdash")
    assert identity.is_here()
    identity.check()
    assert (workspace / ".lfdash" / "id").read_text() == text


def test_an_id_that_cannot_be_read_is_not_another(
    workspace: Path, identity: WorkspaceIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_more: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        assert identity.is_here()
    (workspace / ".lfdash" / "id").write_bytes(b"\xff")
    assert identity.is_here()


@pytest.mark.parametrize("known", [False, True])
def test_an_empty_id_is_made_anew(workspace: Path, identity: WorkspaceIdentity, known: bool) -> None:
    file = workspace / ".lfdash" / "id"
    before = file.read_text()
    file.write_text("")
    one, two = identity if known else WorkspaceIdentity(workspace), WorkspaceIdentity(workspace)
    one.check()
    two.check()
    one.check()
    assert len(file.read_text()) == 33 and (file.read_text() == before) == known
    assert one.is_here() and two.is_here() and WorkspaceIdentity(workspace).is_here()
    assert [path.name for path in file.parent.iterdir()] == ["id"]


@pytest.mark.parametrize("kind", ["bytes", "folder"])
def test_one_that_cannot_be_read_is_left_as_it_is(workspace: Path, identity: WorkspaceIdentity, kind: str) -> None:
    file = workspace / ".lfdash" / "id"
    file.unlink()
    file.write_bytes(b"\xff") if kind == "bytes" else file.mkdir()
    for one in (identity, WorkspaceIdentity(workspace)):
        one.check()
    assert file.read_bytes() == b"\xff" if kind == "bytes" else file.is_dir()


def test_a_disk_that_fills_meanwhile_leaves_no_half_of_it(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        WorkspaceIdentity(workspace).check()
    assert list((workspace / ".lfdash").iterdir()) == []
    WorkspaceIdentity(workspace).check()
    assert len((workspace / ".lfdash" / "id").read_text()) == 33


def test_one_that_comes_later_is_taken_as_it_is_seen(tmp_path: Path) -> None:
    early = WorkspaceIdentity(tmp_path / "later")
    assert not early.is_here()
    (tmp_path / "later").mkdir()
    assert early.is_here()
    other = WorkspaceIdentity(tmp_path / "later")
    other.check()
    early.check()
    (tmp_path / "later").rename(tmp_path / "moved")
    shutil.copytree(tmp_path / "moved", tmp_path / "later")
    assert early.is_here(), "its id came along: a copy that was put in its place"


def test_a_disk_that_takes_no_file(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        made = WorkspaceIdentity(workspace)
        made.check()
    assert made.is_here() and not (workspace / ".lfdash" / "id").exists()
    workspace.rename(workspace.with_name("moved"))
    workspace.mkdir()
    assert not made.is_here()
