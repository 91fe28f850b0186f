"""`lfdash logs RUN`: as a terminal would show it; -f until the run is over, or until Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lfdash.engine import facade
from lfdash.runs.report import explain
from lfdash.runs.results import experiment_link
from tests.support import ROOT
from tests.support.many import add_plain
from tests.support.runs import wait_for
from tests.support.terminal import DEMO, lfdash

BAD = Path("saves", "demo-llama", "lora", "bad", "console.log")


def test_all_lines(seen: Path) -> None:
    said = lfdash("logs", "good")
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[:3] == ["started", "ready", "step 1 " + "." * 40] and len(lines) == 8
    assert lfdash("logs", "good", "-f").out == said.out, "it is over: nothing to wait for"


def test_lines_for_a_program(seen: Path) -> None:
    rows = [json.loads(line) for line in lfdash("logs", "good", "--json").out.splitlines()]
    assert rows[1] == {"line": "ready"} and all(list(row) == ["line"] for row in rows)


def test_a_progress_bar_is_shown_as_its_last_state(copied: Path) -> None:
    (copied / BAD).write_bytes(b"start\n 1%|\r 2%|\r 3%|\x1b[0m\nnext\n 4%|\r 5%|")
    assert lfdash("logs", "bad").out == "start\n 3%|\nnext\n 5%|\n"


def test_secrets_are_hidden(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "0123456789abcdef")
    (copied / BAD).write_text("key 0123456789abcdef\nhub_token: abcdef\n")
    said = lfdash("logs", "bad").out
    assert "abcdef" not in said and "hub_token" in said


def test_a_log_that_is_cut_is_read_anew(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As tail -f says it, on standard error."""
    (copied / BAD).write_text("one\ntwo\n")
    cut = iter([False, True, True])

    def next_look(_seconds: float) -> None:
        if next(cut):
            (copied / BAD).write_text("new\n")

    monkeypatch.setattr("lfdash.cli.logs.time.sleep", next_look)
    states = iter(["RUNNING", "RUNNING", "FAILED"])
    monkeypatch.setattr("lfdash.engine.facade.Run.state", property(lambda _run: next(states)))
    said = lfdash("logs", "-f", "bad")
    assert said.out == "one\ntwo\nnew\n"
    assert said.err.count("truncated or replaced") == 1


def follow(run_id: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """`lfdash logs -f` as a process of its own."""
    command = [sys.executable, "-m", "lfdash", "logs", "-f", run_id]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=env, stdout=stdout, stderr=subprocess.PIPE)


def test_ctrl_c_ends_it_and_not_the_run(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ARGS", '{"steps": 600, "delay": 0.1, "chatty": 1}')
    run_id = lfdash("start", DEMO, "--json").json["id"]
    process = follow(run_id)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"started\n", "whole lines come while it runs"
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (130, b"")
    assert out == b"" or out.endswith(b"\n")
    assert lfdash("show", run_id, "--json").json["state"] == "RUNNING"


def test_a_reader_that_goes_away(seen: Path) -> None:
    process = follow("good")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=30) == 1


def test_on_a_terminal_the_bar_moves(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ARGS", '{"steps": 600, "delay": 1}')
    run = lfdash("start", DEMO, "--json").json
    console = copied / run["folder"] / "console.log"
    wait_for(lambda: "ready" in lfdash("logs", run["id"]).out)
    ours, theirs = pty.openpty()
    process = follow(run["id"], theirs)
    os.close(theirs)
    shown = b""
    with console.open("ab") as file:
        for part in (b" 1%|x", b"\r 2%|xx", b"\r 3%|xxx\ndone\n"):
            file.write(part)
            file.flush()
            want = part.strip(b"\r").split(b"\n")[0]
            while want not in shown:
                shown += os.read(ours, 1000)
    while b"done" not in shown:
        shown += os.read(ours, 1000)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    os.close(ours)
    assert b"\r\x1b[K 1%|x\r\x1b[K 2%|xx\r\x1b[K 3%|xxx\r\ndone" in shown


def test_a_copied_run_has_the_log_that_llamafactory_wrote(workspace: Path) -> None:
    paths, bare = add_plain(workspace, "copied"), add_plain(workspace, "bare")
    words = "[INFO] loading\nView run at: https://wandb.ai/me/1\ntorch.OutOfMemoryError: CUDA out of memory.\n"
    paths.running_log.write_text(words)
    said = lfdash("logs", "copied")
    assert said.out.startswith("[INFO] loading\n") and "running_log.txt" in said.err
    assert lfdash("logs", "copied", "-f").out == said.out
    opened = facade.open_workspace(workspace)
    run = opened.run("copied")
    assert isinstance(run, facade.Run) and run.log() == said.out
    found = explain(run.view)
    assert found is not None and found.id == "gpu_memory"
    assert experiment_link(paths) == "https://wandb.ai/me/1"
    none = lfdash("logs", bare.root.name)
    assert none.out == "" and "console.log" in none.err
