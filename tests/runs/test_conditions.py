"""Conditions as they are typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.runs.conditions import OPERATORS, Condition, parse, split, without
from lfdash.runs.details import RunDetails
from tests.runs.test_table import row

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./\-]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=10)
CONDITIONS = st.builds(Condition, NAMES, st.sampled_from(OPERATORS), VALUES)
WORDS = st.lists(st.from_regex(r"[a-z0-9\-]{1,6}", fullmatch=True), max_size=3).map(" ".join)


@given(CONDITIONS)
def test_a_condition_is_read_as_it_was_written(condition: Condition) -> None:
    assert parse(str(condition)) == condition


@given(st.lists(CONDITIONS, max_size=3), WORDS)
def test_conditions_stand_among_words(conditions: list[Condition], words: str) -> None:
    text = " ".join([words, *map(str, conditions)])
    found = split(text)
    assert found.conditions == tuple(conditions) and found.words == words.strip()
    for condition in conditions:
        text = without(text, condition)
    assert split(text).conditions == () and split(text).words == words.strip()


ROW = row(
    "run-7", best=0.5, best_eval=None,
    details=RunDetails({"lora_rank": 16, "learning_rate": 5e-05, "packing": True, "optim": "adamw_torch",
        "dataset": "a, b"},
                       {"predict_rouge-1": 31.5}),
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("lora_rank>8", True), ("lora_rank > 8", True), ("lora_rank>16", False), ("lora_rank>=16", True),
        ("lora_rank<=8", False),
        ("lora_rank=16.0", True), ("lora_rank!=16", False), ("learning_rate=0.00005", True), ("learning_rate<1e-4",
            True),
        ("packing=true", True), ("packing=1", False), ("packing>0", False), ("optim=AdamW_torch", True),
        ("optim~adam", True),
        ("optim=adam", False), ("dataset=b", True), ("dataset=c", False), ("predict_rouge-1>30", True),
        ("best_loss<1", True),
        ("eval_loss<9", False), ("eval_loss!=9", True), ("name=run-7", True), ("nothing=1", False), ("nothing!=1",
            True),
        ('model="m"', True), ("lora_rank>nan", False), ("model=m", True), ("stage~f", True),
    ],
)
def test_what_holds(text: str, holds: bool) -> None:
    condition = parse(text)
    assert condition is not None and condition.holds(ROW) is holds


@pytest.mark.parametrize("text", ["lora_rank>", "lora_rank >= ", 'note="half', "qwen lora_rank="])
def test_one_that_is_being_typed_is_no_word_yet(text: str) -> None:
    assert split(text).conditions == () and split(text).words in ("", "qwen")


@pytest.mark.parametrize("text", ["qwen", "", "a=1 b", "a=1 b=2", "=3"])
def test_what_is_no_condition(text: str) -> None:
    assert parse(text) is None


def test_states_and_tags_are_named_as_the_page_has_them() -> None:
    found = row("a", tags=("keep", "paper"))
    for text in ("state=FINISHED", "state=finished", "state=SUCCEEDED", "tag=keep", "tags=paper", "state!=LOST"):
        assert (condition := parse(text)) is not None and condition.holds(found), text
    assert (other := parse("tag=lost")) is not None and not other.holds(found)
