"""Fixtures and rules that every test shares."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lfdash.llamafactory.locate import Cli, find_cli
from lfdash.llamafactory.probe import probe

# Two cores are shared by the tests, the server and the training: more threads only wait for each other.
# Set before anything imports numpy or torch, and inherited by every child.
os.environ["OMP_NUM_THREADS"] = "1"
# No test may talk to a hub; a model or data set that is not local is a mistake to be seen at once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# What the developer's shell says must not decide how a test ends.
for name in ("LFDASH_CLI", "LFDASH_WORKSPACE"):
    os.environ.pop(name, None)

CLI = Path(sys.executable).with_name("llamafactory-cli")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs LLaMA-Factory where it is not installed, and say so."""
    if CLI.exists():
        return
    skip = pytest.mark.skip(reason=f"LLaMA-Factory is not installed: no {CLI.name} beside {sys.executable}")
    for item in items:
        if item.get_closest_marker("train_env"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what LLaMA-Factory says of itself. Asked once, for all workspaces: it takes 10 s of a core."""
    folder = tmp_path_factory.mktemp("asked")
    cli = find_cli(os.environ)
    if isinstance(cli, Cli):
        probe(cli, folder)
    return folder


@pytest.fixture(scope="session")
def demo_workspace(tmp_path_factory: pytest.TempPathFactory, asked: Path) -> Path:
    """A workspace as `make run` makes it: the demo model, the demo data sets. Treat it as read-only."""
    if not CLI.exists():
        pytest.skip(f"the demo model needs the extra [train]: no {CLI.name} beside {sys.executable}")
    root = tmp_path_factory.mktemp("demo") / "workspace"
    done = subprocess.run([sys.executable, "-m", "lfdash.demo", str(root)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"lfdash.demo failed:\n{done.stdout}\n{done.stderr}"
    shutil.copytree(asked, root / ".lfdash", dirs_exist_ok=True)
    return root
