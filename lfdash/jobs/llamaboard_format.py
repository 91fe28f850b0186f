"""LlamaBoard's own form (its saved files) <-> JobConfig.

LlamaBoard marks "not given" by 0, "none", "" or False, and fills some arguments in from others; here that is
said once, so that a job holds only what is given.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from lfdash.jobs.args import build_args, job_from_args, row_args, same
from lfdash.jobs.fields import BY_ID, ROWS, arguments
from lfdash.jobs.job import JobConfig, coerce, new_job
from lfdash.jobs.kinds import DEFAULT, KINDS
from lfdash.jobs.stages import ADAPTER_METHODS, BY_BOARD, BY_CODE
from lfdash.outcomes import Problem, Value

ZERO_IS_OFF = ("train.val_size", "train.neftune_alpha", "train.loraplus_lr_ratio")
NONE_IS_OFF = ("export.export_quantization_bit", "top.quantization_bit", "top.rope_scaling", "train.ds_stage")
NEVER_SENT = (
    "train.project",
    "train.trackio_space_id",
    "train.hub_private_repo",
)  # drawn by LlamaBoard, not used
EXTRA_NAME = "extra_args"
EXTRA = f"train.{EXTRA_NAME}"
SCOPES = ("top.", *(f"{kind.name}." for kind in KINDS))  # of the names in its files
SILENT = (EXTRA_NAME, "config_path", "swanlab_link")  # elements that are no setting
DERIVED = ("top.model_name", "top.multimodal")
STAGE, ORPO = "train.training_stage", "ORPO"
REPORT = "train.report_to"
# Elements and words of older versions (webui/components and webui/runner.py of v0.6.3 to v0.9.1)
OLDER_IDS = {
    "top.adapter_path": "top.checkpoint_path", "train.num_layer_trainable": "train.freeze_trainable_layers",
    "train.name_module_trainable": "train.freeze_trainable_modules", "train.dpo_beta": "train.pref_beta",
    "train.dpo_ftx": "train.pref_ftx", "train.dpo_loss": "train.pref_loss",
}
OLDER_ARGUMENTS = {
    "train.optim": "optim", "train.upcast_layernorm": "upcast_layernorm", "train.shift_attn": "shift_attn",
}
OLDER_WORDS: Mapping[tuple[str, str | bool], str] = {
    ("top.quantization_method", "bitsandbytes"): "bnb", ("top.booster", "none"): "auto",
    ("top.booster", "flashattn"): "flashattn2", (REPORT, True): "all", (REPORT, False): "none",
}


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


Older = tuple[str, str, str]


@dataclass(frozen=True)
class Board:
    """What a form of LlamaBoard means.

    unfit: elements whose value cannot be ours; a number that is only outside of the form's range is among the job's
    extra arguments. unknown: elements that mean nothing to us, or are of another tab. older: words of older versions,
    as (element without its tab, that word, the one of today).
    """

    job: JobConfig
    unfit: tuple[Problem, ...] = ()
    unknown: tuple[str, ...] = ()
    older: tuple[Older, ...] = ()


def job_from_board(state: Mapping[str, Any], *, multimodal: bool = False, workers: int = 16) -> Board:
    """The job that a LlamaBoard form means, of its Train, Evaluate or Export tab and of any version from 2024 on.

    state: element id -> value as its files hold it; elements that are missing have LlamaBoard's defaults. multimodal:
    whether the model takes images. workers: preprocessing workers (LlamaBoard always sends 16).
    """
    given = {key: value for key, value in state.items() if value is not None}
    state, beside = current(given)
    kind = kind_of_state(state)
    values = dict(new_job(kind).values)
    if f"{kind}.preprocessing_num_workers" in BY_ID:
        values[f"{kind}.preprocessing_num_workers"] = workers
    if multimodal:
        values["top.multimodal"] = True
    unfit = fill(values, kind, state)
    settle(values)
    text = state.get(f"{kind}.{EXTRA_NAME}")
    try:
        extra = parse_extra(text)
    except ValueError as error:
        unfit.append(Problem(EXTRA, "not_text", {"value": str(error)}))
        extra = {}
    if text is not None or beside:
        values.pop("train.optim", None)  # LlamaBoard has it in the extra arguments, by default
    too_large = {name: value for problem in unfit for name, value in outside(problem, state).items()}
    job = with_extra(kind, values, {**too_large, **beside, **extra})
    mine = (*(f"{row.scope}.{row.name}" for row in ROWS[kind]), *(f"{kind}.{name}" for name in SILENT))
    unknown = tuple(key for key in state if key not in mine and key != "top.lang" and not key.startswith("infer."))
    return Board(job, tuple(unfit), unknown, tuple(older_words(given)))


def job_from_state(state: Mapping[str, Any], *, multimodal: bool = False, workers: int = 16) -> JobConfig:
    """As `job_from_board`, of a form whose every element fits. ValueError for another."""
    found = job_from_board(state, multimodal=multimodal, workers=workers)
    if found.unfit:
        raise ValueError(found.unfit[0].field)
    return found.job


def kind_of_state(state: Mapping[str, Any]) -> str:
    """The name of the kind of job that a form is of: the tab whose elements it holds; training where it says none."""
    tabs = [kind.name for kind in KINDS if any(key.startswith(f"{kind.name}.") for key in state)]
    return tabs[0] if tabs else DEFAULT.name


def older_words(state: Mapping[str, Any]) -> Iterator[Older]:
    """The words of older versions in a form, with those that stand for them today."""
    for key, value in state.items():
        word = OLDER_WORDS.get((OLDER_IDS.get(key, key), value)) if isinstance(value, str | bool) else None
        if (key, value) == (STAGE, ORPO):
            word = "DPO (pref_loss: orpo)"
        if word is not None:
            yield key.rpartition(".")[2], str(value).lower() if isinstance(value, bool) else value, word


def current(state: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A form in the elements and words of today, and the arguments that older versions had elements for."""
    beside = {OLDER_ARGUMENTS[key]: value for key, value in state.items() if key in OLDER_ARGUMENTS and value}
    found = {OLDER_IDS.get(key, key): value for key, value in state.items() if key not in OLDER_ARGUMENTS}
    orpo = found.pop("train.orpo_beta", None)
    if found.get(STAGE) == ORPO:
        found |= {STAGE: "DPO", "train.pref_loss": "orpo", **({} if orpo is None else {"train.pref_beta": orpo})}
    for key, value in found.items():
        if isinstance(value, str | bool):
            found[key] = OLDER_WORDS.get((key, value), value)
        elif isinstance(value, int | float) and BY_ID.get(key) is not None and BY_ID[key].kind == "choice":
            found[key] = str(value)  # bits of a quantization, DeepSpeed's stage
    loggers = found.get(REPORT)
    if isinstance(loggers, list):
        found[REPORT] = ",".join(map(str, loggers)) or "none"
        beside |= {"report_to": loggers} if len(loggers) > 1 else {}
    return found, beside


