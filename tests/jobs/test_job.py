"""Coercion: nothing is changed silently."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.jobs.fields import BY_ID, FIELDS
from lfdash.jobs.job import coerce, new_job

GOOD = [
    ("train.learning_rate", "5e-5", 5e-5),
    ("train.learning_rate", " 1E-4 ", 1e-4),
    ("train.learning_rate", 0.001, 0.001),
    ("train.batch_size", "4", 4),
    ("train.batch_size", 4.0, 4),
    ("train.warmup_steps", "100", 100),
    ("train.warmup_steps", "0.1", 0.1),
    ("train.training_stage", "dpo", "dpo"),
    ("top.template", "my_own", "my_own"),
    ("train.dataset", "a, b", ["a", "b"]),
    ("train.packing", "false", False),
    ("train.image_max_pixels", "768*768", "768*768"),
]
BAD = [
    ("train.learning_rate", "fast", "not_number"),
    ("train.learning_rate", "nan", "not_number"),
    ("train.learning_rate", float("nan"), "not_number"),
    ("train.learning_rate", True, "not_number"),
    ("train.learning_rate", -1.0, "out_of_range"),
    ("train.batch_size", "2.5", "not_integer"),
    ("train.batch_size", "0", "out_of_range"),
    ("train.batch_size", "99999", "out_of_range"),
    ("train.batch_size", True, "not_integer"),
    ("train.training_stage", "ppq", "not_a_choice"),
    ("train.packing", "maybe", "not_bool"),
    ("train.packing", 1, "not_bool"),
    ("train.image_max_pixels", "768x768", "not_pixels"),
    ("top.template", 7, "not_text"),
    ("train.dataset", {"a": 1}, "not_list"),
    ("train.max_samples", 2**63, "not_number"),
    ("train.wandb_project", "a\nb", "not_visible"),
    ("top.model_path", "models/a\x00b", "not_visible"),
    ("top.template", "a\u202eb", "not_visible"),
    ("train.dataset", ["a", "b\x85c"], "not_visible"),
]


@pytest.mark.parametrize(("field_id", "raw", "value"), GOOD)
def test_values_that_fit(field_id: str, raw: Any, value: Any) -> None:
    got = coerce(BY_ID[field_id], raw)
    assert (got.value, got.problem) == (value, None)
    assert type(got.value) is type(value)


@pytest.mark.parametrize(("field_id", "raw", "code"), BAD)
def test_values_that_do_not(field_id: str, raw: Any, code: str) -> None:
    got = coerce(BY_ID[field_id], raw)
    assert got.status == "refused"
    assert got.value is None
    assert got.problem is not None
    assert (got.problem.field, got.problem.code) == (field_id, code)
    assert got.problem.params["value"] is raw or got.problem.params["value"] == raw or raw == 2**63


@pytest.mark.parametrize("field_id", ["train.batch_size", "train.max_samples", "train.learning_rate", "train.val_size"])
@pytest.mark.parametrize(
    "raw", ["9" * 5000, "-" + "9" * 5000, 10**5000, -(10**5000)], ids=["text", "-text", "int", "-int"]
)
def test_endless_numbers_are_refused_in_few_words(field_id: str, raw: Any) -> None:
    got = coerce(BY_ID[field_id], raw)
    assert got.problem is not None
    assert len(str(got.problem.params["value"])) < 90


def test_the_largest_number_fits() -> None:
    assert coerce(BY_ID["train.max_samples"], str(2**63 - 1)).value == 2**63 - 1


@pytest.mark.parametrize("raw", [None, "", []])
def test_empty_means_not_given(raw: Any) -> None:
    assert all(coerce(row, raw).value is None for row in FIELDS)


@given(
    st.sampled_from(FIELDS), st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())
)
def test_any_value_is_kept_equal_or_refused(row: Any, raw: Any) -> None:
    got = coerce(row, raw)
    if got.status == "kept" and got.value is not None:
        assert got.value == raw
    if got.status == "refused":
        assert got.value is None
        assert got.problem is not None


def test_defaults_fit_their_own_fields() -> None:
    for field_id, value in new_job().values.items():
        got = coerce(BY_ID[field_id], value)
        assert (got.status, got.value) == ("kept", value)
