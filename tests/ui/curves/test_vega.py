"""The file with Vega: made once, served, and made elsewhere where its place cannot be written."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from lfdash.ui.curves import vega
from lfdash.ui.curves.vega import Bundle, cache_folder


@pytest.fixture
def quick() -> object:
    """Makes the file as quickly as any."""
    program = "import sys; open(sys.argv[1], 'w').write(sys.argv[2])"
    with mock.patch.object(vega, "PROGRAM", program):
        yield


def test_it_is_made_in_the_background_and_served(tmp_path: Path, quick: object) -> None:
    bundle = Bundle(tmp_path / "cache", tmp_path / "instead")
    assert bundle.url() is None
    assert bundle._thread is not None
    bundle._thread.join(30)
    with mock.patch.object(vega.streamlit_private, "serve_folder") as served:
        assert bundle.url() == f"../lfdash.vega/{bundle.name}"
    served.assert_called_once_with("lfdash.vega", tmp_path / "cache")
    assert (tmp_path / "cache" / bundle.name).read_text() == vega.SNIPPET


def test_a_server_that_finds_it_makes_none(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / "cache", tmp_path / "instead")
    (tmp_path / "instead").mkdir()
    (tmp_path / "instead" / bundle.name).touch()
    with mock.patch.object(vega.streamlit_private, "serve_folder") as served:
        assert bundle.url()
    served.assert_called_once_with("lfdash.vega", tmp_path / "instead")
    assert bundle._thread is None


def test_another_place_is_taken_where_the_first_cannot_be_written(tmp_path: Path, quick: object) -> None:
    (tmp_path / "file").touch()
    bundle = Bundle(tmp_path / "file" / "cache", tmp_path / "instead")
    bundle.make()
    assert bundle.error is None and (tmp_path / "instead" / bundle.name).exists()


def test_a_failure_is_known(tmp_path: Path) -> None:
    bundle = Bundle(tmp_path / "cache", tmp_path / "instead")
    with mock.patch.object(vega, "PROGRAM", "raise OSError('no room')"):
        bundle.make()
    assert bundle.error == "OSError: no room" and bundle.url() is None


def test_the_folder_is_the_user_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "lfdash" / "browser"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "lfdash" / "browser"
