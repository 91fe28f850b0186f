"""Files that grow: every whole line once; consoles as blocks; the line that says why a run failed."""

from __future__ import annotations

import json
import math
import os
import random
from pathlib import Path

import pytest

from lfdash.files import read_plain
from lfdash.runs.console import ConsoleTail, last_error, tracker_link
from lfdash.runs.log_reader import Cursor, read_last, read_new, tail_bytes
from tests.support.runs import FIXTURES


def line(number: int) -> bytes:
    return json.dumps({"current_steps": number, "loss": 1.0 / number}).encode() + b"\n"


# -- rows -----------------------------------------------------------------------------------------------


def test_every_row_comes_once_however_the_file_is_written(tmp_path: Path) -> None:
    path, chance = tmp_path / "log.jsonl", random.Random(7)
    data = b"".join(line(number) for number in range(1, 301))
    cursor, rows, done = Cursor(), [], 0
    while done < len(data):
        size = chance.randint(1, 400)
        with path.open("ab") as file:
            file.write(data[done : done + size])
        done += size
        new, cursor = read_new(path, cursor)
        rows += new
    assert [row["current_steps"] for row in rows] == list(range(1, 301))
    assert (cursor.bad, cursor.generation, cursor.rest) == (0, 0, b"")
    assert read_new(path, cursor) == ([], cursor)


def test_a_line_without_its_newline_waits(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(1) + line(2)[:-1])
    rows, cursor = read_new(path, Cursor())
    assert len(rows) == 1
    with path.open("ab") as file:
        file.write(b"\n")
    assert [row["current_steps"] for row in read_new(path, cursor)[0]] == [2]


def test_a_missing_file_gives_nothing_and_garbage_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    assert read_new(path, Cursor()) == ([], Cursor())
    path.write_bytes(b"not json\n[1, 2]\n\xff\xfe\n\n\0\0\0" + line(1))
    rows, cursor = read_new(path, Cursor())
    assert [row["current_steps"] for row in rows] == [1]
    assert cursor.bad == 3


def test_bare_nan_and_infinity_are_numbers() -> None:
    rows, cursor = read_new(FIXTURES / "logs" / "nan.jsonl", Cursor())
    assert math.isnan(rows[1]["loss"]) and cursor.bad == 0


@pytest.mark.parametrize("keep_inode", [True, False])
@pytest.mark.parametrize("after", [1, 2, 3, 9])
def test_a_truncated_or_replaced_file_is_read_from_its_start(tmp_path: Path, keep_inode: bool, after: int) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(1) + line(2) + line(3))
    _, cursor = read_new(path, Cursor())
    if not keep_inode:
        (tmp_path / "new").write_bytes(b"")
        os.replace(tmp_path / "new", path)
    path.write_bytes(b"".join(line(number) for number in range(5, 5 + after)))  # 3 lines: the same size
    rows, cursor = read_new(path, cursor)
    assert [row["current_steps"] for row in rows] == list(range(5, 5 + after))
    assert cursor.generation == 1


def test_a_replacement_that_begins_the_same_is_seen_by_its_inode(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(line(1) * 20)
    _, cursor = read_new(path, Cursor())
    (tmp_path / "new").write_bytes(line(1) * 21)
    os.replace(tmp_path / "new", path)
    rows, cursor = read_new(path, cursor)
    assert (len(rows), cursor.generation) == (21, 1)


def test_a_file_cut_to_a_beginning_of_itself_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line(number) for number in range(1, 31)))
    _, cursor = read_new(path, Cursor())
    os.truncate(path, len(b"".join(line(number) for number in range(1, 16))))
    rows, cursor = read_new(path, cursor)
    assert (len(rows), cursor.generation) == (15, 1)


def test_the_last_rows_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(line(number) for number in range(1, 100)) + b'{"current_steps": 1')
    rows = read_last(path, 500)
    assert rows[-1]["current_steps"] == 99 and 5 < len(rows) < 15
    assert tail_bytes(path, 500).startswith(b"{")
    assert read_last(tmp_path / "missing") == []


# -- console --------------------------------------------------------------------------------------------


def write(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(text)


def test_progress_bars_collapse_to_their_last_state(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    tail = ConsoleTail(path)
    assert (tail.poll(), tail.blocks()) == (False, ())
    write(path, "loading\n\r  0%| | 0/14\r  7%|#| 1/14")
    assert tail.poll()
    assert tail.blocks() == ("loading\n  7%|#| 1/14",)
    write(path, "\r 50%|##| 7/14\r\x1b[31m100%|###| 14/14\x1b[0m\r\ndone\n")
    assert tail.poll() and not tail.poll()
    assert tail.blocks() == ("loading\n100%|###| 14/14\ndone",)


def test_closed_blocks_never_change_and_their_number_is_bounded(tmp_path: Path) -> None:
    path, chance = tmp_path / "console.log", random.Random(3)
    tail = ConsoleTail(path, block=200, keep=5)
    text = "".join(f"line {number} " + "é" * (number % 40) + "\n" for number in range(400))
    data, done, seen = text.encode(), 0, {}
    while done < len(data):
        size = chance.randint(1, 300)
        with path.open("ab") as file:
            file.write(data[done : done + size])
        done += size
        tail.poll()
        for block in tail.blocks()[:-1]:
            number = block.split()[1]
            assert seen.setdefault(number, block) == block
            assert len(block.encode()) + 1 >= 200
    assert len(tail.blocks()) <= 6
    shown = "\n".join(tail.blocks()) + "\n"
    assert text.endswith(shown)
    assert tail.dropped == len(text[: -len(shown)].encode())


def test_a_huge_log_is_entered_near_its_end(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_text("".join(f"line {number}\n" for number in range(20_000)))
    tail = ConsoleTail(path, block=100, keep=3)
    tail.poll()
    assert tail.blocks()[-1].endswith("line 19999")
    assert tail.dropped > path.stat().st_size - 1000


def test_a_console_that_starts_again_is_shown_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    tail = ConsoleTail(path)
    write(path, "first attempt\n")
    tail.poll()
    path.write_text("second\n")
    assert tail.poll()
    assert tail.blocks() == ("second",)


def test_a_bar_of_megabytes_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    tail = ConsoleTail(path)
    for _ in range(3):
        write(path, "".join(f"\r{number} of many" for number in range(50_000)))
        tail.poll()
        assert len(tail._line) < 100
    assert tail.blocks() == ("49999 of many",)


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
    passed_on = 'Traceback (most recent call last):\n  File "c.py"\nsubprocess.CalledProcessError: Command\n'
    path.write_text(chain + passed_on)
    assert last_error(path) == "ModuleNotFoundError: No module named x"
    path.write_text("".join(f"[rank0]: {text}\n" for text in chain.split("\n")) + passed_on)
    assert last_error(path) == "ModuleNotFoundError: No module named x"
    path.write_text(chain + "second attempt\n")
    assert last_error(path, start=len(chain)) is None


def test_a_link_or_a_pipe_in_a_runs_folder_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"current_steps": 1}\n')
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(secret)
    os.mkfifo(pipe)  # opening one waits for a writer, for ever
    for path in (link, pipe, tmp_path):
        assert tail_bytes(path, 100) == b"" and read_last(path) == []
        assert not ConsoleTail(path).poll() and tracker_link(path) is None
        assert read_new(path, Cursor())[0] == []
        with pytest.raises(OSError):
            read_plain(path)
    assert read_last(secret) == [{"current_steps": 1}] and read_plain(secret).startswith("{")
