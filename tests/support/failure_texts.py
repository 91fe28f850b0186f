"""Error lines of failures that people and we had (tests/fixtures/failures), with the cause that a human gives."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.support import FIXTURES

FAILURES = FIXTURES / "failures"
# what a run prints that is all right: warnings that look like causes
START = """\
bitsandbytes library load: the 4-bit kernels are not installed, CPU fallback is used
[INFO|2026-01-01 00:00:00] llamafactory.hparams.parser:144 >> Process rank: 0, world size: 1, device: cuda:0
[WARNING|2026-01-01 00:00:01] llamafactory.model.model_utils.attention:149 >> FlashAttention-2 is not installed.
WARNING: Retrying: Max retries exceeded with url: /api/models (Caused by NewConnectionError)
{'loss': '6.7', 'grad_norm': '1.5', 'learning_rate': '5e-05', 'epoch': '0.1'}
  1%|          | 3/400 [00:21<44:42,  6.76s/it]
"""


@dataclass(frozen=True)
class Text:
    """A failure. causes: signatures that name it rightly, the best first. exit_code: of the run; None: not known."""

    source: str
    why: str
    causes: tuple[str, ...]
    lines: tuple[str, ...]
    exit_code: int | None


def texts(name: str) -> list[Text]:
    """Those of one file, each below a healthy start."""
    rows = tomllib.loads((FAILURES / f"{name}.toml").read_text(encoding="utf-8"))["text"]
    return [
        Text(row["source"], row["why"], tuple(row["cause"]), tuple(printed(row).splitlines()), row.get("exit"))
        for row in rows
    ]


def printed(row: dict[str, str]) -> str:
    """The log of a failure: as it is, or an exception below a traceback's head."""
    raised = row.get("raised", "").strip("\n")
    head = 'Traceback (most recent call last):\n  File "train.py", line 1, in main\n    run()\n'
    return START + (row["log"].strip("\n") if "log" in row else head + raised)


def healthy() -> list[Path]:
    """Logs of runs that went well."""
    return [*sorted((FIXTURES / "console").glob("healthy_*.txt")), *sorted((FAILURES / "healthy").glob("*.txt"))]
