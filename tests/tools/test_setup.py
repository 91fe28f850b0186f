"""tools/setup.py: what a user reads while it installs, and when it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.tools import load_tool

SCRIPT = ROOT / "tools/setup.py"


@pytest.fixture(scope="module")
def setup():
    return load_tool("setup")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of the same shape that needs nothing."""
    root = tmp_path / "project"
    (root / "tools").mkdir(parents=True)
    shutil.copy(SCRIPT, root / "tools/setup.py")
    (root / "pyproject.toml").write_text('[project]\nname = "tiny"\nversion = "0"\n')
    (root / "constraints.txt").write_text("# none\n")
    return root


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Collecting torch==2.14.1 (from lfdash==0.1.0)", "collecting torch==2.14.1"),
        ("Processing /mirror/yarl-1.25.1-cp311-cp311-manylinux_2_17_x86_64.whl", "collecting yarl-1.25.1"),
        ("  Downloading torch-2.14.1-cp311-cp311-linux_x86_64.whl (531.5 MB)", "downloading torch-2.14.1 (531.5 MB)"),
        ("  Downloading https://host/a/b/av-16.0.0-cp311.whl (40.2 MB)", "downloading av-16.0.0 (40.2 MB)"),
        ("  Downloading idna-3.20-py3-none-any.whl (71 kB)", None),
        ("  Building wheel for jieba (pyproject.toml): started", "building jieba"),
        ("Installing collected packages: a, b, c", "installing 3 packages (a minute or two; pip is silent meanwhile)"),
        ("Requirement already satisfied: six in ./lib", None),
    ],
)
def test_news(setup, line: str, said: str | None) -> None:
    assert setup.news(line) == said


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "Free about 8 GB"),
        ("WARNING: Retrying ... NewConnectionError('Failed to establish a new connection')", "Check the network"),
        ("ssl.SSLError: CERTIFICATE_VERIFY_FAILED", "PIP_CERT"),
        ("ERROR: No matching distribution found for torch==2.14.1", "mirror"),
        ("ERROR: Package 'lfdash' requires a different Python: 3.10.1 not in '>=3.11'", "Delete it"),
        ("ERROR: Could not install packages: [Errno 13] Permission denied: '/opt'", "Check who owns"),
        ("error: command '/usr/bin/gcc' failed with exit code 1", "build-essential"),
        ("Killed", "memory"),
        ("something nobody foresaw", "something nobody foresaw"),
    ],
)
def test_every_failure_says_what_to_do(setup, line: str, advice: str) -> None:
    text = setup.explain(["Collecting torch", line], Path("/e/.venv"), 8.0)
    assert advice in text
    assert "{" not in text


@pytest.mark.parametrize("version", [(3, 10, 9), (3, 14, 0), (2, 7, 18)])
def test_unsupported_python(setup, version: tuple[int, int, int]) -> None:
    with pytest.raises(setup.SetupError, match=f"Python {version[0]}.{version[1]} is not supported"):
        setup.check_python(version)


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_supported_python(setup, minor: int) -> None:
    setup.check_python((3, minor, 0))


def test_no_venv_module(setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(setup.SetupError, match="apt-get install -y python3-venv"):
        setup.check_venv_module()


def test_full_disk(setup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda path: usage(10**10, 0, 3 * 10**9))
    setup.check_disk(tmp_path, setup.needed_gb([]))
    with pytest.raises(setup.SetupError, match=r"3\.0 GB free; the installation needs about 8 GB"):
        setup.check_disk(tmp_path, setup.needed_gb(["train"]))


def test_stamp(setup, project: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").touch()
    assert setup.installed(venv, project) is None
    setup.write_stamp(venv, project, {"train", "dev"})
    assert setup.installed(venv, project) == {"train", "dev"}
    (project / "constraints.txt").write_text("six==1.17.0\n")
    assert setup.installed(venv, project) is None
    setup.write_stamp(venv, project, {"train"})
    with (project / "pyproject.toml").open("a") as file:
        file.write("[tool.ruff]\nline-length = 100\n")  # changes nothing that is installed
    assert setup.installed(venv, project) == {"train"}
    with (project / "pyproject.toml").open("a") as file:
        file.write('[build-system]\nrequires = ["hatchling>=1.30"]\n')
    assert setup.installed(venv, project) is None
    setup.write_stamp(venv, project, {"train"})
    with (project / "pyproject.toml").open("a") as file:
        file.write('[tool.hatch.build.targets.wheel]\ndev-mode-dirs = ["src"]\n')  # what an editable install points to
    assert setup.installed(venv, project) is None
    setup.write_stamp(venv, project, {"train"})
    (venv / setup.STAMP).write_text("{")  # a damaged stamp counts as none
    assert setup.installed(venv, project) is None


@pytest.fixture
def asked(setup, monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """set_up without pip and venv: the extras asked of pip, call by call."""

    def make_venv(venv: Path) -> None:
        (venv / "bin").mkdir(parents=True)
        for name in ("python", "pip"):
            (venv / "bin" / name).touch()

    calls: list[set[str]] = []
    monkeypatch.setattr(setup, "make_venv", make_venv)
    monkeypatch.setattr(setup, "install", lambda venv, root, extras: calls.append(extras))
    return calls


def test_what_is_there_is_not_installed_again(setup, asked: list[set[str]], project: Path, tmp_path: Path) -> None:
    for extras in (set(), set(), {"train"}, set(), {"dev"}):
        setup.set_up(tmp_path / "venv", project, extras)
    assert asked == [set(), {"train"}, {"train", "dev"}]


def test_the_disk_that_counts_is_that_of_the_environment(
    setup, asked: list[set[str]], monkeypatch: pytest.MonkeyPatch, project: Path, tmp_path: Path
) -> None:
    """As advised: the disk here is full, the environment is put on a larger one."""
    usage = namedtuple("usage", "total used free")
    larger = tmp_path / "larger"
    larger.mkdir()
    free = {larger: 10**12}
    monkeypatch.setattr(setup.shutil, "disk_usage", lambda path: usage(0, 0, free.get(path, 10**9)))
    with pytest.raises(setup.SetupError, match=r"1\.0 GB free"):
        setup.set_up(project / ".venv", project, {"train"})
    setup.set_up(larger / "folder/venv", project, {"train"})
    assert asked == [{"train"}]


def run(project: Path, *args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "tools/setup.py", *args],
        cwd=project, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=120,
    )


def test_without_a_network(project: Path) -> None:
    """The real pip, an index that nobody serves: one sentence and no traceback, and nothing counts as installed."""
    nowhere = {
        "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1",
        "PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": "", "PIP_NO_CACHE_DIR": "1",
    }
    done = run(project, "--extras", "", env=nowhere)
    assert done.returncode == 1
    assert "Set-up stopped. The package index could not be reached." in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not list((project / ".venv").glob("lfdash-setup.json*"))


def test_a_second_call_returns_at_once(setup, project: Path) -> None:
    (project / ".venv/bin").mkdir(parents=True)
    (project / ".venv/bin/python").touch()
    setup.write_stamp(project / ".venv", project, {"train", "dev"})
    done = run(project, "--extras", "train")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
