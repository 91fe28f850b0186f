"""`lfdash diagnose RUN_OR_LOG`: the cause, its proof, its cure by argument."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from lfdash.cli.diagnose import end_of
from tests.support import FIXTURES
from tests.support.terminal import lfdash

CONSOLE = FIXTURES / "console"
KEYS = ["cause", "message", "line", "fix"]


def test_a_run_that_failed(seen: Path) -> None:
    said = lfdash("diagnose", "bad", "--json")
    assert (said.code, list(said.json)) == (0, KEYS)
    assert said.json["cause"] == "unknown_dataset"
    assert said.json["line"] == "ValueError: Undefined dataset nope in dataset_info.json."
    assert "nope" in said.json["message"] and said.json["fix"] is None
    words = lfdash("diagnose")
    assert words.code == 0
    assert said.json["message"] in words.out and said.json["line"] in words.out


def test_a_run_that_did_not_fail(seen: Path) -> None:
    said = lfdash("diagnose", "good", "--json")
    assert said.code == 0
    assert said.json == {"cause": None, "message": "The run did not fail: FINISHED.", "line": None, "fix": None}


@pytest.mark.parametrize("way", ["file", "stdin"])
def test_a_log(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LFDASH_WORKSPACE", str(tmp_path / "gone"))  # it needs none
    path = CONSOLE / "failed_bf16_cpu.txt"
    said = lfdash("diagnose", "--json", *([path] if way == "file" else ["-"]), stdin=path.read_text())
    assert said.code == 0
    assert said.json["cause"] == "bf16"
    assert said.json["fix"] == {"bf16": None, "fp16": None, "pure_bf16": None}
    assert "fix: bf16= fp16= pure_bf16=" in lfdash("diagnose", path).out


def test_the_cure_of_a_run_is_of_its_own_settings(copied: Path) -> None:
    folder = copied / "saves" / "demo-llama" / "lora" / "bad"
    text = "Traceback (most recent call last):\ntorch.OutOfMemoryError: CUDA out of memory.\n"
    (folder / "console.log").write_text(text)
    said = lfdash("diagnose", "bad", "--json").json
    assert (said["cause"], said["fix"]) == ("gpu_memory", {"per_device_train_batch_size": 1})


def test_no_known_cause(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("all is well\n")
    assert lfdash("diagnose", tmp_path / "log.txt", "--json").json == {
        "cause": None, "message": "No known cause matches.", "line": None, "fix": None,
    }


def test_of_a_stream_the_end_is_kept() -> None:
    stream = io.BytesIO(b"a" * 3_000 + b"b" * 5)
    assert end_of(stream, 7) == b"aabbbbb"
    assert end_of(io.BytesIO(b"abc"), 7) == b"abc"


def test_a_run_that_was_killed(copied: Path) -> None:
    folder = copied / "saves" / "demo-llama" / "lora" / "bad"
    (folder / "console.log").write_text("[WARNING|a] FlashAttention-2 is not installed.\n{'loss': '6.7'}\n")
    for path in folder.rglob("exit.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "code": -9}))
    said = lfdash("diagnose", "bad", "--json").json
    assert (said["cause"], said["line"], said["fix"]) == ("host_memory", "SIGKILL", None)


def test_neither_a_run_nor_a_log(seen: Path) -> None:
    assert lfdash("diagnose", "nope").code == 2
