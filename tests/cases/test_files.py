"""Configurations of every kind, opened on the page: what is told, what each Fix does, what would be sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lfdash.engine.services import Services
from lfdash.jobs.kinds import SERVING
from lfdash.ui.form import configurations
from lfdash.ui.shared.text import t
from tests.cases.table import CASES
from tests.support.form_page import FormPage, demo, words

PLAIN = {  # what most of these files hold beside what they are about
    "model_name_or_path": "models/demo-llama", "stage": "sft", "do_train": True, "finetuning_type": "lora",
    "dataset": "demo_sft", "template": "default", "output_dir": "saves/demo/lora/x1",
}
MORE = "train.extra_args"
STEPS = ("logging_steps", "save_steps")  # of Fixes for what has few steps, which the demo's data have


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    with demo(tmp_path / "workspace", monkeypatch) as found:
        yield found


def opened(number: str, services: Services, page: str = "app.py") -> FormPage:
    """The page of that script, on which the file of a case was opened."""
    return FormPage(services, page).open(CASES[number].file)


def settings(number: str) -> dict[str, Any]:
    """What a case's YAML file holds."""
    found: dict[str, Any] = yaml.safe_load(CASES[number].text)
    return found


def sent(page: FormPage) -> dict[str, Any]:
    """What would be sent, without what has to do with few steps."""
    return {name: value for name, value in page.sent().items() if name not in STEPS}


# -- files of another kind --------------------------------------------------------------------------------


def test_k01_a_merge_on_the_train_page(services: Services) -> None:
    page = opened("K01", services)
    assert page.kind == "export"
    assert t("ui.loaded_moved", name="merge.yaml") in page.notes
    assert page.sent() == settings("K01") and len(settings("K01")) == 8


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("K04", "it is a file for Accelerate, not a LLaMA-Factory job"),
        ("K06", "it describes an adapter, not a job; to use the adapter, choose its folder under “Start from”"),
    ],
)
def test_k_a_file_that_is_no_job(number: str, reason: str, services: Services) -> None:
    page = FormPage(services)
    before = page.sent()
    page.open(CASES[number].file)
    name = CASES[number].file.name
    assert page.value(configurations.ANSWER) == f"{name} was not opened, and nothing was changed: {reason}."
    assert page.kind == "train" and page.sent() == before and page.told() == []


def test_k03_what_serves_is_tried(services: Services) -> None:
    page = opened("K03", services)
    assert page.kind == SERVING.name and t("ui.loaded_moved", name="chat.yaml") in page.notes


@pytest.mark.parametrize("way", ["command.txt", "command.yaml", "pasted"])
def test_k07_llamaboards_preview(way: str, services: Services) -> None:
    page = FormPage(services)
    if way == "pasted":
        page.paste(CASES["K07"].text)
    else:
        page.open(CASES["K07"].file, name=way)
    name = t("ui.open_pasted") if way == "pasted" else way
    assert t("ui.loaded_command", name=name, fields=5) in page.notes and page.value(configurations.ANSWER) is None
    args = page.sent()
    name = args.pop("output_dir").removeprefix("saves/demo-llama/lora/")  # a fresh one: the command names none
    assert args == {name: PLAIN[name] for name in PLAIN if name not in ("output_dir", "finetuning_type")}
    assert name and page.told() == []


# -- forms of LlamaBoard ----------------------------------------------------------------------------------


def test_l01_a_form_of_an_older_version(services: Services) -> None:
    page = opened("L01", services)
    assert t("ui.loaded_older", words="quantization_method bitsandbytes → bnb, report_to true → all") in page.notes
    held = {
        "top.model_name": "Qwen2.5-0.5B-Instruct", "top.finetuning_type": "lora", "top.booster": "auto",
        "top.template": "qwen", "top.quantization_method": "bnb", "train.training_stage": "sft",
        "train.dataset": ["demo_sft"], "train.learning_rate": "5e-05", "train.num_train_epochs": "3.0",
        "train.max_samples": 1000, "train.batch_size": 1, "train.cutoff_len": 1024, "train.report_to": "all",
        "train.optim": "adamw_torch",
    }
    shown = {field: page.value(field) for field in held}
    assert {field: as_number(value) for field, value in shown.items()} == {
        field: as_number(value) for field, value in held.items()
    }
    args = page.sent()
    wanted = {
        "report_to": "all", "optim": "adamw_torch", "learning_rate": 5e-5, "num_train_epochs": 3.0, "max_samples": 1000,
        "per_device_train_batch_size": 1, "cutoff_len": 1024, "model_name_or_path": "Qwen/Qwen2.5-0.5B-Instruct",
    }
    assert {name: args.get(name) for name in wanted} == wanted
    assert not {"shift_attn", "reward_model", "quantization_bit", "rope_scaling"} & args.keys()  # off, as they were
    assert "left out" not in page.notes