def settle(values: dict[str, Value]) -> None:
    """Fills in what LlamaBoard does when it launches, and takes out what its PPO does not use."""
    for changed in ("train.val_size", "train.use_pissa", "train.neat_packing", STAGE):
        values.update({k: v for k, v in implied(values, changed).items() if v is not None})
    if values.get(STAGE) == "ppo":
        values.pop("train.val_size", None)
        for name in ("eval_strategy", "eval_steps", "per_device_eval_batch_size"):
            values.pop(f"train.{name}", None)


def fill(values: dict[str, Value], kind: str, state: Mapping[str, Any]) -> list[Problem]:
    """Puts the elements of a form of LlamaBoard into the values of a kind of job; those that do not fit are told."""
    told = [set_value(values, row.id, state[row.id]) for row in ROWS[kind] if row.board and row.id in state]
    return [problem for problem in told if problem is not None]


def set_value(values: dict[str, Value], field_id: str, raw: Any) -> Problem | None:
    """Puts one element's value into a job's values, or takes it out where LlamaBoard means "off" or it does not fit."""
    if field_id == STAGE:
        raw = BY_BOARD[raw].code if raw in BY_BOARD else raw
    off = (field_id in ZERO_IS_OFF and raw == 0) or (field_id in NONE_IS_OFF and str(raw).lower() == "none")
    if field_id in NEVER_SENT or off:
        raw = None
    if field_id == "train.lora_target" and not raw:
        raw = "all"
    got = coerce(BY_ID[field_id], str(raw) if field_id == "top.quantization_bit" and raw is not None else raw)
    if got.value is None:
        values.pop(field_id, None)
    else:
        values[field_id] = got.value
    return got.problem


