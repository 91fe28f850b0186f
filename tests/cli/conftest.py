"""A workspace with the demo's data and a stand-in for llamafactory-cli, for the command line of this process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfdash.demo.__main__ import make_data
from tests.support.models import pretend_model
from tests.support.runs import fake_cli
from tests.support.terminal import DEMO, end_runs, lfdash

LANGUAGE = ("LC_ALL", "LC_MESSAGES", "LANG")
SIX_STEPS = '{"steps": 6, "delay": 0.01, "chatty": 1}'


def speak(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """An English terminal on a machine without GPU, a stand-in for LLaMA-Factory, and the workspace in `folder`."""
    for name in LANGUAGE:
        patch.delenv(name, raising=False)
    patch.setattr("lfdash.workspace.devices.read_gpus", lambda: ((), None))
    patch.setenv("LFDASH_CLI", fake_cli(folder))
    patch.setenv("LFDASH_WORKSPACE", str(folder / "ws"))
    patch.setenv("FAKE_ARGS", SIX_STEPS)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace without runs. The stand-in takes six steps at once, unless FAKE_ARGS says otherwise."""
    speak(monkeypatch, tmp_path)
    make_data(tmp_path / "ws" / "data")
    pretend_model(tmp_path / "ws")
    yield tmp_path / "ws"
    end_runs(tmp_path / "ws")


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace in which "good" has finished and then "bad" has failed. To be read only."""
    folder = tmp_path_factory.mktemp("ran")
    with pytest.MonkeyPatch.context() as patch:
        speak(patch, folder)
        make_data(folder / "ws" / "data")
        pretend_model(folder / "ws")
        for name, args in (("good", SIX_STEPS), ("bad", '{"fail": "error"}')):
            patch.setenv("FAKE_ARGS", args)
            done = lfdash("start", DEMO, "--set", f"output_dir=saves/demo-llama/lora/{name}")
            assert done.code == 0, done
            assert lfdash("logs", "-f", name).code == 0
    yield folder / "ws"
    end_runs(folder / "ws")


@pytest.fixture
def seen(ran: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same for an English terminal in it."""
    for name in LANGUAGE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LFDASH_WORKSPACE", str(ran))
    return ran


@pytest.fixture
def copied(seen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it that may be changed."""
    root = tmp_path / "ws"
    shutil.copytree(seen, root)
    monkeypatch.setenv("LFDASH_CLI", os.fspath(fake_cli(tmp_path)))
    monkeypatch.setenv("LFDASH_WORKSPACE", str(root))
    yield root
    end_runs(root)
