"""Lines of a trainer log -> blocks of columns: quickly where they are as LLaMA-Factory writes them, else one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from lfdash.files import quick_json
from lfdash.runs.log_reader import LogRow
from lfdash.runs.metrics.frame import COLUMNS, Column
from lfdash.runs.metrics.line import NAN, number, seconds

Flags = npt.NDArray[np.bool_]
FIELDS = ("current_steps", "total_steps", "throughput", *COLUMNS)
ASKED = ("loss", "eval_loss", "epoch")  # keys of which it counts whether they are there, if only with NaN


class Line(msgspec.Struct, gc=False):
    """What is taken of a line of the log. NaN: there is no such key, or its value is no number. asked: bits of those of
    ASKED that are there with such a value."""

    current_steps: float = NAN
    total_steps: float = NAN
    loss: float = NAN
    eval_loss: float = NAN
    lr: float = NAN
    learning_rate: float = NAN
    epoch: float = NAN
    accuracy: float = NAN
    reward: float = NAN
    total_tokens: float = NAN
    throughput: float = NAN
    vram_allocated: float = NAN
    vram_reserved: float = NAN
    elapsed_time: str = ""
    asked: int = msgspec.field(default=0, name="(asked)")  # no line has that key


DECODER = msgspec.json.Decoder(Line)


def read_block(data: bytes) -> tuple[Block, int]:
    """The rows among the whole lines of `data`, and how many of its other lines were not empty."""
    try:
        return to_block(DECODER.decode_lines(data)), 0
    except (msgspec.MsgspecError, ValueError, RecursionError):
        rows, bad = read_one_by_one(data.split(b"\n"))
        return to_block(rows, odd=True), bad


def read_one_by_one(lines: Sequence[bytes]) -> tuple[list[Line], int]:
    """The rows among lines some of which are not as they should be, and how many of the others were not empty."""
    rows: list[Line] = []
    bad = 0
    for text in lines:
        try:
            rows.append(DECODER.decode(text))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            line = text.strip(b"\0 \r\t")
            if line:
                row = exact(line)
                if row is None:
                    bad += 1
                else:
                    rows.append(row)
    return rows, bad


def exact(line: bytes) -> Line | None:
    """A row as Python's own reader understands it, which knows NaN and Infinity; None for what is no mapping."""
    try:
        row = quick_json(line)
    except (ValueError, RecursionError):  # also UnicodeDecodeError
        return None
    return to_line(row) if isinstance(row, dict) else None


def to_line(row: LogRow) -> Line:
    """What is taken of a row."""
    told: dict[str, Any] = {key: number(row[key]) for key in FIELDS if row.get(key) is not None}
    asked = sum(1 << bit for bit, key in enumerate(ASKED) if key in told)
    return Line(**told, elapsed_time=str(row.get("elapsed_time") or ""), asked=asked)


@dataclass(frozen=True)
class Block:
    """Rows with a finite step, in the order of the file, as columns of one length. seconds: since their launch's
    training began. has_loss, has_eval, has_epoch: whether the key was there, if only with NaN."""

    step: Column
    total: Column
    seconds: Column
    columns: dict[str, Column]
    has_loss: Flags
    has_eval: Flags
    has_epoch: Flags

    def __len__(self) -> int:
        return len(self.step)

    def part(self, begin: int, end: int) -> Block:
        """Some of its rows."""
        cut = slice(begin, end)
        columns = {name: column[cut] for name, column in self.columns.items()}
        return Block(
            self.step[cut], self.total[cut], self.seconds[cut], columns,
            self.has_loss[cut], self.has_eval[cut], self.has_epoch[cut],
        )


def to_block(lines: Sequence[Line], *, odd: bool = False) -> Block:
    """Rows as columns; those without a step are left out. odd: whether some of their values may be NaN."""
    raw = {key: np.fromiter(map(attrgetter(key), lines), np.float64, len(lines)) for key in FIELDS}
    known = np.isfinite(raw["current_steps"])
    if not known.all():
        lines = [line for line, kept in zip(lines, known.tolist(), strict=True) if kept]
        raw = {key: column[known] for key, column in raw.items()}
    # some versions of LLaMA-Factory log 0 where none were counted; 0.9.5 does not (train/callbacks.py, LogCallback)
    raw["total_tokens"][(raw["total_tokens"] == 0) & (raw["current_steps"] > 0)] = NAN
    has = {key: ~np.isnan(raw[key]) for key in ASKED}
    if odd:
        asked = np.fromiter(map(attrgetter("asked"), lines), np.int64, len(lines))
        has = {key: has[key] | (asked >> bit & 1 > 0) for bit, key in enumerate(ASKED)}
    columns = {name: raw[key] for key, name in COLUMNS.items()}
    older, newer = raw["lr"], raw["learning_rate"]
    columns["learning_rate"] = np.where(np.isnan(newer), older, newer)
    return Block(
        raw["current_steps"], raw["total_steps"], times(lines, raw["total_tokens"], raw["throughput"]),
        {name: column for name, column in columns.items() if has.get(name, ~np.isnan(column)).any()},
        has["loss"], has["eval_loss"], has["epoch"],
    )


def times(lines: Sequence[Line], tokens: Column, rate: Column) -> Column:
    """See `progress.seconds`."""
    exactly = (tokens > 0) & (rate > 0)
    result = np.full(len(lines), NAN)
    np.divide(tokens, rate, out=result, where=exactly)
    result[~np.isfinite(result)] = NAN
    text, value = "", NAN  # many lines of a quick run have the same
    for place in np.flatnonzero(~exactly).tolist():
        said = lines[place].elapsed_time
        if said != text:
            text, value = said, seconds({"elapsed_time": said})
        result[place] = value
    return result

