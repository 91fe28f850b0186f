"""The builder against the installed LlamaBoard: the same arguments for thousands of states of its form."""

from __future__ import annotations

import json
import random
import subprocess
from typing import Any

import pytest
import yaml

from lfdash.jobs.args import build_args, build_env, job_from_args, secret_names
from lfdash.jobs.fields import BY_ID, ROWS
from lfdash.jobs.job import JobConfig, new_job
from lfdash.jobs.llamaboard_format import (
    dump_state,
    fill,
    implied,
    job_from_board,
    job_from_state,
    state_from_job,
)
from lfdash.jobs.stages import ADAPTER_METHODS, METHODS, STAGES
from lfdash.llamafactory.locate import Cli
from tests.support import FIXTURES, PROGRAMS

ORACLE = PROGRAMS / "board_oracle.py"
CASES = FIXTURES / "oracle_cases.jsonl"
STATES = 4000
SEED = 20261123
EXTRAS = (
    {"optim": "adamw_torch"},
    {},
    {"weight_decay": 0.01, "seed": 7},
    {"warmup_ratio": 0.1, "lr_scheduler_kwargs": {"min_lr": 1e-6}},
    {"save_total_limit": 2, "save_only_model": True, "group_by_length": False},
    {"eval_dataset": "a,b", "max_steps": 30},
)
MODELS = ("Qwen2.5-7B-Instruct", "Qwen2-VL-7B-Instruct", "LLaVA-1.5-7B-Chat", "Custom", "Llama-3.1-8B")
NAMES = ("run1", "my run", "train_2024-01-02-03-04-05", "прогон", "some/where/else")
# What LlamaBoard keeps although it is False (llamafactory/webui/common.py, _clean_cmd).
KEPT_FALSE = {
    "packing", "enable_thinking", "use_reentrant_gc", "double_quantization",
    "freeze_vision_tower", "freeze_multi_modal_projector",
}
# Arguments in which we differ on purpose; each is checked in `differs_as_meant`.
ON_PURPOSE = {"trust_remote_code", "deepspeed", "swanlab_api_key"}


def cleaned(args: dict[str, Any]) -> dict[str, Any]:
    """Without what LlamaBoard drops before it runs."""
    return {
        key: value
        for key, value in args.items()
        if key in KEPT_FALSE or (value is not None and value is not False and value != "")
    }


def random_state(dice: random.Random) -> dict[str, Any]:
    """A full state of LlamaBoard's form: every element it reads, each with a value it can have."""
    state = {row.id: random_value(dice, row.id) for row in ROWS["train"] if row.board}
    state["train.training_stage"] = dice.choice(STAGES).board
    state["top.finetuning_type"] = dice.choice(METHODS)
    state["top.model_name"] = dice.choice(MODELS)
    state["top.model_path"] = dice.choice(("org/model", "models/local", "/data/model"))
    state["top.template"] = dice.choice(("default", "qwen", "llama3"))
    state["train.dataset"] = dice.sample(["a", "b", "identity"], dice.randint(0, 3))
    state["train.output_dir"] = dice.choice(NAMES)
    state["train.extra_args"] = json.dumps(dice.choice(EXTRAS))
    chosen = dice.sample(NAMES, dice.randint(0, 2))
    rewards = dice.sample(NAMES, dice.randint(1, 2))
    if state["top.finetuning_type"] not in ADAPTER_METHODS:
        chosen, rewards = chosen[:1], rewards[:1]
    single = state["top.finetuning_type"] not in ADAPTER_METHODS
    state["top.checkpoint_path"] = (chosen[0] if chosen else None) if single else chosen
    state["train.reward_model"] = rewards[0] if single else rewards
    return state


def random_value(dice: random.Random, field_id: str) -> Any:
    row = BY_ID[field_id]
    off = {"train.val_size": 0, "train.neftune_alpha": 0, "train.loraplus_lr_ratio": 0}
    if field_id in off and dice.random() < 0.5:
        return 0
    if field_id in ("top.quantization_bit", "top.rope_scaling", "train.ds_stage") and dice.random() < 0.5:
        return "none"
    if field_id == "train.val_size":
        return dice.choice((0.1, 0.001, 1))
    if row.kind == "bool":
        return dice.random() < 0.5
    if row.kind == "int":
        low = int(row.min or 0)
        return dice.randint(low, int(min(row.max or low + 100, low + 100)))
    if row.kind == "float":
        top = min(row.max or 100.0, 100.0)
        return dice.choice((round(dice.uniform(float(row.min or 0), top), 4), row.default or 1.0))
    if row.kind == "choice" and isinstance(row.choices, tuple):
        return dice.choice(row.choices)
    if field_id.endswith("_pixels"):
        return dice.choice(("768*768", "589824", "32*32"))
    return dice.choice(("", "x", "all")) if row.kind == "text" else []


