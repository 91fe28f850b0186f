"""LlamaBoard's own form (its saved files) <-> JobConfig.

LlamaBoard marks "not given" by 0, "none", "" or False, and fills some arguments in from others; here that is
said once, so that a job holds only what is given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from lfdash.jobs.args import build_args, job_from_args, same
from lfdash.jobs.fields import BY_ID, ROWS
from lfdash.jobs.job import JobConfig, coerce, new_job
from lfdash.jobs.kinds import DEFAULT
from lfdash.jobs.stages import ADAPTER_METHODS, BY_BOARD, BY_CODE
from lfdash.outcomes import Value

ZERO_IS_OFF = ("train.val_size", "train.neftune_alpha", "train.loraplus_lr_ratio")
NONE_IS_OFF = ("export.export_quantization_bit", "top.quantization_bit", "top.rope_scaling", "train.ds_stage")
NEVER_SENT = (
    "train.project",
    "train.trackio_space_id",
    "train.hub_private_repo",
)  # drawn by LlamaBoard, not used
EXTRA = "train.extra_args"
DERIVED = ("top.model_name", "top.multimodal")
STAGE = "train.training_stage"


def implied(values: Mapping[str, Value], changed: str) -> dict[str, Value | None]:
    """What LlamaBoard fills in when a field changes: other fields -> their value, where they are not given.

    Evaluation follows a validation split, PiSSA is converted back, neat packing packs, and the kind of reward
    model follows the method. Source: _parse_train_args in llamafactory/webui/runner.py.
    """
    filled: dict[str, Value | None] = {}
    value = values.get(changed)
    if changed == "train.val_size" and isinstance(value, int | float) and value > 1e-6:
        filled["train.eval_strategy"] = "steps"
        filled["train.eval_steps"] = values.get("train.save_steps")
        filled["train.per_device_eval_batch_size"] = values.get("train.batch_size")
    if changed == "train.use_pissa":
        filled["train.pissa_convert"] = value
    if changed == "train.neat_packing" and value is True:
        filled["train.packing"] = True
    if changed in (STAGE, "top.finetuning_type") and values.get(STAGE) == "ppo":
        filled["train.reward_model_type"] = "lora" if values.get("top.finetuning_type", "lora") == "lora" else "full"
    return {key: new for key, new in filled.items() if new is not None}


def job_from_state(state: Mapping[str, Any], *, multimodal: bool = False, workers: int = 16) -> JobConfig:
    """The job that a LlamaBoard form means. Elements that are missing have LlamaBoard's defaults.

    state: element id -> value as its files hold it. multimodal: whether the model takes images. workers:
    preprocessing workers (LlamaBoard always sends 16). ValueError when a number or the extra arguments
    cannot be read, as LlamaBoard itself fails then.
    """
    values = dict(new_job().values)
    values["train.preprocessing_num_workers"] = workers
    if multimodal:
        values["top.multimodal"] = True
    fill(values, DEFAULT.name, state)
    for changed in ("train.val_size", "train.use_pissa", "train.neat_packing", STAGE):
        values.update({k: v for k, v in implied(values, changed).items() if v is not None})
    if values.get(STAGE) == "ppo":
        values.pop("train.val_size", None)
        for name in ("eval_strategy", "eval_steps", "per_device_eval_batch_size"):
            values.pop(f"train.{name}", None)
    return with_extra(values, state.get(EXTRA))


def fill(values: dict[str, Value], kind: str, state: Mapping[str, Any]) -> None:
    """Puts the elements of a form of LlamaBoard into the values of a kind of job."""
    for row in ROWS[kind]:
        if row.board and row.id in state:
            set_value(values, row.id, state[row.id])


def set_value(values: dict[str, Value], field_id: str, raw: Any) -> None:
    """Puts one element's value into a job's values, or takes it out where LlamaBoard means "off"."""
    if field_id == STAGE:
        raw = BY_BOARD[raw].code if raw in BY_BOARD else raw
    off = (field_id in ZERO_IS_OFF and raw == 0) or (field_id in NONE_IS_OFF and raw == "none")
    if field_id in NEVER_SENT or off:
        raw = None
    if field_id == "train.lora_target" and not raw:
        raw = "all"
    got = coerce(BY_ID[field_id], str(raw) if field_id == "top.quantization_bit" and raw is not None else raw)
    if got.status == "refused":
        raise ValueError(f"{field_id}: {raw!r}")
    if got.value is None:
        values.pop(field_id, None)
    else:
        values[field_id] = got.value


def with_extra(values: dict[str, Value], text: Any) -> JobConfig:
    """The job with LlamaBoard's extra arguments: those that have a field become its value."""
    extra = json.loads(text) if isinstance(text, str) and text.strip() else {}
    if not isinstance(extra, dict):
        raise ValueError(f"{EXTRA}: not a mapping")
    if text is not None:
        values.pop("train.optim", None)  # LlamaBoard has it in the extra arguments, by default
    placed = {k: v for k, v in job_from_args(extra).values.items() if k not in DERIVED}
    made = build_args(JobConfig(DEFAULT.name, {**values, **placed}))
    left = {key: value for key, value in extra.items() if key not in made or not same(made[key], value)}
    return JobConfig(DEFAULT.name, {**values, **placed}, left)


def state_from_job(job: JobConfig) -> dict[str, Any]:
    """LlamaBoard's form for a job: what it has no element for goes into its extra arguments. No secrets."""
    state: dict[str, Any] = {}
    extra: dict[str, Any] = dict(job.extra)
    for row in ROWS[DEFAULT.name]:
        value = job.values.get(row.id)
        if row.secret or row.env or row.hidden:
            continue
        if row.board:
            state[row.id] = board_value(row.id, value)
        elif value is not None and job.sends(row) and row.id != "train.preprocessing_num_workers":
            extra[row.name if row.arg is None else row.arg] = value
    if job.get("top.finetuning_type") not in ADAPTER_METHODS:
        chosen = state.get("top.checkpoint_path")
        state["top.checkpoint_path"] = chosen[0] if isinstance(chosen, list) and chosen else None
    extra |= beyond_board(job)
    state[EXTRA] = json.dumps(extra, ensure_ascii=False)
    state.pop("train.output_dir", None)  # LlamaBoard keeps neither of these in its files
    state.pop("top.model_path", None)
    return state


def beyond_board(job: JobConfig) -> dict[str, Any]:
    """The arguments of a stage that LlamaBoard lacks: its form stands on SFT then and sends none of them, but takes
    its extra arguments after all others."""
    stage = str(job.values.get(STAGE))
    if stage not in BY_CODE or board_stage(stage):
        return {}
    sent = build_args(JobConfig(job.kind, {**job.values, STAGE: "sft"}, job.extra))
    return {name: value for name, value in build_args(job).items() if name not in sent or sent[name] != value}


def board_stage(code: str) -> str:
    """LlamaBoard's name of a stage; "" when it has none."""
    return BY_CODE[code].board if code in BY_CODE else ""


def board_value(field_id: str, value: Value | None) -> Any:
    """A value as LlamaBoard's element holds it; its default or "off" when it is not given."""
    if field_id == STAGE:
        return board_stage(str(value)) or BY_CODE["sft"].board
    if value is not None:
        return value
    if field_id in ZERO_IS_OFF:
        return 0
    if field_id in NONE_IS_OFF:
        return "none"
    if BY_ID[field_id].kind == "choices":
        return []
    return BY_ID[field_id].default


def dump_state(job: JobConfig) -> str:
    """`llamaboard_config.yaml` of a job."""
    return yaml.safe_dump(state_from_job(job), allow_unicode=True)