def outside(problem: Problem, state: Mapping[str, Any]) -> dict[str, Any]:
    """The argument of a number that is only outside of the form's range: LlamaBoard sends it all the same."""
    row = BY_ID.get(str(problem.field))
    if row is None or problem.code != "out_of_range" or row.to_args is not None:
        return {}
    free = replace(row, min=None, max=None)
    value = coerce(free, state[row.id]).value
    return {} if value is None else {arguments(row)[0]: value}


def parse_extra(text: Any) -> dict[str, Any]:
    """LlamaBoard's extra arguments. ValueError for what is no JSON mapping."""
    extra = json.loads(text) if isinstance(text, str) and text.strip() else {}
    if not isinstance(extra, dict):
        raise ValueError(str(text))
    return extra


def with_extra(kind: str, values: dict[str, Value], extra: Mapping[str, Any]) -> JobConfig:
    """The job with LlamaBoard's extra arguments: those that have a field become its value."""
    placed = {k: v for k, v in job_from_args(extra, kind=kind).values.items() if k not in DERIVED}
    made = build_args(JobConfig(kind, {**values, **placed}))
    left = {key: value for key, value in extra.items() if key not in made or not same(made[key], value)}
    return JobConfig(kind, {**values, **placed}, left)


def state_from_job(job: JobConfig, defaults: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """LlamaBoard's form for a job: what it has no element for goes into its extra arguments. No secrets.

    defaults: argument -> what LLaMA-Factory takes where it is not given; LlamaBoard always sends a value, and its own
    default is another one for several (8 steps of accumulation, 2 rows a device). Without them its own stand there.
    """
    state: dict[str, Any] = {}
    extra: dict[str, Any] = dict(job.extra)
    for row in ROWS[DEFAULT.name]:
        value = job.values.get(row.id)
        if row.secret or row.env or row.hidden:
            continue
        if row.board:
            state[row.id] = board_value(row.id, value, defaults or {})
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


def board_value(field_id: str, value: Value | None, defaults: Mapping[str, Any]) -> Any:
    """A value as LlamaBoard's element holds it; when it is not given, what LLaMA-Factory takes then (`defaults`),
    LlamaBoard's default or "off"."""
    row = BY_ID[field_id]
    if field_id == STAGE:
        return board_stage(str(value)) or BY_CODE["sft"].board
    if value is not None:
        return value
    if field_id in ZERO_IS_OFF:
        return 0
    if field_id in NONE_IS_OFF:
        return "none"
    if row.kind == "choices":
        return []
    taken = defaults.get(next(iter(arguments(row)), "")) if row.to_args is None else row.absent if defaults else None
    return row.default if taken is None or coerce(row, taken).status == "refused" else taken


def beside_form(job: JobConfig, lacks: Collection[str]) -> JobConfig:
    """The job with what some fields send among its extra arguments."""
    rows = [row for row in ROWS[job.kind] if row.id in lacks and job.sends(row) and arguments(row)]
    beside = {name: value for row in rows for name, value in row_args(row, job).items()}
    gone = {row.id for row in rows}
    values = {name: value for name, value in job.values.items() if name not in gone}
    return replace(job, values=values, extra={**beside, **job.extra})


def dump_state(
    job: JobConfig, defaults: Mapping[str, Any] | None = None, lacks: Collection[str] = frozenset()
) -> str:
    """`llamaboard_config.yaml` of a job. defaults: as of `state_from_job`. lacks: elements that the LlamaBoard which
    shall open it has not: it breaks off at the first. What they give goes among the extra arguments."""
    state = state_from_job(beside_form(job, lacks), defaults)
    state = {name: value for name, value in state.items() if name not in lacks}
    return yaml.safe_dump(state, allow_unicode=True)