def ours(state: dict[str, Any], *, multimodal: bool) -> tuple[dict[str, Any], dict[str, str], tuple[str, ...]]:
    """What we make of a state: arguments, environment, names of secrets."""
    state = dict(state)
    for field_id in ("top.checkpoint_path", "train.reward_model"):
        if isinstance(state.get(field_id), str):
            state[field_id] = [state[field_id]]
    job = job_from_state(state, multimodal=multimodal)
    return build_args(job), build_env(job), secret_names(job)


def eval_differs_as_meant(theirs: dict[str, Any], got: dict[str, Any]) -> None:
    """In evaluation too remote code is a choice; everything else that is sent is the same."""
    left, right = cleaned(got), cleaned({k: v for k, v in theirs.items() if k not in ("cache_dir",)})
    assert right.pop("trust_remote_code") is True
    assert left == right


def differs_as_meant(state: dict[str, Any], theirs: dict[str, Any], got: dict[str, Any], env: dict[str, str]) -> None:
    """Each difference on purpose is exactly the one that is meant."""
    assert theirs["trust_remote_code"] is True
    assert "trust_remote_code" not in got
    assert "swanlab_api_key" not in got
    if "deepspeed" in theirs:
        assert got["deepspeed"] == theirs["deepspeed"].replace("llamaboard_cache", "deepspeed")
        assert env["FORCE_TORCHRUN"] == "1"
    else:
        assert "deepspeed" not in got
    for key, value in json.loads(state["train.extra_args"] or "{}").items():
        assert got[key] == value  # applied last, False kept
    for key, value in got.items():
        if value is False and key not in KEPT_FALSE and key in theirs:
            assert theirs[key] is False  # an active field is sent as it is; LlamaBoard drops it


def compare(state: dict[str, Any], result: dict[str, Any]) -> None:
    got, env, _ = ours(state, multimodal=result["multimodal"])
    differs_as_meant(state, result["args"], got, env)
    left, right = cleaned(got), cleaned(result["args"])
    for key in ON_PURPOSE | set(json.loads(state["train.extra_args"] or "{}")):
        left.pop(key, None)
        right.pop(key, None)
    assert left == right


def export_state(dice: random.Random) -> dict[str, Any]:
    """A state of the Export tab that LlamaBoard accepts."""
    method = dice.choice(METHODS)
    bits = dice.choice(["none", "none", "8", "4"])
    chosen = [] if bits != "none" else dice.sample(NAMES, dice.randint(1, 2))
    single = method not in ADAPTER_METHODS
    return {
        "top.model_name": dice.choice(MODELS), "top.model_path": "org/model", "top.finetuning_type": method,
        "top.template": "qwen", "top.checkpoint_path": (chosen[0] if chosen else "") if single else chosen,
        "export.export_size": dice.randint(1, 100), "export.export_quantization_bit": bits,
        "export.export_quantization_dataset": "data/c4_demo.jsonl",
        "export.export_device": dice.choice(["cpu", "auto"]),
        "export.export_legacy_format": dice.random() < 0.5, "export.export_dir": "models/out",
        "export.export_hub_model_id": dice.choice(["", "me/mine"]),
    }


Answers = list[tuple[dict[str, Any], dict[str, Any]]]  # states of LlamaBoard's form, and what it makes of them
MAKERS = {"train": (random_state, STATES), "export": (export_state, 60)}


