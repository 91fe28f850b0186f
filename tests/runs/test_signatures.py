"""The table of known causes: its form, and that no line makes its patterns work long."""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Iterator
from re import _constants as code
from re import _parser as parser
from typing import Any

import pytest

from lfdash.runs.diagnose import LONGEST, SIGNATURES, Signature, diagnose, signatures
from lfdash.runs.report import UNBEGUN
from tests.support.failure_texts import healthy, texts

ROWS: dict[str, dict[str, Any]] = tomllib.loads(SIGNATURES.read_text(encoding="utf-8"))
KEYS = {"pattern", "within", "anywhere", "vague", "peer", "signal", "set", "source"}
REPEATS = (code.MAX_REPEAT, code.MIN_REPEAT)
SMALL = 8  # a repetition of at most so many is none
SECONDS = 0.5  # for one pattern on one line; measured: 0.02


@pytest.mark.parametrize("name", ROWS)
def test_a_row_says_what_it_looks_for_and_where_it_was_met(name: str) -> None:
    row = ROWS[name]
    assert set(row) <= KEYS
    assert row["source"].strip()
    assert ("pattern" in row or "signal" in row) is (name not in UNBEGUN.values())  # found by another row
    assert set(re.compile(row.get("pattern", "")).groupindex) <= {*(f"what{n or ''}" for n in range(10)), "why"}


def test_what_counts_outside_of_exceptions_is_a_small_set_that_no_healthy_log_has() -> None:
    anywhere = [one for one in signatures() if one.anywhere]
    assert {one.id for one in anywhere} == {
        "invalid_argument", "own_package", "shared_memory", "nccl_timeout", "chat_port_taken",
        "host_memory", "segfault", "bus_error", "illegal_instruction",
        "ray_node", "ray_no_place", "ray_no_ray", "ray_part", "setup_line",
    }
    for path in healthy():
        for line in path.read_text(errors="replace").splitlines():
            assert not any(one.pattern and one.pattern.search(line) for one in anywhere), line


def tree(pattern: str) -> Any:
    """What a regular expression is made of."""
    return parser.parse(pattern)


def parts(node: Any) -> Iterator[tuple[Any, Any]]:
    """All parts of an expression with what is inside them."""
    for op, value in node:
        yield op, value
        for inner in inside(op, value):
            yield from parts(inner)


def inside(op: Any, value: Any) -> list[Any]:
    """The expressions within one part."""
    if op in REPEATS:
        return [value[2]]
    if op is code.BRANCH:
        return list(value[1])
    if op is code.SUBPATTERN:
        return [value[3]]
    return [value[1]] if op in (code.ASSERT, code.ASSERT_NOT) else []


def nested(pattern: str) -> bool:
    """Whether something that may repeat often repeats within another that does: then a line may take for ever."""
    often = [value for op, value in parts(tree(pattern)) if op in REPEATS and value[1] > SMALL]
    return any(op in REPEATS and inner[1] > SMALL for value in often for op, inner in parts(value[2]))


@pytest.mark.parametrize("pattern", [r"(?:a+)+b", r"(?:\w{0,40},){0,99}x"])
def test_a_repetition_in_a_repetition_is_found(pattern: str) -> None:
    assert nested(pattern)


@pytest.mark.parametrize("name", ROWS)
def test_no_pattern_repeats_a_repetition(name: str) -> None:
    for key in ("pattern", "within"):
        assert not nested(ROWS[name].get(key, ""))


def example(node: Any, times: int) -> str:
    """A text that an expression matches, its repetitions `times` long where they may be."""
    return "".join(piece(op, value, times) for op, value in node)


def piece(op: Any, value: Any, times: int) -> str:
    """The same for one part of it."""
    if op in REPEATS:
        return example(value[2], times) * max(value[0], min(value[1], times))
    if op is code.BRANCH:
        return example(value[1][times % len(value[1])], times)
    if op is code.SUBPATTERN:
        return example(value[3], times)
    if op is code.LITERAL:
        return chr(value)
    return one_of(value) if op is code.IN else "" if op in (code.AT, code.ASSERT, code.ASSERT_NOT) else "x"


def one_of(members: Any) -> str:
    """A character of a set."""
    op, value = members[0]
    if op is code.LITERAL:
        return chr(value)
    return chr(value[0]) if op is code.RANGE else "1" if value in (code.CATEGORY_DIGIT, code.CATEGORY_WORD) else "x"


def hostile(pattern: str) -> Iterator[str]:
    """Lines of a megabyte that begin like a match again and again and never end like one."""
    for times in (0, 1, 300):
        whole = example(tree(pattern), times)
        for begun in {whole[: len(whole) * share // 4] for share in range(1, 5)} | {whole[:-1]}:
            if begun:
                yield begun * (2**20 // len(begun))


@pytest.mark.parametrize("one", [one for one in signatures() if one.pattern], ids=lambda one: one.id)
def test_a_hostile_line_is_looked_at_in_bounded_time(one: Signature) -> None:
    assert one.pattern
    for line in [*hostile(one.pattern.pattern), "1" * 2**20, "a" * 2**20, " " * 2**20, "'a" * 2**19]:
        before = time.process_time()
        one.pattern.search(line[:LONGEST])
        assert time.process_time() - before < SECONDS, line[:200]


def test_a_hostile_exception_is_diagnosed_in_bounded_time() -> None:
    before = time.process_time()
    for line in ("CUDA out of memory. Process 1 has 1 ", "JSON parse error: Column(/", "[rank0]: ", "E: " * 3, "{'"):
        hostile_line = line * (2**20 // len(line))
        diagnose(["Traceback (most recent call last):", f"ValueError: {hostile_line}", hostile_line], 1)
        diagnose([hostile_line], 1)
    assert time.process_time() - before < 5


def test_every_list_of_failures_says_where_they_are_from() -> None:
    for name in ("issues", "runs", "gpu", "cases", "held_out", "held_out_2"):
        assert all(text.source and text.why for text in texts(name))
    for name in ("issues", "held_out", "held_out_2"):
        assert all(text.source.startswith("https://github.com/") for text in texts(name))
