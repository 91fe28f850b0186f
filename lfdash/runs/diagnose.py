"""Why a run failed: from what it printed and how it ended to a known cause, with the line that proves it.

Where a traceback was printed, only its exception counts: a warning of a healthy start may look like a cause. Without
one, a few lines that no healthy run prints, then the signal that ended a process.
"""

from __future__ import annotations

import re
import signal
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from lfdash.runs.tracebacks import Failure, Raised, bare, failures

SIGNATURES = Path(__file__).with_name("signatures.toml")
LONGEST = 4000  # characters of a line that are looked at: bounds the work of every pattern
STEP = re.compile(r"^.{0,200}\{'(?:loss|train_loss)'")  # a row of metrics: the run went on
# how launchers say that a signal ended a process, the first that ended first
ENDED = re.compile(
    r"exitcode {0,9}: {0,9}-(\d{1,2})\b|return code = -(\d{1,2})\b"
    r"|died with <Signals\.\w{3,9}: (\d{1,2})>|got signal: (\d{1,2})\b"
)
SHELL = 128  # a shell adds it to the number of the signal
LAST = (signal.SIGABRT, signal.SIGTERM)  # often the answer to a failure elsewhere: said last


@dataclass(frozen=True)
class Signature:
    """A known cause.

    id: the text's key. pattern: what one line of it looks like. within: what a line of the traceback looks like, where
    the exception alone says too little. anywhere: also outside of exceptions, in lines that
    no healthy run prints. vague: there may be a better cause below it in the chain of exceptions. peer: says only that
    another process is gone. signal: its number, where a signal is the cause. fix: form fields that cure it.
    """

    id: str
    pattern: re.Pattern[str] | None
    within: re.Pattern[str] | None
    anywhere: bool
    vague: bool
    peer: bool
    signal: int | None
    fix: Mapping[str, Any]


@dataclass(frozen=True)
class Diagnosis:
    """The cause found. `line` proves it; `params` fill the text of `diagnosis.<id>`; `fix`: field id -> value."""

    id: str
    line: str
    params: Mapping[str, str] = field(default_factory=dict)
    fix: Mapping[str, Any] = field(default_factory=dict)


@cache
def signatures(path: Path = SIGNATURES) -> tuple[Signature, ...]:
    """All known causes, the more telling first (the file's order)."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))
    return tuple(
        Signature(
            name,
            compiled(row.get("pattern")),
            compiled(row.get("within")),
            row.get("anywhere", False),
            row.get("vague", False),
            row.get("peer", False),
            row.get("signal"),
            row.get("set", {}),
        )
        for name, row in rows.items()
    )


def compiled(pattern: str | None) -> re.Pattern[str] | None:
    """The expression, where there is one."""
    return None if pattern is None else re.compile(pattern)


def diagnose(lines: Iterable[str], exit_code: int | None = None, error: str | None = None) -> Diagnosis | None:
    """The known cause of a failed run; None when none fits.

    lines: the end of what it printed. exit_code: of its process, -N when signal N ended it; None when nobody saw it.
    error: what is known besides, as one line.
    """
    every = [line[:LONGEST] for line in lines]
    failed = not_survived(failures(every), every, exit_code)
    own = [failure for failure in failed if telling(failure) or not of(failure, is_peer)]
    if own:
        return next(filter(None, map(named, own)), None)
    return (
        in_lines(every, peer=False)
        or of_signal(every, exit_code, last=False)
        or next(filter(None, (of(failure, is_peer) for failure in failed)), None)
        or in_lines(every, peer=True)
        or of_signal(every, exit_code, last=True)
        or untraced(every, error)
    )


def not_survived(failed: list[Failure], lines: Sequence[str], exit_code: int | None) -> list[Failure]:
    """The failures that count: of ranks all, of one process the last. None that it survived and was killed later."""
    if all(failure.process is None for failure in failed) and not any(ENDED.search(line) for line in lines):
        failed = failed[-1:]
    if signal_in(exit_code) is None:
        return failed
    step = max((place for place, line in enumerate(lines) if STEP.match(line)), default=-1)
    return [failure for failure in failed if failure.place > step]


def named(failure: Failure) -> Diagnosis | None:
    """The cause of a process's failure, a vague one only where nothing in its chain says more. Of several vague ones
    the more telling, wherever in the chain: "Failed to load tokenizer" comes after "couldn't connect to the hub"."""
    vague = (one for one in signatures() if one.vague)
    found = (match(raised, [one]) for one in vague for raised in failure.raised)
    return telling(failure) or next(filter(None, found), None)


def telling(failure: Failure) -> Diagnosis | None:
    """The cause that a process's failure itself tells."""
    return of(failure, lambda one: not one.vague and not one.peer)


