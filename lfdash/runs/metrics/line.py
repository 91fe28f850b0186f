"""What a line of the trainer log says: its numbers, and when it was."""

from __future__ import annotations

import math
import re
import sys
from typing import Any

from lfdash.runs.log_reader import LogRow

MOST_DIGITS = 20  # of a part of a time: a spoiled log may have thousands
ELAPSED = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d)").fullmatch
NAN = math.nan
LARGEST = int(sys.float_info.max)


def number(value: Any) -> float:
    """A logged value as a float; NaN for what is no number, or too large for one."""
    if type(value) is int:
        return float(value) if -LARGEST <= value <= LARGEST else NAN
    return value if isinstance(value, float) else NAN


def seconds(row: LogRow) -> float:
    """Time since this launch's training began.

    From tokens and throughput when both are there (throughput = all tokens so far / that time, exact to a
    millisecond); else from elapsed_time ("1 day, 2:03:04"), whole seconds. NaN when neither can be read.
    """
    tokens, rate = number(row.get("total_tokens")), number(row.get("throughput"))
    if tokens > 0 and rate > 0:
        return tokens / rate
    match = ELAPSED(str(row.get("elapsed_time", "")))
    if match is None:
        return NAN
    days, hours, minutes, rest = (number(int(part)) if len(part) < MOST_DIGITS else NAN for part in match.groups("0"))
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest
