"""`lfdash sees`: the same as the page shows, in a terminal and for a program."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from lfdash.engine import sees as asking
from lfdash.llamafactory.sees import Sample, Seen, Side, Token
from lfdash.outcomes import Refused
from tests.support.terminal import DEMO, lfdash

TOKENS = (
    Token(1, "Hi\x1b[31m", "user", "masked", False), Token(2, " yo", "assistant", "trained", False),
    Token(3, "u", "assistant", "cut", False), Token(4, "</s>", "end", "trained", True, 9),
)
SIDE = Side("", TOKENS, (("cut", {"count": 1, "answers": 1, "of": 4}), ("end_masked", {})))
SAMPLE = Sample((4,), (SIDE,), ((("user", "Hi"), ("assistant", " you")),), {})
SEEN = Seen("sft", 128, False, 10, 6, (SAMPLE,), ((0, "invalid"),), 3)


def test_for_a_person_and_for_a_program(workspace: Path) -> None:
    with mock.patch.object(asking, "see", return_value=SEEN) as asked:
        said = lfdash("sees", DEMO, "--rows", "2", "--set", "cutoff_len=77")
        program = lfdash("sees", DEMO, "--json").json
    assert said.code == 0 and asked.call_args_list[0].args[3] == 2
    assert asked.call_args_list[0].args[2]["cutoff_len"] == 77
    assert "Hi�[31m[ yo]~u~[</s>]" in said.out  # nothing that a terminal would obey
    for words in ("training rows: 5", "3 tokens: 2 trained on, 1 masked; 1 cut off", "row 1 is left out"):
        assert words in said.out
    assert "! The end-of-turn token is masked" in said.out and "last 3 tokens" in said.out
    tokens = program["samples"][0]["sides"][0]["tokens"]
    assert tokens[1] == [2, " yo", "assistant", "trained", False, None] and program["cutoff"] == 128


def test_a_row_that_is_too_long_is_named_with_its_size(workspace: Path) -> None:
    found = Seen("sft", 128, False, 10, 6, (), large=((2, 9_900_000),))
    with mock.patch.object(asking, "see", return_value=found):
        said = lfdash("sees", DEMO)
        program = lfdash("sees", DEMO, "--json").json
    assert "Training row 3 is not shown: 9,900,000 characters" in said.out and "No row is left" not in said.out
    assert program["large"] == [[2, 9_900_000]] and program["few"] == 0


@pytest.mark.parametrize("rows", ["0", "51", "x"])
def test_so_many_rows_are_not_shown(workspace: Path, rows: str) -> None:
    assert lfdash("sees", DEMO, "--rows", rows).code == 2


def test_a_refusal_is_told(workspace: Path) -> None:
    with mock.patch.object(asking, "see", return_value=Refused("asked_time", {"reason": "3"})):
        said = lfdash("sees", DEMO)
    assert said.code == 1 and "3" in said.err and said.out == ""
