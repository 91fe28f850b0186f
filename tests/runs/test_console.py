"""A console log followed line by line; the line that says why a run failed."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from lfdash.files import open_plain
from lfdash.runs import console
from lfdash.runs.console import ConsoleLines, last_error
from tests.support import FIXTURES


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "console.log"


# -- line by line ---------------------------------------------------------------------------------------


def test_whole_lines_each_once(log: Path) -> None:
    lines = ConsoleLines(log)
    assert list(lines.read()) == [], "not there yet"
    log.write_bytes(b"one\ntw")
    assert (list(lines.read()), lines.begun) == (["one"], "tw")
    assert list(lines.read()) == []
    with log.open("ab") as file:
        file.write(b"o\n\nthree\n")
    assert (list(lines.read()), lines.begun, lines.restarted) == (["two", "", "three"], "", False)


def test_a_progress_bar_is_one_line_of_its_last_state(log: Path) -> None:
    log.write_bytes(b" 1%|x\r 2%|xx\r 3%|xxx\x1b[0m\n" + b"\r".join(b"%d%%" % n for n in range(10)))
    lines = ConsoleLines(log)
    assert (list(lines.read()), lines.begun) == ([" 3%|xxx"], "9%")


def test_a_bar_of_megabytes_without_an_end_is_kept_small(log: Path) -> None:
    log.write_bytes(b"".join(b"\r%07d" % n for n in range(400_000)))
    lines = ConsoleLines(log)
    assert (list(lines.read()), lines.begun) == ([], "0399999")
    assert len(lines._line) < 100


@pytest.mark.parametrize("replaced", [True, False])
def test_a_log_that_was_cut_or_replaced_is_read_anew(log: Path, replaced: bool) -> None:
    log.write_bytes(b"one\ntwo\nthr")
    lines = ConsoleLines(log)
    list(lines.read())
    if replaced:
        (log.parent / "new").write_bytes(b"another log, longer than the first\n")
        os.replace(log.parent / "new", log)
    else:
        log.write_bytes(b"cut\n")
    assert list(lines.read()) == (["another log, longer than the first"] if replaced else ["cut"])
    assert lines.restarted and lines.begun == ""
    list(lines.read())
    assert not lines.restarted


# -- why a run failed -----------------------------------------------------------------------------------

ERRORS = {
    "bf16_cpu": "ValueError: Your setup doesn't support bf16/gpu. You need to assign use_cpu if you want to train "
    "the model on CPU.",
    "bad_dataset": "ValueError: Undefined dataset nope in dataset_info.json.",
    "bad_model": "OSError: Failed to load tokenizer.",
    "no_package": "importlib.metadata.PackageNotFoundError: No package metadata was found for The 'jieba' "
    "distribution was not found and is required by this application.",
    "string_learning_rate": "TypeError: '<=' not supported between instances of 'float' and 'str'",
    "torchrun_fail": "ValueError: Undefined dataset nope in dataset_info.json.",
    "unknown_key": "ValueError: Some keys are not used by the HfArgumentParser: ['not_an_arg']",
}


@pytest.mark.parametrize("name", ERRORS)
def test_the_exception_line_of_a_real_failure(name: str) -> None:
    assert last_error(FIXTURES / "console" / f"failed_{name}.txt") == ERRORS[name]


def test_a_healthy_console_has_no_error() -> None:
    assert last_error(FIXTURES / "console" / "healthy_sft.txt") is None
    assert last_error(FIXTURES / "missing.txt") is None


def test_of_two_ranks_the_first_to_fail_counts_even_when_they_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_text(
        " 10%|#         | 1/10 [00:01]\r 20%|##| 2/10[rank1]: Traceback (most recent call last):\n"
        "[rank0]: Traceback (most recent call last):\n"
        '[rank1]:   File "a.py", line 1\n[rank0]:   File "b.py", line 2\n'
        "[rank1]: torch.OutOfMemoryError: CUDA out of memory.\n"
        "[rank0]: RuntimeError: Connection closed by peer\n"
        'Traceback (most recent call last):\n  File "c.py", line 3\n'
        "subprocess.CalledProcessError: Command 'torchrun' returned non-zero exit status 1.\n"
    )
    assert last_error(path) == "torch.OutOfMemoryError: CUDA out of memory."


def test_of_a_chain_the_last_exception_counts_and_a_launcher_only_alone(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    chain = (
        'Traceback (most recent call last):\n  File "a.py", line 1\nKeyError: 1\n\n'
        "During handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "b.py", line 2\nModuleNotFoundError: No module named x\n'
    )
    path.write_text(chain)
    assert last_error(path) == "ModuleNotFoundError: No module named x"
    path.write_text('Traceback (most recent call last):\n  File "c.py"\nsubprocess.CalledProcessError: Command\n')
    assert last_error(path) == "subprocess.CalledProcessError: Command"
    passed_on = 'Traceback (most recent call last):\n  File "c.py"\nsubprocess.CalledProcessError: Command torchrun\n'
    path.write_text(chain + passed_on)
    assert last_error(path) == "ModuleNotFoundError: No module named x"
    path.write_text("".join(f"[rank0]: {text}\n" for text in chain.split("\n")) + passed_on)
    assert last_error(path) == "ModuleNotFoundError: No module named x"
    path.write_text(chain + "second attempt\n")
    assert last_error(path, start=len(chain)) is None


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_read_that_fails_loses_no_line_and_gives_none_twice(
    log: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """after: pieces that are read before it."""
    text = "".join(f"line {number}\n" for number in range(100))
    log.write_text(text + "open")
    monkeypatch.setattr(console, "CHUNK", 400)
    left = [after]

    class Failing(io.BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.EIO, "no")
            return super().read(size)

    lines = ConsoleLines(log)
    with monkeypatch.context() as broken:
        broken.setattr(console, "open_plain", lambda path: Failing(io.FileIO(path)))
        before = list(lines.read())
    with monkeypatch.context() as broken:
        broken.setattr(console, "open_plain", lambda path: open_plain(path / "no"))
        assert list(lines.read()) == []
    assert [*before, *lines.read()] == text.splitlines() and lines.begun == "open" and bool(before) == bool(after)
