"""The table against LlamaBoard's own form: every input, its default, range and choices."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lfdash.jobs.field import ALWAYS, given, is_
from lfdash.jobs.fields import BY_ID, FIELDS, GROUPS, ROWS, arguments
from lfdash.jobs.llamaboard_format import NEVER_SENT, NONE_IS_OFF, ZERO_IS_OFF
from lfdash.jobs.stages import BY_BOARD
from tests.support import FIXTURES

BOARD: dict[str, dict[str, Any]] = json.loads(
    (FIXTURES / "llamaboard_elements.json").read_text(encoding="utf-8")
)
# Inputs that are no setting of a job: the language, LlamaBoard's file picker, its raw text of extra arguments
# (ours is More arguments), what it draws, and its buttons.
NO_SETTING = {
    "top.lang", "train.config_path", "train.extra_args", "train.swanlab_link", "export.extra_args", "export.export_btn",
    "export.info_box",
}
# Where "off" is a number or a word in LlamaBoard and "not given" here.
OFF = {*ZERO_IS_OFF, *NONE_IS_OFF}
# Ranges of sliders that would refuse good values as a field to type in, with ours.
WIDER = {
    "train.logging_steps", "train.save_steps", "train.warmup_steps", "eval.max_new_tokens", "eval.temperature",
    "train.val_size",
}
INPUTS = {key: element for key, element in BOARD.items() if key not in NO_SETTING}


@pytest.mark.parametrize("key", INPUTS)
def test_every_input_of_llamaboard_is_a_row(key: str) -> None:
    row, element = BY_ID[key], INPUTS[key]
    default = element.get("value")
    if key == "train.training_stage":
        assert row.default == BY_BOARD[default].code
    elif key in NEVER_SENT or (key in OFF and default in ("none", 0)):
        assert row.default is None
    elif key == "train.lora_target":
        assert row.default == "all"  # what LlamaBoard sends for its empty box
    elif default in ("none", [], "", None) and key != "train.report_to":
        assert row.default is None
    else:
        assert row.default == default or float(row.default) == float(default)  # type: ignore[arg-type]
    if key not in WIDER:
        assert row.min == element.get("minimum", row.min)
        assert row.max == element.get("maximum", row.max)
    offered = set(element.get("choices", ())) - {"none"}
    if offered and isinstance(row.choices, tuple) and key != "train.training_stage":
        assert offered <= set(row.choices)


def test_rows_that_llamaboard_lacks_say_so() -> None:
    for row in FIELDS:
        assert row.board == (row.id in INPUTS), row.id


def test_ids_and_arguments_are_set_once_a_kind() -> None:
    for rows in ROWS.values():
        names = [name for row in rows for name in arguments(row)]
        shared = {"model_name_or_path", "adapter_name_or_path"}
        assert len(names) == len(set(names)) or {name for name in names if names.count(name) > 1} <= shared
    assert len({row.id for row in FIELDS}) == len(FIELDS)


def test_every_group_that_a_row_names_is_listed() -> None:
    assert {row.group for row in FIELDS} == {group.name for group in GROUPS}


def test_what_its_users_miss_is_there() -> None:
    missed = (
        "weight_decay", "warmup_ratio", "max_steps", "eval_dataset", "eval_steps", "per_device_eval_batch_size",
        "early_stopping_steps", "save_total_limit", "save_only_model", "overwrite_output_dir", "resume_from_checkpoint",
        "disable_gradient_checkpointing", "seed", "dataloader_num_workers", "preprocessing_num_workers", "run_name",
        "wandb_project", "project",
    )
    for name in missed:
        assert BY_ID[f"train.{name}"].default is None, name


def test_conditions_are_data() -> None:
    values: dict[str, Any] = {"a": 1, "b": None}
    both = is_("a", 1, 2) & ~given("b")
    assert both.holds(values.get) and both.names == {"a", "b"}
    assert (is_("a", 5) | ALWAYS).holds(values.get)
    assert not (~ALWAYS).holds(values.get)
    assert both == is_("a", 1, 2) & ~given("b")
