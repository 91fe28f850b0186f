"""Saved configurations: nothing is lost by a name that is taken, bad or deleted."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from lfdash.workspace import saved_configs
from lfdash.workspace.identity import WorkspaceIdentity
from lfdash.workspace.saved_configs import Refused, SavedConfigs


@pytest.fixture
def shelf(tmp_path: Path) -> SavedConfigs:
    return SavedConfigs(tmp_path / "configs", tmp_path / "trash")


def code(answer: Refused | str | None) -> str:
    return answer.code if isinstance(answer, Refused) else ""


def test_save_list_load(shelf: SavedConfigs) -> None:
    assert shelf.names() == []
    assert shelf.save("first", "a: 1\n") is None
    assert shelf.save("zweiter Lauf", "b: 2\n") is None
    assert set(shelf.names()) == {"first", "zweiter Lauf"}
    assert shelf.load("first") == "a: 1\n"
    assert code(shelf.load("none")) == "config_unreadable"


def test_an_existing_one_is_replaced_only_when_said_and_kept_in_the_trash(shelf: SavedConfigs) -> None:
    shelf.save("x", "old")
    assert code(shelf.save("x", "new")) == "config_exists"
    assert shelf.load("x") == "old"
    assert shelf.save("x", "new", replace=True) is None
    assert shelf.load("x") == "new"
    assert [path.read_text() for path in shelf.trash.iterdir()] == ["old"]


def test_a_rename_that_was_cut_short_is_finished(shelf: SavedConfigs) -> None:
    """Whoever renamed it died when both names were there."""
    assert shelf.save("a", "text") is None
    os.link(shelf.folder / "a.yaml", shelf.folder / "b.yaml")
    assert code(shelf.rename("a", "a")) == "config_exists"
    assert shelf.rename("a", "b") is None
    assert (shelf.names(), shelf.load("b")) == (["b"], "text")


def test_rename_never_overwrites(shelf: SavedConfigs) -> None:
    shelf.save("a", "1")
    shelf.save("b", "2")
    assert code(shelf.rename("a", "b")) == "config_exists"
    assert (shelf.load("a"), shelf.load("b")) == ("1", "2")
    assert shelf.rename("a", "c") is None
    assert set(shelf.names()) == {"b", "c"}
    assert code(shelf.rename("gone", "d")) == "config_unwritable"


def test_deleted_ones_are_in_the_trash_each(shelf: SavedConfigs) -> None:
    for text in ("1", "2"):
        shelf.save("a", text)
        assert shelf.delete("a") is None
    assert shelf.names() == []
    assert sorted(path.read_text() for path in shelf.trash.iterdir()) == ["1", "2"]
    assert code(shelf.delete("a")) == "config_unwritable"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "/etc/passwd", ".hidden", " a", "a\n", "x" * 101, "a\\b"]
)
def test_names_that_are_no_file(shelf: SavedConfigs, name: str) -> None:
    assert code(shelf.save(name, "x")) == "config_name"
    shelf.save("good", "x")
    assert code(shelf.rename("good", name)) == "config_name"
    assert shelf.names() == ["good"]


def test_only_its_own_files_are_saved_configurations(shelf: SavedConfigs, tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("password: x\n")
    shelf.save("a", "a: 1\n")
    (shelf.folder / "link.yaml").symlink_to(secret)
    assert shelf.names() == ["a"]
    for name in ("link", "../secret", f"{tmp_path}/secret", "."):
        assert code(shelf.load(name)) == "config_unreadable"
        assert code(shelf.delete(name)) == code(shelf.rename(name, "b")) == "config_unwritable"
    assert secret.exists() and shelf.load("a") == "a: 1\n"


@pytest.mark.timeout(10)
def test_what_cannot_be_read_says_why(shelf: SavedConfigs) -> None:
    shelf.save("big", "a: 1\n")
    os.truncate(shelf.folder / "big.yaml", 2 << 30)
    shelf.save("bytes", "a: 1\n")
    (shelf.folder / "bytes.yaml").write_bytes(b"\xff")
    os.mkfifo(shelf.folder / "pipe.yaml")
    assert set(shelf.names()) == {"big", "bytes"}
    for name, reason in (("big", "larger than"), ("bytes", "not valid UTF-8"), ("pipe", "No such file")):
        refused = shelf.load(name)
        assert isinstance(refused, Refused) and refused.params["reason"].startswith(reason)


def test_nothing_is_changed_where_the_workspace_is_gone(workspace: Path) -> None:
    identity = WorkspaceIdentity(workspace)
    shelf = SavedConfigs(workspace / "configs", workspace / ".lfdash" / "trash", identity.check)
    assert shelf.save("a", "1") is None and shelf.delete("a") is None and shelf.save("a", "1") is None
    moved = workspace.rename(workspace.with_name("moved"))
    assert code(shelf.save("b", "2")) == "workspace_gone" and not workspace.exists()
    shutil.copytree(moved, workspace)
    (workspace / ".lfdash" / "id").write_text("another")
    assert {code(shelf.save("b", "2")), code(shelf.delete("a")), code(shelf.rename("a", "c"))} == {"workspace_gone"}
    assert shelf.names() == ["a"]


@pytest.mark.parametrize("name", ["a\u200bb", "\ufeffa", "a\u202eb", "a\u2066b"])
def test_a_name_that_looks_like_another_is_none(shelf: SavedConfigs, name: str) -> None:
    assert code(shelf.save(name, "1")) == "config_name"


def test_one_that_cannot_be_looked_at_is_not_overwritten(shelf: SavedConfigs, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.save("x", "old")
    with monkeypatch.context() as broken:
        broken.setattr(saved_configs, "look_mark", fails)
        assert code(shelf.save("x", "new")) == code(shelf.save("x", "new", replace=True)) == "config_unwritable"
    assert shelf.load("x") == "old"


def fails(*_args: object) -> None:
    raise OSError(errno.EIO, "input/output error")
