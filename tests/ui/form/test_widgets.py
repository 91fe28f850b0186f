"""From a field to a widget: what an empty one shows, and the raw form of a value."""

from __future__ import annotations

import pytest

from lfdash.jobs.fields import BY_ID, FIELDS
from lfdash.outcomes import Value
from lfdash.ui.form.widgets import Appearance, is_given, number_text, placeholder, shown_help, to_raw, with_current


def test_numbers_are_written_as_people_write_them() -> None:
    assert [number_text(n) for n in (5e-5, 1e-10, 0.1, 3.0, 1e16)] == ["5e-5", "1e-10", "0.1", "3.0", "1e16"]
    rows = {row.id: row for row in FIELDS}
    assert to_raw(rows["train.learning_rate"], 5e-5) == "5e-5"
    assert to_raw(rows["train.dataset"], None) == []
    assert to_raw(rows["train.packing"], None) is None


@pytest.mark.parametrize(
    ("default", "shown"),
    [(5e-5, "default: 5e-5"), (8, "default: 8"), (0, "default: 0"), (None, "not set"), ("", "not set"),
     ([], "not set")],
)
def test_an_empty_widget_shows_the_default_that_will_be_used(default: Value | None, shown: str) -> None:
    row = BY_ID["train.learning_rate"]
    assert placeholder(row, Appearance("train", default=default)) == shown


def test_the_default_of_a_choice_is_the_word_that_is_offered() -> None:
    assert placeholder(BY_ID["train.training_stage"], Appearance("train", default="dpo")) == "default: DPO"


def test_a_value_that_is_not_offered_is_kept_among_the_options() -> None:
    offered = ["a", "b"]
    assert with_current(offered, "gone") == ["a", "b", "gone"] and offered == ["a", "b"]
    assert with_current(offered, "a") == with_current(offered, None) == offered


def test_nothing_given_is_not_the_same_as_off_or_zero() -> None:
    assert [is_given(raw) for raw in (None, "", [], False, "0", ["a"])] == [False, False, False, True, True, True]


def test_the_help_names_the_argument_and_says_why_a_field_is_disabled() -> None:
    said = shown_help(BY_ID["train.learning_rate"], Appearance("train", reason="Not now"))
    assert "`learning_rate`" in said and said.endswith("Not now")