def as_number(value: Any) -> Any:
    """A text of a number as the number."""
    try:
        return float(value) if isinstance(value, str | int) else value
    except ValueError:
        return value


@pytest.mark.parametrize("script", ["app.py", "pages/evaluate.py"])
def test_l03_the_evaluation_of_llamaboard(script: str, services: Services) -> None:
    page = opened("L03", services, script)
    assert page.kind == "eval"
    assert page.value("eval.dataset") == ["demo_sft"] and page.value("eval.output_dir") == "eval_1"
    args = page.sent()
    wanted = {
        "eval_dataset": "demo_sft", "cutoff_len": 1024, "max_new_tokens": 512, "do_predict": True,
        "predict_with_generate": True, "output_dir": "saves/Qwen2.5-3B-Instruct/lora/eval_1",
        "model_name_or_path": "Qwen/Qwen2.5-3B-Instruct", "template": "qwen",
        "adapter_name_or_path": "saves/Qwen2.5-3B-Instruct/lora/mine",
    }
    assert {name: args.get(name) for name in wanted} == wanted and "do_train" not in args


# -- values -----------------------------------------------------------------------------------------------


def test_v01_no_without_quotes(services: Services) -> None:
    page = opened("V01", services)
    choices = "no, steps, epoch, best"
    assert page.told() == [words(MORE, "argument_word", name="save_strategy", value=False, choices=choices)]
    assert page.fix_all().told() == []
    assert sent(page) == {**PLAIN, "save_strategy": "no"}


def test_v03_nulls(services: Services) -> None:
    page = opened("V03", services)
    empty = ("learning_rate", "lora_rank", "save_steps")
    assert page.told() == [words(MORE, "argument_null", name=name) for name in empty]
    assert page.start() == []
    assert page.fix_all().told() == []
    assert sent(page) == PLAIN


def test_v04_out_of_range(services: Services) -> None:
    page = opened("V04", services)
    assert page.told() == [
        words(MORE, "argument_range", name="gradient_accumulation_steps", value=0, min="1", max="∞"),
        words(MORE, "argument_range", name="max_samples", value=-1, min="1", max="∞"),
        words(MORE, "argument_range", name="lora_dropout", value=1.5, min="0", max="1"),
        words(MORE, "argument_type", name="per_device_train_batch_size", value=2.5, kind="int"),
    ]
    assert page.start() == [] and len(page.told()) == 4


def test_v06_off_without_quotes(services: Services) -> None:
    page = opened("V06", services)
    choices = "auto, disabled, sdpa, fa2, fa3"
    assert page.told() == [words(MORE, "argument_word", name="flash_attn", value=False, choices=choices)]
    assert page.fix_all().told() == []
    assert sent(page) == {**PLAIN, "flash_attn": "disabled"}


def test_v07_an_older_word(services: Services) -> None:
    page = opened("V07", services)
    choices = "bnb, gptq, awq, aqlm, quanto, eetq, hqq, mxfp4, fp8"
    told = words(MORE, "argument_choice", name="quantization_method", value="bitsandbytes", choices=choices)
    assert page.told() == [told] and page.start() == []
    assert page.fix_all().told() == []
    assert sent(page) == {**PLAIN, "quantization_bit": 4, "quantization_method": "bnb"}


def test_v09_a_number_in_quotes(services: Services) -> None:
    page = opened("V09", services)
    assert page.told() == [words(MORE, "argument_type", name="learning_rate", value="1e-4", kind="float")]
    assert page.fix_all().told() == []
    assert sent(page) == {**PLAIN, "learning_rate": 1e-4} and as_number(page.value("train.learning_rate")) == 1e-4


def test_v10_lists(services: Services) -> None:
    page = opened("V10", services)
    shown = [page.value(f"train.{name}") for name in ("dataset", "lora_target", "report_to")]
    assert shown == [["demo_sft", "demo_chat"], "q_proj,v_proj", "tensorboard"]
    assert (page.told(), page.warnings) == ([], []) and t("ui.loaded_extra", names="") not in page.notes
    assert sent(page) == settings("V10") | {"output_dir": PLAIN["output_dir"]}
    assert isinstance(settings("V10")["lora_target"], list)


def test_v13_notations_of_a_rate(services: Services) -> None:
    page = opened("V13", services)
    assert sent(page) == {**PLAIN, "learning_rate": 1e-4, "weight_decay": 1e-2} and page.told() == []
    assert [as_number(page.value(f"train.{name}")) for name in ("learning_rate", "weight_decay")] == [1e-4, 1e-2]


@pytest.mark.parametrize("number", ["V12", "V15"])
def test_v_odd_characters_of_a_file(number: str, services: Services) -> None:
    page = opened(number, services)
    assert sent(page) == PLAIN and page.told() == []
    assert t("ui.loaded_llamafactory", name=CASES[number].file.name, fields=8) in page.notes  # and the model's name


