"""Wheel and source distribution of the project, and environments that have nothing of it but what was installed."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tests.support import ROOT
from tests.support.server import Server, serve

KINDS = {"wheel": "*.whl", "sdist": "*.tar.gz"}
PIP = ["--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", "--quiet", "--no-warn-script-location"]


def project_files(*folders: str) -> list[str]:
    """What git has of the project (of these folders and files only), with what is new and not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted({name for name in names if (ROOT / name).is_file()})


def run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, with all that it prints in stdout. env: all that it has (by default, all of ours)."""
    return subprocess.run(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
    )


def build(source: Path, target: Path) -> dict[str, Path]:
    """Builds both distributions of a checkout into `target`; nothing is downloaded. The file of each kind."""
    done = run([sys.executable, "-m", "hatchling", "build", "-d", str(target)], source)
    assert done.returncode == 0, done.stdout
    return {kind: next(target.glob(pattern)) for kind, pattern in KINDS.items()}


@dataclass(frozen=True)
class Install:
    """An environment with lfdash installed, and the empty folder that programs are started in."""

    venv: Path
    folder: Path

    @property
    def env(self) -> dict[str, str]:
        """What its programs see: no PYTHONPATH, no LFDASH_*, no llamafactory-cli, no settings of the user."""
        path = f"{self.venv / 'bin'}:/usr/bin:/bin"
        return {"PATH": path, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}

    def program(self, *words: str) -> list[str]:
        """A command of this environment: `program("python", "-m", "lfdash")`."""
        return [str(self.venv / "bin" / words[0]), *words[1:]]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs one of its commands in the empty folder, to its end."""
        return run(self.program(*words), self.folder, self.env)

    def serve(self, *words: str) -> Server:
        """Starts a dashboard by one of its commands in the empty folder, on a workspace that is not there yet."""
        return serve(self.program(*words, "--port", "8650"), self.folder, self.env, self.folder / "workspace")


def install(what: str | Path, place: Path, *options: str) -> Install:
    """Installs a distribution (or a checkout, options: -e) into a new environment below `place`.

    Dependencies are those of the tests' environment: a line in a .pth file adds its folder and not what the .pth files
    in there name, so the editable lfdash of the tests is not seen.
    """
    venv, folder = place / "venv", place / "empty"
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = str(venv / "bin/python")
    site = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], place).stdout.strip()
    dependencies = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(site, "dependencies.pth").write_text("\n".join(dependencies))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = run([sys.executable, "-m", "pip", "--python", python, "install", *PIP, *options, str(what)], place, env)
    assert done.returncode == 0, done.stdout
    return Install(venv, folder)
