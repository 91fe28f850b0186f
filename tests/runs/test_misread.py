"""Conditions that nobody can mean are told, with names that may have been meant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lfdash.runs.conditions import split
from lfdash.runs.details import RunDetails
from lfdash.runs.misread import misread
from tests.runs.test_table import row

ROWS = [
    replace(row("a"), details=RunDetails({"lora_rank": 8, "learning_rate": 1e-4, "note_file": "x"}, {"rouge-l": 3.0})),
    row("b"),
]


@pytest.mark.parametrize(
    ("text", "code", "near"),
    [
        ("foo>3", "condition_name", None), ("Foo!=3", "condition_name", None),
        ("learn_rate<1", "condition_name_near", "learning_rate"), ("rank=8", "condition_name_near", "lora_rank"),
        ("Loss<1", "condition_name_near", "loss"), ("rouge>1", "condition_name_near", "rouge-l"),
        ("learning_rate>abc", "condition_value", None), ("loss<1e-4x", "condition_value", None),
        ("model>3", "condition_words", None), ("note_file>=3", "condition_words", None),
    ],
)
def test_what_is_amiss(text: str, code: str, near: str | None) -> None:
    found = misread(split(text).conditions, ROWS)
    assert [problem.code for problem in found] == [code]
    assert near is None or near in found[0].params["near"]


@pytest.mark.parametrize(
    "text",
    ["lora_rank>8", "lora_rank=eight", "loss<1e", "loss<-", "loss<1e-", "loss<.", "eval_loss<9", "model=m", "rouge-l>1",
     "note~x", "note>3", "words"],
)
def test_what_can_be_meant(text: str) -> None:
    assert misread(split(text).conditions, ROWS) == []


def test_each_condition_is_told_once() -> None:
    assert len(misread(split("foo>3 foo>3 bar>1").conditions, ROWS)) == 2
