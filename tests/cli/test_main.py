"""The command line as a whole: which words serve, wrong use, help, languages, and what a start costs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lfdash.cli.main import COMMANDS, SERVE, names_a_command
from lfdash.locales import available, in_language
from tests.support import ROOT
from tests.support.terminal import SERVED, lfdash


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        ("", False), ("--workspace data --port 9000", False), ("--workspace=ls --allow-anyone", False),
        ("--users a --host h --root r --public-url u", False), ("--port", False),
        ("ls", True), ("--workspace data ls", True), ("--workspace=data ls", True), ("--help", True), ("-h", True),
        ("nope", True), ("serve --port 9000", True), ("--allow-anyone ls", True), ("--json ls", True),
    ],
)
def test_without_a_command_it_is_the_server_s(words: str, ours: bool) -> None:
    assert names_a_command(words.split()) is ours


def test_serve_hands_its_words_on(tmp_path: Path) -> None:
    SERVED.clear()
    words = ("--port", "9000", "--allow-anyone", "--root=/a", "--help")
    assert lfdash("serve", *words).code == 0
    assert lfdash("--workspace", tmp_path, "serve", "--port", "1").code == 0
    assert [list(words), ["--workspace", str(tmp_path), "--port", "1"]] == SERVED


def test_the_workspace_before_the_command_and_after_it(
    seen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LFDASH_WORKSPACE", str(tmp_path / "other"))
    assert len(lfdash("ls", "--workspace", seen, "--json").json) == 2
    assert len(lfdash("--workspace", seen, "ls", "--json").json) == 2
    assert len(lfdash("--workspace", tmp_path / "x", "ls", "--workspace", seen, "--json").json) == 2
    monkeypatch.delenv("LFDASH_WORKSPACE")
    monkeypatch.chdir(seen.parent)
    seen.rename(seen.parent / "workspace")
    try:
        assert len(lfdash("ls", "--json").json) == 2, "`workspace` here"
    finally:
        (seen.parent / "workspace").rename(seen)


@pytest.mark.parametrize("words", ["nope", "ls --nope", "show a b", "stop", "start", "resume a --from", "ls --json=1"])
def test_wrong_use(seen: Path, words: str) -> None:
    said = lfdash(*words.split())
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("lfdash: ") and "--help”" in said.err


@pytest.mark.parametrize("code", available())
def test_help_in_every_language(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", f"{code}_XX.UTF-8")
    said = lfdash("--help")
    assert said.code == 0
    for name in (SERVE, *COMMANDS):
        assert in_language(code, f"cli.do_{name}") in " ".join(said.out.split()), name
        shown = lfdash(name, "--help").out if name != SERVE else ""
        assert name == SERVE or in_language(code, "cli.usage") in shown
        assert "Options" not in shown or code == "en"
    assert in_language(code, "cli.no_command", name="nope") in lfdash("nope").err


def test_names_of_runs_are_completed(seen: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "_LFDASH_COMPLETE": "bash_complete"}

    def completed(words: str) -> list[str]:
        env.update(COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1))
        done = subprocess.run([sys.executable, "-m", "lfdash"], env=env, capture_output=True, text=True, timeout=60)
        return [line.partition(",")[2] for line in done.stdout.splitlines()]

    assert completed("lfdash show g") == ["good"]
    assert completed(f"lfdash logs --workspace {seen} ") == ["bad", "good"]
    assert completed("lfdash dia") == ["diagnose"]


def test_a_start_waits_for_nothing_that_it_does_not_need(seen: Path) -> None:
    """Measured: 0.4 s on an idle core, nearly all of it numpy and Python itself; Streamlit alone takes more."""
    command = [sys.executable, "-X", "importtime", "-m", "lfdash", "ls"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "good" in done.stdout
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert {"click", "lfdash"} <= loaded
    assert not loaded & {"streamlit", "altair", "pandas", "pyarrow", "torch", "llamafactory", "tornado", "starlette"}
