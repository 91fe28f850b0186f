"""The program that looks around on a target: what it tells, to whom, and how it ends where it cannot."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lfdash.supervisor import target_probe
from lfdash.supervisor.target_probe import ANSWER, LOCK, REPORT, UNSEEN, UNWRITTEN

PROGRAM = Path(target_probe.__file__)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As whoever asks makes it; the answer is there already."""
    made = tmp_path / "test"
    made.mkdir()
    for name in (REPORT, LOCK):
        (made / name).touch()
    (made / ANSWER).write_text('{"time": 5.0}')
    return made


def looked(folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code of the program, as a scheduler starts it, and the report."""
    command = [sys.executable, "-I", "-S", str(PROGRAM), str(folder), "--", *words]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    text = (folder / REPORT).read_text() if (folder / REPORT).exists() else ""
    return done.returncode, json.loads(text or "{}")


def script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o755)
    return path


def test_what_is_there_is_told(folder: Path, tmp_path: Path) -> None:
    """The cli's own interpreter is asked: here one that prints what an environment would."""
    said = '{"python": "3.12.1", "packages": {"llamafactory": "0.9.5"}}\\n{"torch": {"cuda": true, "bf16": true}}'
    python = script(tmp_path / "python", "#!/bin/sh", f"printf '%b\\n' '{said}'")
    code, report = looked(folder, str(script(tmp_path / "cli", f"#!{python}")))
    assert code == 0 and report["done"] is True and report["error"] == "" and report["interpreter"] == str(python)
    assert report["python"] == "3.12.1" and report["packages"] == {"llamafactory": "0.9.5"}
    assert report["torch"] == {"cuda": True, "bf16": True} and report["answered"] == 5.0 and report["time"] > 5
    assert report["host"] == os.uname().nodename and report["cpus"] >= 1 and report["disk"] > 0
    assert 0 < report["memory"] <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") + (1 << 30)


def test_what_an_environment_told_before_it_failed_is_kept(folder: Path, tmp_path: Path) -> None:
    lines = ("echo '{\"packages\": {}}'", "echo 'no CUDA driver' >&2", "exit 3")
    python = script(tmp_path / "python", "#!/bin/sh", *lines)
    code, report = looked(folder, str(script(tmp_path / "cli", f"#!{python}")))
    assert code == 0 and report["done"] and report["packages"] == {} and report["error"] == "no CUDA driver"


def test_a_cli_that_is_not_there_is_told(folder: Path) -> None:
    code, report = looked(folder, "no-such-cli")
    assert code == 0 and report["done"] and report["cli"] == "" and "no-such-cli" in report["error"]


def test_the_python_of_a_container_is_asked_behind_what_starts_it(folder: Path, tmp_path: Path) -> None:
    runner = script(tmp_path / "run", "#!/bin/sh", 'echo "{\\"python\\": \\"$1 $2\\"}"')
    _, report = looked(folder, str(runner), "image.sif", "llamafactory-cli")
    assert report["python"] == "image.sif python3" and report["cli"] == "llamafactory-cli"


@pytest.mark.parametrize("holds", [True, False])
def test_a_lock_of_whoever_asks_is_seen(folder: Path, holds: bool) -> None:
    with (folder / LOCK).open("r+") as file:
        if holds:
            fcntl.lockf(file, fcntl.LOCK_EX)
        _, report = looked(folder, "no-such-cli")
    assert report["locks"] == ("seen" if holds else "unseen")


def test_a_lock_that_may_not_be_opened_is_not_known(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EACCES of the file is not that of the lock: a job that runs as another user, a disk that squashes root."""
    opened = os.open

    def refuses(path: str, *more: int) -> int:
        if path.endswith(LOCK):
            raise PermissionError(13, "Permission denied")
        return opened(path, *more)

    monkeypatch.setattr(os, "open", refuses)
    assert target_probe.locks(str(folder)) == "Permission denied"


def test_without_an_answer_there_is_no_clock(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ANSWER).write_text("")
    monkeypatch.setattr(target_probe, "CLOCK_S", 0.3)
    report = target_probe.Report(str(folder))
    assert target_probe.clock(str(folder), report) == {}
    assert json.loads((folder / REPORT).read_text()) == {"asked": True}


def test_where_nothing_can_be_written_the_exit_code_tells(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert target_probe.main([str(tmp_path / "nowhere"), "--", "x"]) == UNSEEN
    monkeypatch.setattr(target_probe.Report, "tell", refuse)
    assert target_probe.main([str(folder), "--", "x"]) == UNWRITTEN


def refuse(*_: object, **__: object) -> None:
    raise OSError(30, "Read-only file system")


@pytest.mark.parametrize(("lines", "found"), [
    (("#!/opt/lf/bin/python3.11",), "/opt/lf/bin/python3.11"),
    (("#!/usr/bin/env python3",), "python3"),
    (("#!/bin/sh", "'''exec' \"/a very/long path/python\" \"$0\" \"$@\""), "/a very/long path/python"),
    (("#!/bin/bash", "exec something"), "beside"),
])
def test_the_interpreter_of_a_script(tmp_path: Path, lines: tuple[str, ...], found: str) -> None:
    cli = script(tmp_path / "cli", *lines)
    assert target_probe.interpreter(str(cli)) == (str(tmp_path / "python") if found == "beside" else found)


def test_memory_is_the_least_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "/proc/meminfo": "MemTotal:       8000 kB\n", "/proc/self/cgroup": "0::/a/b\n",
        "/sys/fs/cgroup/a/b/memory.max": "max\n", "/sys/fs/cgroup/a/memory.max": "3072000\n",
    }

    def read(path: str) -> str:
        if path not in texts:
            raise FileNotFoundError(path)
        return texts[path]

    monkeypatch.setattr(target_probe, "open_text", read)
    monkeypatch.delenv("SLURM_MEM_PER_NODE", raising=False)
    assert target_probe.memory() == 3072000
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "1")
    assert target_probe.memory() == 1 << 20
    texts["/proc/self/cgroup"] = "4:memory,cpu:/job\n5:devices:/job\n"
    texts["/sys/fs/cgroup/memory/job/memory.limit_in_bytes"] = "1000\n"
    assert target_probe.memory() == 1000


@pytest.mark.parametrize(("told", "least"), [
    ({"SLURM_MEM_PER_CPU": "2", "SLURM_CPUS_ON_NODE": "3"}, 6 << 20), ({"SLURM_MEM_PER_CPU": "2"}, 8000 << 10),
    ({"SLURM_MEM_PER_CPU": "2", "SLURM_CPUS_ON_NODE": "3", "SLURM_MEM_PER_NODE": "0"}, 6 << 20),
])
def test_memory_is_given_by_cpu_where_the_partition_says_so(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str], least: int
) -> None:
    monkeypatch.setattr(target_probe, "open_text", lambda path: "MemTotal: 8000 kB\n" if "mem" in path else "")
    for name in ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert target_probe.memory() == least
