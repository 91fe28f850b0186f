"""How grave a line is, as the programs write it that people train with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lfdash.runs.output.levels import ERROR, NONE, WARNING, Levels
from tests.runs.output import plain
from tests.support import FIXTURES

LINES = [
    (WARNING, "[WARNING|logging.py:340] 2026-11-23 02:59:45,444 >> `torch_dtype` is deprecated!"),
    (WARNING, "[WARNING|2026-11-23 02:59:44] llamafactory.hparams.parser:149 >> We recommend"),
    (NONE, "[INFO|trainer.py:1469] 2026-11-23 02:59:46,980 >> an ERROR or WARNING in a message"),
    (ERROR, "[ERROR|tokenization.py:1] 2026-11-23 02:59:46,980 >> x"),
    (WARNING, "site-packages/torch/utils/data/dataloader.py:759: UserWarning: 'pin_memory' argument"),
    (WARNING, "WARNING:root:said by logging"), (ERROR, "CRITICAL:root:said by logging"),
    (WARNING, "2026-11-26 05:52:56,123 - accelerate - WARNING - said"),
    (ERROR, "[2026-11-26 05:52:56,123] [ERROR] [engine.py:100:x] said by deepspeed"),
    (NONE, "[2026-11-26 05:52:56,123] [INFO] [engine.py:100:x] said by deepspeed"),
    (WARNING, "[rank0]:[W1126 05:52:57.049123 ProcessGroupNCCL.cpp:123] Warning: x"),
    (WARNING, "W1126 05:52:57.123000 1234 site-packages/torch/distributed/run.py:793] said"),
    (ERROR, "E1126 05:52:57.123000 1234 site-packages/torch/distributed/elastic/agent.py:1] failed"),
    (ERROR, "[rank1]: torch.OutOfMemoryError: CUDA out of memory."), (ERROR, "Segmentation fault (core dumped)"),
    (ERROR, "Killed"), (NONE, "Killed 3 old processes"), (ERROR, "srun: error: node1: task 0: Exited with exit code 1"),
    (NONE, "0 errors and no warning"), (NONE, "  rewards/error = 3"), (NONE, "error_file: <N/A>"),
    (WARNING, "2026-11-26 05:52:56.123 | WARNING  | mod:fn:1 - said by loguru"),
]


@pytest.mark.parametrize(("level", "line"), LINES)
def test_a_line_by_itself(level: int, line: str) -> None:
    assert Levels().read(line) == level


def levels(text: str) -> str:
    """One character a line that is shown: `.`, w or e."""
    return "".join(".we"[one.level] for one in plain.shown(text.encode()))


TRACEBACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\n    g()\n    ^^^\nValueError: bad\n'


@pytest.mark.parametrize(
    ("text", "want"),
    [
        (f"said\n{TRACEBACK}of two lines\n\nsaid\n", ".eeeeee.."),
        (f"{TRACEBACK}[INFO|x.py:1] >> said\nsaid\n", "eeeee.."),
        (f"{TRACEBACK}\nDuring handling of the above exception, another exception occurred:\n\n{TRACEBACK}",
         "eeeee.e.eeeee"),
        (f" 12%|#2   | 3/25 [00:01<00:09,  2.3it/s]{TRACEBACK}", ".eeeee"),
        (f"Exception ignored in: <function f at 0x7f>\n{TRACEBACK}said\n", "wwwwwww"),
        ("a.py:3: UserWarning: careful\n  super().__init__(x)\nsaid\n", "ww."),
        ("[INFO|x.py:3] >> Model config {\n  \"error\": 1\n}\n", "..."),
        (("[rank0]: Traceback (most recent call last):\n[rank1]: Traceback (most recent call last):\nsaid\n"
         "[rank0]:   File \"a.py\"\n[rank1]: ValueError: bad\n[rank0]: KeyError: 1\n"), "ee.eee"),
    ],
)
def test_what_belongs_to_it(text: str, want: str) -> None:
    assert levels(text) == want


def test_a_traceback_that_never_ends_does_not_take_the_rest_of_the_log() -> None:
    assert levels("Traceback (most recent call last):\n" + "said\n" * 700).endswith(".")


@pytest.mark.parametrize("path", sorted((FIXTURES / "console").glob("*.txt")), ids=lambda path: path.stem)
def test_real_logs(path: Path) -> None:
    """Healthy ones have warnings only; of those that failed, all lines that speak of it are found."""
    seen = plain.shown(path.read_bytes())
    grave = [one for one in seen if one.level == ERROR]
    assert bool(grave) is path.stem.startswith("failed_")
    speaks = re.compile(rb"Traceback \(most|^\S*(?:Error|Exception): |\[WARNING\||UserWarning")
    assert all(one.level for one in seen if speaks.search(one.raw) and not one.kind)