def is_peer(one: Signature) -> bool:
    """Whether it says only that another process is gone."""
    return one.peer


def of(failure: Failure, chosen: Callable[[Signature], bool]) -> Diagnosis | None:
    """The most telling of the chosen signatures at its newest exception that has one."""
    wanted = [one for one in signatures() if chosen(one)]
    return next(filter(None, (match(raised, wanted) for raised in failure.raised)), None)


def match(raised: Raised, wanted: Iterable[Signature]) -> Diagnosis | None:
    """The first of the signatures that an exception has."""
    fits = (one for one in wanted if one.within is None or any(map(one.within.search, raised.frames)))
    return match_lines((raised.line, *raised.message), fits)


def match_lines(lines: Sequence[str], wanted: Iterable[Signature]) -> Diagnosis | None:
    """The first of the signatures that any of the lines has, at its first line."""
    for one in wanted:
        for line in lines:
            caught = one.pattern.search(line) if one.pattern else None
            if caught:
                return Diagnosis(one.id, line.strip(), parameters(caught), one.fix)
    return None


def parameters(caught: re.Match[str]) -> dict[str, str]:
    """What a signature's groups caught: `what` (under whichever number) and `why`; "" where nothing."""
    texts = {"what": "", "why": ""}
    for name, value in caught.groupdict().items():
        if value:
            texts[name.rstrip("0123456789")] = value.strip()
    return texts


def in_lines(lines: Sequence[str], *, peer: bool) -> Diagnosis | None:
    """What a line outside of any exception says."""
    return match_lines(lines, [one for one in signatures() if one.anywhere and one.peer is peer])


def untraced(lines: Sequence[str], error: str | None) -> Diagnosis | None:
    """What an exception says whose traceback is not in the lines (the log's beginning was cut off, or is pasted)."""
    known = [*bare(lines), *([Raised(error)] if error else [])]
    return next(filter(None, (match(raised, signatures()) for raised in reversed(known))), None)


def signal_in(exit_code: int | None) -> int | None:
    """The signal that an exit code tells of; None when it tells of none."""
    if exit_code is None:
        return None
    number = -exit_code if exit_code < 0 else exit_code - SHELL
    return number if 0 < number < signal.NSIG else None


def signals(lines: Iterable[str], exit_code: int | None) -> Iterator[tuple[int, str]]:
    """(signal, what proves it) of each process that a signal ended: the run's own, then its ranks as they ended."""
    number = signal_in(exit_code)
    if number is not None:
        yield number, signal_name(number)
    for line in lines:
        ended = ENDED.search(line)
        if ended:
            yield int(next(filter(None, ended.groups()))), line.strip()


def of_signal(lines: Sequence[str], exit_code: int | None, *, last: bool) -> Diagnosis | None:
    """The first signal that ended a process and has a text; last: of those that often answer a failure elsewhere."""
    known = {one.signal: one for one in signatures() if one.signal is not None}
    for number, proof in signals(lines, exit_code):
        one = known.get(number)
        if one and (number in LAST) is last:
            return Diagnosis(one.id, proof, {"what": signal_name(number), "why": ""}, one.fix)
    return None


def signal_name(number: int) -> str:
    """SIGKILL for 9."""
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