def test_v16_a_date_as_the_name_of_a_run(services: Services) -> None:
    page = opened("V16", services)
    assert sent(page) == {**PLAIN, "run_name": "2024-01-01"} and page.told() == []
    assert "'2024-01-01'" in next(item.value for item in preview(page) if item.language == "yaml")


def preview(page: FormPage) -> list[Any]:
    """The command and the YAML of the preview."""
    page.app.button(key="preview").click()
    page.app.run()
    return list(page.app.code)


def test_v17_a_token(services: Services) -> None:
    token = str(settings("V17")["hub_token"])
    page = opened("V17", services)
    assert t("ui.loaded_secrets", names="hub_token") in page.notes
    assert page.value("top.hf_token") == token
    shown = [item.value for item in preview(page)]
    assert len(shown) == 2 and not any(token in text or "hub_token" in text for text in shown)
    page.run()
    page.app.text_input(key=configurations.NAME).set_value("kept")
    page.run()
    page.app.button(key="config.save").click()
    page.run()
    assert page.start() == ["x1"]
    assert (services.workspace.configs / "kept.yaml").exists()
    files = [path for path in services.workspace.root.rglob("*") if path.is_file()]
    assert len(files) > 8 and not [path for path in files if token.encode() in path.read_bytes()]
    assert services.registry.secret_store.get("HF_TOKEN") == token and token not in os.environ.values()


# -- what Fix does ----------------------------------------------------------------------------------------


def test_c01_older_names_of_picture_sizes(services: Services) -> None:
    page = opened("C01", services)
    pairs = {"image_resolution": "image_max_pixels", "video_resolution": "video_max_pixels"}
    assert page.told() == [words(MORE, "argument_renamed", name=old, near=new) for old, new in pairs.items()]
    assert page.fix_all().told() == []
    assert sent(page) == {**PLAIN, "image_max_pixels": 262144, "video_max_pixels": 16384}


def test_c03_an_older_name_in_a_stage_that_does_not_use_it(services: Services) -> None:
    page = opened("C03", services)
    assert page.told() == [words(MORE, "argument_renamed", name="dpo_beta", near="pref_beta")]
    assert page.fix_all().told() == []
    assert sent(page) == {**PLAIN, "pref_beta": 0.2}


def test_c04_names_that_are_near_and_mean_something_else(services: Services) -> None:
    page = opened("C04", services)
    merged = words(MORE, "argument_merged", name="max_source_length", near="cutoff_len")
    assert page.told() == [
        words(MORE, "argument_renamed", name="new_special_tokens", near="add_special_tokens"), merged,
    ]
    assert "cutoff_len" in merged and not any("512" in fix for fix in page.fixes())
    assert page.fix_all().told() == [merged]
    assert sent(page) == {**PLAIN, "add_special_tokens": "<a>,<b>", "max_source_length": 512}


def test_c05_evaluation_strategy(services: Services) -> None:
    page = opened("C05", services).fix_all()
    assert page.told() == []
    assert sent(page) == {**PLAIN, "val_size": 0.1, "eval_strategy": "steps"}
    assert page.value("train.eval_strategy") == "steps"


# -- output folders, exports ------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "name"), [("O01", "my_model"), ("O03", "lora_sft")])
def test_o_an_output_folder_of_somebody_else(number: str, name: str, services: Services) -> None:
    page = opened(number, services)
    assert len(page.told()) == 1 and page.start() == []
    assert page.fix_all().told() == []
    assert page.value("train.output_dir") == name
    assert sent(page) == {**PLAIN, "output_dir": f"saves/demo-llama/lora/{name}"}
    assert page.start() == [name]


def test_x01_a_full_model_is_exported(services: Services) -> None:
    page = opened("X01", services, "pages/export.py")
    assert page.kind == "export" and page.told() == [] and page.sent() == settings("X01")
    (name,) = page.start()
    assert name.startswith("export-")


def test_x03_an_adapter_onto_a_quantized_model(services: Services) -> None:
    with_adapter(services)
    page = opened("X03", services, "pages/export.py")
    assert page.told() == [words("top.checkpoint_path", "export_quantized")] and page.start() == []
    assert page.fix_all().told() == []
    assert page.sent() == {name: value for name, value in settings("X03").items() if name != "quantization_bit"}


def test_x04_an_adapter_is_merged_before_it_is_quantized(services: Services) -> None:
    with_adapter(services)
    page = opened("X04", services, "pages/export.py")
    assert page.told() == [words("export.export_quantization_bit", "export_merge_first")]
    assert page.start() == [] and page.sent() == settings("X04")


def with_adapter(services: Services) -> None:
    """Lays the adapter down that the exports name."""
    adapter = services.workspace.root / "saves" / "demo" / "lora" / "a" / "adapter_config.json"
    adapter.parent.mkdir(parents=True)
    adapter.write_text('{"peft_type": "LORA"}')
    adapter.with_name("adapter_model.safetensors").write_bytes(b"0")
