"""Where paths of a page may lead: `..`, absolute paths, links and what others expand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lfdash.llamafactory.catalogue import load_snapshot
from lfdash.workspace.allowed_paths import READ, WRITTEN, Roots, named, paths
from tests.support.page import ROOT

NO_PATH = {"vllm_config", "sglang_config", "liger_kernel_config"}  # settings, whatever their name sounds like


@pytest.fixture
def ws(tmp_path: Path) -> Path:
    """A workspace beside a folder that is none of its business, with links to it."""
    root, outside = tmp_path / "ws", tmp_path / "outside"
    (root / "saves" / "m").mkdir(parents=True)
    outside.mkdir()
    (outside / "file.json").write_text("[]")
    (root / "saves" / "link").symlink_to(outside)
    (root / "saves" / "dangling").symlink_to(tmp_path / "nowhere")
    (root / "saves" / "own").symlink_to(root / "saves" / "m")
    (root / "saves" / "file.json").symlink_to(outside / "file.json")
    return root


@pytest.mark.parametrize(
    "path", ["saves/m/lora/r", "saves", ".", "a b/ü", "saves/own/r", "saves/../saves/x", "new/deep", "{ws}/saves/x"]
)
def test_what_stays_inside(ws: Path, path: str) -> None:
    assert Roots.of(ws).inside(path.format(ws=ws)) is not None


@pytest.mark.parametrize(
    "path",
    ["..", "../x", "saves/../../x", "/", "/etc/passwd", "{ws}x", "{ws}/../x", "saves/link", "saves/link/r",
     "saves/dangling", "saves/dangling/deep/er", "saves/file.json", "saves/own/../../../x", "~", "~/x", "~root/x",
     "${{oc.env:HOME}}/x", "saves/${{oc.env:HOME}}", "saves/\0x"],
)
def test_what_leads_out(ws: Path, path: str) -> None:
    assert Roots.of(ws).inside(path.format(ws=ws)) is None


def test_a_folder_that_was_allowed_is_inside_under_both_names(ws: Path, tmp_path: Path) -> None:
    alias = tmp_path / "alias"
    alias.symlink_to(tmp_path / "outside")
    roots = Roots.of(ws, [alias])
    for path in (alias / "r", tmp_path / "outside" / "r", "saves/link/r"):
        assert roots.inside(path) == tmp_path / "outside" / "r"
    assert {str(ws), str(alias), str(tmp_path / "outside")} <= set(roots.names)
    assert roots.inside(tmp_path / "outsider") is None


def test_the_workspaces_own_folders_may_be_links_when_it_starts(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "ws").mkdir()
    (tmp_path / "ws" / "saves").symlink_to(disk)
    roots = Roots.of(tmp_path / "ws")
    assert roots.inside("saves/m/lora/r") == disk / "m/lora/r"
    (tmp_path / "ws" / "saves").unlink()
    (tmp_path / "ws" / "saves").symlink_to(tmp_path)  # made later, by whatever runs there
    assert roots.inside("saves/m/lora/r") is None


def test_what_is_only_read_may_lie_anywhere_unless_others_come(ws: Path) -> None:
    alone, shared = Roots.of(ws), Roots.of(ws, shared=True)
    args = {"model_name_or_path": "/etc", "adapter_name_or_path": "saves/m,/etc/x", "dataset_dir": "../d", "a": "/b"}
    assert list(alone.outside(args)) == []
    assert list(shared.outside(args)) == [
        ("model_name_or_path", "/etc"), ("adapter_name_or_path", "/etc/x"), ("dataset_dir", "../d")
    ]
    assert alone.readable("/etc") == Path("/etc") and shared.readable("/etc") is None
    # the second is half of a character, which JSON can name; the last are longer than a file system takes
    for name in ("a\0b", "a\ud800b", "x" * 256, "é" * 128, "a/" * 2048):
        assert alone.readable(name) is None and shared.inside(name) is None
    assert list(shared.outside({"model_name_or_path": "meta-llama/Llama-3", "deepspeed": {"stage": 3}})) == []


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_never_leads_out(ws: Path, name: str) -> None:
    assert list(Roots.of(ws).outside({name: "saves/link/x"})) == [(name, "saves/link/x")]
    assert list(Roots.of(ws).outside({name: "saves/a,b"})) == []
    assert list(Roots.of(ws).outside({name: None})) == []


def test_every_path_among_llamafactorys_arguments_is_on_a_list() -> None:
    arguments = load_snapshot(ROOT / "configs" / "upstream.json").arguments
    words = ("dir", "path", "folder", "file", "adapters", "_config", "checkpoint", "logdir")
    sounding = {
        name for name, argument in arguments.items()
        if any(name.endswith(word) or f"_{word}_" in name for word in words) and "str" in argument.type
    }
    assert sounding - {*WRITTEN, *READ} == NO_PATH
    assert {"model_name_or_path", "ref_model", "reward_model", "cache_dir"} <= {*WRITTEN, *READ}


def test_paths_come_one_or_several() -> None:
    assert (paths("a"), paths("a, b,"), paths(["a", "b"])) == (["a"], ["a", "b"], ["a", "b"])
    assert [paths(value) for value in (None, 5, {})] == [[], [], []]
    assert named(os.pathsep.join(["/a", "", "/b"])) == [Path("/a"), Path("/b")]
