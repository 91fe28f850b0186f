"""Where the llamafactory-cli is looked for, and which interpreter it runs with."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lfdash.llamafactory import locate
from lfdash.llamafactory.locate import Cli, find_cli, shebang
from lfdash.outcomes import Refused


def script(path: Path, text: str = f"#!{sys.executable}\n") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.fixture(autouse=True)
def no_neighbour(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """This Python has no llamafactory-cli beside it, unless a test puts one there."""
    monkeypatch.setattr(locate.sys, "executable", str(tmp_path / "env" / "python"))
    return tmp_path / "env"


def test_the_variable_wins_then_the_neighbour_then_the_path(tmp_path: Path, no_neighbour: Path) -> None:
    python = sys.executable
    real = script(tmp_path / "real-python", "")
    named = script(tmp_path / "a b" / "cli", f"#!{real}\n")
    on_path = script(tmp_path / "bin" / "llamafactory-cli", f"#!{real}\n")
    env = {"PATH": str(tmp_path / "bin"), "LFDASH_CLI": named}
    assert find_cli(env) == Cli(named, real)
    assert find_cli({**env, "LFDASH_CLI": "llamafactory-cli"}) == Cli(on_path, real)
    assert find_cli({"PATH": env["PATH"]}) == Cli(on_path, real)
    beside = script(no_neighbour / "llamafactory-cli", f"#!{real}\n")
    assert find_cli({"PATH": env["PATH"]}) == Cli(beside, real)
    assert python.startswith(str(no_neighbour))


def test_what_is_missing_is_told(tmp_path: Path, no_neighbour: Path) -> None:
    env = {"PATH": str(tmp_path), "LFDASH_CLI": "/no/such/cli"}
    assert find_cli(env) == Refused("blocked_variable")
    found = find_cli({"PATH": str(tmp_path)})
    assert found == Refused("blocked_cli")
    plain = tmp_path / "not-executable"
    plain.write_text("")
    assert isinstance(find_cli({"LFDASH_CLI": str(plain)}), Refused)


def test_interpreters_are_read_from_first_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cli"
    script(tmp_path / "bin" / "python3", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for text, expected in (
        ("#!/opt/env/bin/python3.11 -s\n", "/opt/env/bin/python3.11"),
        ("#!/usr/bin/env python3\n", str(tmp_path / "bin" / "python3")),
        ("#!/bin/sh\n'''exec' \"/very long/python\" \"$0\" \"$@\"\n' '''\n", "/very long/python"),
        ("#!/bin/sh\n'''exec' /long/python \"$0\" \"$@\"\n' '''\n", "/long/python"),
        ("#!/bin/sh\necho\n", None),
        ("", None),
    ):
        path.write_text(text)
        assert shebang(str(path)) == expected, text
    assert shebang(str(tmp_path / "missing")) is None
    os.mkfifo(tmp_path / "pipe")
    assert shebang(str(tmp_path / "pipe")) is None


def test_an_unknown_wrapper_takes_the_python_beside_it_or_none(tmp_path: Path) -> None:
    path = script(tmp_path / "bin" / "cli", "#!/bin/sh\n")
    assert find_cli({"LFDASH_CLI": path}) == Cli(path, None)
    python = script(tmp_path / "bin" / "python", "")
    assert find_cli({"LFDASH_CLI": path}) == Cli(path, python)