@pytest.fixture(scope="module")
def answers(preloaded: Cli, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answers]:
    """Random states of a form and what the installed LlamaBoard makes of them; all are asked in one process."""
    states = {}
    for name, (make, count) in MAKERS.items():
        dice = random.Random(SEED)
        states[name] = [make(dice) for _ in range(count)]
    folder = tmp_path_factory.mktemp("board")
    lines = [json.dumps(state) for some in states.values() for state in some]
    (folder / "states.jsonl").write_text("".join(f"{line}\n" for line in lines))
    command = [preloaded.python, str(ORACLE), str(folder / "states.jsonl"), str(folder / "results.jsonl")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    results = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert len(results) == len(lines)
    rest = iter(results)
    return {name: [(state, next(rest)) for state in some] for name, some in states.items()}


def filled(kind: str, given: dict[str, Any], state: dict[str, Any]) -> JobConfig:
    """A form that is filled in as LlamaBoard's is. given: what it holds beside LlamaBoard's defaults."""
    values = {**new_job(kind).values, **given}
    fill(values, kind, state)
    return JobConfig(kind, values)


@pytest.mark.train_env
def test_exports_give_the_same_arguments(answers: dict[str, Answers]) -> None:
    for state, result in answers["export"]:
        theirs = result["args"]
        assert theirs.pop("trust_remote_code") is True  # a choice here
        chosen = state["top.checkpoint_path"]
        ours = {**state, "top.checkpoint_path": [chosen] if isinstance(chosen, str) and chosen else chosen or []}
        job = filled("export", {}, ours)
        assert cleaned(build_args(job)) == cleaned(theirs)
        assert build_args(job_from_args(build_args(job))) == build_args(job)


@pytest.mark.train_env
def test_thousands_of_states_give_the_same_arguments(answers: dict[str, Answers]) -> None:
    seen = set()
    for state, result in answers["train"]:
        assert "args" in result, (result, state)
        compare(state, result)
        seen.add((state["train.training_stage"], state["top.finetuning_type"], result["multimodal"]))
    assert len(seen) == len(STAGES) * len(METHODS) * 2  # every stage, method, text and multimodal


def recorded() -> list[dict[str, Any]]:
    """The 300 recorded cases: id, state (what differs from the defaults), expected."""
    return [json.loads(line) for line in CASES.read_text(encoding="utf-8").splitlines()]


def test_recorded_evaluations() -> None:
    compared = 0
    for case in recorded():
        expected = case["expected"]
        if case["mode"] != "eval" or expected["args"] is None or expected["error"]:
            continue
        state = dict(case["state"])
        if isinstance(state.get("top.checkpoint_path"), str):
            state["top.checkpoint_path"] = [state["top.checkpoint_path"]]
        job = filled("eval", {"eval.preprocessing_num_workers": 16}, state)
        eval_differs_as_meant(expected["args"], build_args(job))
        compared += 1
    assert compared == 46


def odd(case: dict[str, Any]) -> bool:
    """A state whose extra arguments clash with the form: LlamaBoard lets the form win in part (DECISIONS.md)."""
    try:
        extra = json.loads(case["state"].get("train.extra_args") or "{}")
    except ValueError:
        return True
    return not isinstance(extra, dict) or bool({"finetuning_type", "trust_remote_code", "deepspeed"} & set(extra))


def test_recorded_cases() -> None:
    compared = refused = 0
    for case in recorded():
        expected = case["expected"]
        if case["mode"] != "train" or expected["args"] is None or expected["error"] or odd(case):
            refused += 1
            continue
        extra = str(case["state"].get("train.extra_args"))
        multimodal = "video_min_pixels" in expected["args"] and "video_min_pixels" not in extra
        state = {"train.extra_args": '{"optim": "adamw_torch"}', **case["state"]}
        got, env, _ = ours(state, multimodal=multimodal)
        differs_as_meant(state, expected["args"], got, env)
        left, right = cleaned(got), cleaned(expected["args"])
        for key in ON_PURPOSE | {"cache_dir"} | set(json.loads(state["train.extra_args"] or "{}")):
            left.pop(key, None)
            right.pop(key, None)
        assert left == right, case["id"]
        compared += 1
    assert compared == 213  # the others: evaluation, refused states, clashing extra arguments
    assert compared + refused == 300


def test_the_swanlab_key_is_a_secret_only() -> None:
    state = {"train.use_swanlab": True, "train.swanlab_api_key": "hush", "top.model_path": "m"}
    got, env, secrets = ours(state, multimodal=False)
    assert secrets == ("SWANLAB_API_KEY",)
    assert "hush" not in json.dumps([got, env])
    assert "hush" not in dump_state(job_from_state(state))


def test_a_job_survives_llamaboards_file() -> None:
    args = {
        "stage": "dpo", "do_train": True, "model_name_or_path": "org/m", "finetuning_type": "lora", "dataset": "a,b",
        "template": "qwen", "lora_rank": 16, "pref_beta": 0.2, "save_total_limit": 3, "val_size": 0.1,
        "eval_strategy": "steps", "eval_steps": 50, "per_device_eval_batch_size": 1, "weight_decay": 0.1,
    }
    job = job_from_args(args)
    state = yaml.safe_load(dump_state(job))
    back = build_args(job_from_state({**state, "top.model_path": "org/m"}))
    assert {key: back[key] for key in args} == args


def test_state_has_llamaboards_words() -> None:
    state = state_from_job(job_from_args({"stage": "rm"}))
    assert state["train.training_stage"] == "Reward Modeling"
    assert state["top.quantization_bit"] == "none"
    assert state["train.val_size"] == 0


def test_implied_values_follow_what_was_changed() -> None:
    values = {"train.val_size": 0.1, "train.save_steps": 20, "train.batch_size": 4}
    assert implied(values, "train.val_size") == {
        "train.eval_strategy": "steps",
        "train.eval_steps": 20,
        "train.per_device_eval_batch_size": 4,
    }
    assert implied(values, "train.save_steps") == {}
    assert implied({"train.training_stage": "ppo", "top.finetuning_type": "full"}, "top.finetuning_type") == {
        "train.reward_model_type": "full"
    }


# -- forms of older versions -----------------------------------------------------------------------------

V063 = {  # the elements and words of v0.6.3 (April 2024)
    "top.model_name": "m", "top.finetuning_type": "lora", "top.adapter_path": ["a"], "top.booster": "none",
    "top.quantization_bit": "none", "train.training_stage": "Supervised Fine-Tuning", "train.dataset": ["d"],
    "train.learning_rate": "2e-4", "train.optim": "adamw_torch", "train.upcast_layernorm": True,
    "train.shift_attn": False, "train.report_to": False, "train.num_layer_trainable": 3,
    "train.name_module_trainable": "all", "train.dpo_beta": 0.1, "train.dpo_ftx": 0, "train.orpo_beta": 0.1,
    "train.reward_model": [], "train.use_galore": False,
}


def test_a_form_of_2024() -> None:
    found = job_from_board(V063)
    args = build_args(found.job)
    wanted = {
        "flash_attn": "auto", "report_to": "none", "upcast_layernorm": True, "optim": "adamw_torch",
        "learning_rate": 2e-4, "dataset": "d",
    }
    assert {name: args.get(name) for name in wanted} == wanted
    assert found.job.values["top.checkpoint_path"] == ["a"]
    assert found.job.values["train.freeze_trainable_layers"] == 3
    assert (found.unfit, found.unknown) == ((), ())


@pytest.mark.parametrize(
    ("state", "sent"),
    [
        ({"top.quantization_method": "bitsandbytes", "top.quantization_bit": 4},
         {"quantization_method": "bnb", "quantization_bit": 4}),
        ({"top.booster": "flashattn"}, {"flash_attn": "fa2"}), ({"train.report_to": True}, {"report_to": "all"}),
        ({"train.report_to": ["none"]}, {"report_to": "none"}), ({"train.report_to": []}, {"report_to": "none"}),
        ({"train.report_to": ["wandb", "tensorboard"]}, {"report_to": ["wandb", "tensorboard"]}),
        ({"train.training_stage": "ORPO", "train.orpo_beta": 0.2},
         {"stage": "dpo", "pref_loss": "orpo", "pref_beta": 0.2}),
        ({"train.ds_stage": 2}, {"deepspeed": "deepspeed/ds_z2_config.json"}), ({"top.quantization_bit": "None"}, {}),
        ({"train.pref_beta": 2.5, "train.training_stage": "DPO"}, {"pref_beta": 2.5}),  # beyond the slider of 0.9.5
        ({"train.cutoff_len": 200000}, {"cutoff_len": 200000}),
    ],
)
def test_older_words(state: dict[str, Any], sent: dict[str, Any]) -> None:
    args = build_args(job_from_board(state).job)
    assert {name: args.get(name) for name in sent} == sent


def test_older_words_are_told_in_those_of_today() -> None:
    state = {"top.quantization_method": "bitsandbytes", "train.report_to": True, "train.training_stage": "ORPO"}
    assert job_from_board(state).older == (
        ("quantization_method", "bitsandbytes", "bnb"), ("report_to", "true", "all"),
        ("training_stage", "ORPO", "DPO (pref_loss: orpo)"),
    )
    words_of_today = {"top.quantization_method": "bnb", "train.report_to": "all", "train.training_stage": "DPO"}
    assert job_from_board(words_of_today).older == ()


def test_what_does_not_fit_is_named_and_the_rest_opens() -> None:
    state = {"train.learning_rate": "fast", "train.extra_args": "{", "train.new_thing": 1, "train.lora_rank": 4}
    found = job_from_board(state)
    assert [problem.field for problem in found.unfit] == ["train.learning_rate", "train.extra_args"]
    args = build_args(found.job)
    assert found.unknown == ("train.new_thing",) and args["lora_rank"] == 4 and "learning_rate" not in args


def test_the_other_tabs() -> None:
    top = {"top.model_name": "m", "top.checkpoint_path": ["mine"], "top.template": "qwen"}
    state = {"eval.dataset": ["d"], "eval.predict": False, "eval.output_dir": "e", "eval.temperature": 1.1}
    found = job_from_board({**top, **state})
    args = build_args(found.job)
    wanted = {
        "eval_dataset": "d", "do_eval": True, "output_dir": "saves/m/lora/e", "temperature": 1.1,
        "preprocessing_num_workers": 16, "adapter_name_or_path": "saves/m/lora/mine",
    }
    assert (found.job.kind, {name: args.get(name) for name in wanted}) == ("eval", wanted)
    state = {"export.export_dir": "out", "export.export_size": 3, "export.extra_args": '{"export_legacy_format": true}'}
    found = job_from_board({**top, **state})
    args = build_args(found.job)
    assert found.job.kind == "export" and found.unknown == ()
    assert (args["export_dir"], args["export_size"], args["export_legacy_format"]) == ("out", 3, True)
