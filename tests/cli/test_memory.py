"""`lfdash memory`: a training's memory, without a GPU, a workspace or a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lfdash.machine.sampler import Machine
from lfdash.memory.estimate import GIB, NAMES, estimate
from tests.support.finished import Runs
from tests.support.gpu import device, recorded, sample
from tests.support.memory import LORA, QWEN_7B, subject
from tests.support.terminal import Said, lfdash

TRAINING = {
    **LORA, "do_train": True, "model_name_or_path": "Qwen/Qwen2.5-7B-Instruct", "dataset": "any", "template": "qwen",
}


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No workspace, no hub's cache, no GPU, an English terminal."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "MODELSCOPE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("LFDASH_WORKSPACE", str(tmp_path / "none"))
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: ((), None))


def told(folder: Path, *words: str | Path, **arguments: Any) -> Said:
    """What the command says of a training."""
    file = folder / "job.json"
    file.write_text(json.dumps({**TRAINING, **arguments}))
    return lfdash("memory", file, *words)


def test_for_a_program(tmp_path: Path) -> None:
    said = told(tmp_path, "--json")
    answer, expected = said.json, estimate(subject())
    assert said.code == 0
    figures = ("allocated", "reserved", "driver", "band", "trained")
    assert [answer[name] for name in figures] == [getattr(expected, name) for name in figures]
    assert answer["terms"] == dict(expected.terms) and list(answer["terms"]) == list(NAMES)
    assert answer["unknown"] == ["lengths"] and answer["world_size"] == 1
    assert answer["fits"]["8 GB"] == "does_not" and answer["fits"]["192 GB"] == "fits"
    assert answer["model"] == {"source": "table", "found": "Qwen2.5-7B-Instruct"}
    assert not (tmp_path / "none").exists(), "a question makes no workspace"


def test_for_a_person(tmp_path: Path) -> None:
    said = told(tmp_path)
    assert said.code == 0
    for words in ("Optimizer states", "Needed on each GPU", "GiB", "Does not fit", "cutoff length", "Qwen2.5-7B"):
        assert words in said.out


def test_for_how_many_gpus_it_is_is_said(tmp_path: Path) -> None:
    assert "for each GPU; computed for 1 GPU (" in told(tmp_path).out
    assert "for each GPU; computed for 4 GPUs (" in told(tmp_path, "--world-size", "4").out


def test_what_is_set_on_top_counts(tmp_path: Path) -> None:
    less, more = told(tmp_path, "--json"), told(tmp_path, "--json", "--set", "per_device_train_batch_size=4")
    assert more.json["allocated"] > less.json["allocated"]


def test_a_config_of_ones_own(tmp_path: Path) -> None:
    small = tmp_path / "small.json"
    small.write_text(json.dumps({**QWEN_7B, "num_hidden_layers": 2}))
    answer = told(tmp_path, "--json", "--architecture", small).json
    assert answer["model"] == {"source": "config", "found": str(small)}
    assert answer["parameters"] < 2e9


@pytest.mark.parametrize(
    ("content", "words"),
    [("{}", "has no hidden_size"), ('{"hidden_size": 8}', "has no num_hidden_layers"), ("no json", "not JSON"),
     ('{"hidden_size": "8", "vocab_size": -1}', "its hidden_size is “8”")],
)
def test_a_config_that_is_none(tmp_path: Path, content: str, words: str) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(content)
    said = told(tmp_path, "--architecture", bad)
    assert said.code == 1 and "bad.json" in said.err and words in said.err


@pytest.mark.parametrize(
    "change",
    [{"intermediate_size": 2**39}, {"num_hidden_layers": "many", "text_config": QWEN_7B}, {"vocab_size": 2**40 - 1}],
)
def test_a_number_that_no_model_has_is_not_believed(tmp_path: Path, change: dict[str, Any]) -> None:
    """Neither of a file that is given nor of the model's own, whose name would say "7B"."""
    folder = tmp_path / "own-7B"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**QWEN_7B, **change}))
    name, value = next(iter(change.items()))
    given = told(tmp_path, "--architecture", folder / "config.json")
    own = told(tmp_path, model_name_or_path=str(folder))
    for said in (given, own):
        assert said.code == 1 and name in said.err and f"“{value}”" in said.err and "not known" in said.err


ODD: dict[str, object] = {
    "zero": 0, "an empty list": [], "a list": [7, "x"], "a string": "28", "not a number": float("nan"),
    "infinite": 1e999, "a fraction": 27.5, "a switch": True,
}


@pytest.mark.parametrize("field", ["num_attention_heads", "num_hidden_layers", "hidden_size", "vocab_size"])
@pytest.mark.parametrize("what", ODD)
def test_a_number_that_is_none_is_told_with_its_file_field_and_value(tmp_path: Path, what: str, field: str) -> None:
    """It is no reason to say that there is no config.json, nor to take another model of "7B"."""
    folder = tmp_path / "own-7B"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**QWEN_7B, field: ODD[what]}))
    for said in (told(tmp_path, model_name_or_path=str(folder)),
                 told(tmp_path, "--architecture", folder / "config.json")):
        assert said.code == 1 and "there is no config.json" not in said.err
        for words in ("own-7B/config.json”", f"its {field} is “{ODD[what]}”"):
            assert words in said.err, said.err


@pytest.mark.parametrize(
    ("content", "reason"),
    [("{", "not JSON"), ("", "not JSON"), ("[1]", "not a JSON object"), ('"text"', "not a JSON object"),
     ("\udcff", "UTF-8"), (None, "not a plain file")],
)
def test_what_cannot_be_read_is_not_taken_for_absent(tmp_path: Path, content: str | None, reason: str) -> None:
    folder = tmp_path / "own-7B"
    file = folder / "config.json"
    folder.mkdir()
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content.encode("utf-8", "surrogateescape"))
    said = told(tmp_path, "--json", model_name_or_path=str(folder))
    assert said.code == 1 and said.json["refused"] == "memory_unread"
    assert str(file) in said.json["message"] and reason in said.json["message"]


def test_what_a_config_lacks_is_named_where_the_name_does_not_tell_the_size(tmp_path: Path) -> None:
    def asked(name: str) -> Said:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"model_type": "mamba", "hidden_size": 64, "n_layer": 2}))
        return told(tmp_path, "--json", model_name_or_path=str(folder))

    said = asked("own")
    assert said.code == 1 and said.json["refused"] == "memory_config"
    assert "own/config.json" in said.json["message"] and "has no vocab_size, num_att" in said.json["message"]
    assert asked("own-7B").json["model"]["source"] == "name"


@pytest.mark.parametrize("change", [{"text_config": [1]}, {"num_attention_heads": 4096}])
def test_a_part_or_a_width_that_no_model_has_is_told(tmp_path: Path, change: dict[str, Any]) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**QWEN_7B, "hidden_size": 512, **change}))
    (name, value) = next(iter(change.items()))
    assert f"its {name} is “{value}”" in told(tmp_path, "--architecture", file).err


def test_the_config_of_a_folder_and_of_the_hubs_cache(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**QWEN_7B, "num_hidden_layers": 3}))
    answer = told(tmp_path, "--json", model_name_or_path=str(folder)).json
    assert answer["model"] == {"source": "config", "found": str(folder / "config.json")}
    kept = tmp_path / "hf/hub/models--Qwen--Qwen2.5-7B-Instruct/snapshots/abc"
    kept.mkdir(parents=True)
    (kept / "config.json").symlink_to(folder / "config.json")
    assert told(tmp_path, "--json").json["model"] == {"source": "config", "found": str(kept / "config.json")}


def test_arguments_that_it_does_not_know_are_named(tmp_path: Path) -> None:
    """Its figure is that of the defaults, as if they were not there."""
    odd = {"Lora_target": "q_proj", "Learning_rate": 1e-4}
    said = told(tmp_path, **odd)
    assert said.code == 0 and "Lora_target" in said.err and "lora_target" in said.err and "Learning_rate" in said.err
    assert said.out == told(tmp_path).out and "error" not in told(tmp_path).err
    answer = told(tmp_path, "--json", **odd).json
    assert [problem["code"] for problem in answer["problems"]] == ["argument_unknown_near"] * 2
    assert told(tmp_path, "--json").json["problems"] == []


def test_a_model_of_which_only_the_size_is_known(tmp_path: Path) -> None:
    answer = told(tmp_path, "--json", model_name_or_path="who/ever-8B-it").json
    assert answer["model"]["source"] == "name" and answer["band"] == 0.4 and "by_name" in answer["unknown"]
    assert 4e9 < answer["parameters"] < 12e9


def test_a_model_of_which_nothing_is_known(tmp_path: Path) -> None:
    said = told(tmp_path, "--json", model_name_or_path="who/ever")
    assert said.code == 1 and said.json["refused"] == "memory_model" and "who/ever" in said.json["message"]


def test_several_processes_and_a_deepspeed_file(tmp_path: Path) -> None:
    zero = tmp_path / "any_name.json"
    zero.write_text(json.dumps({"zero_optimization": {"stage": 3}}))
    full = {"finetuning_type": "full", "deepspeed": str(zero), "lora_rank": None}
    one, eight = (told(tmp_path, "--json", "--world-size", n, **full).json for n in ("1", "8"))
    assert eight["world_size"] == 8 and "several_gpus" in eight["unknown"] and "deepspeed" not in eight["unknown"]
    assert eight["allocated"] < one["allocated"] / 3


def test_only_a_training_has_an_estimate(tmp_path: Path) -> None:
    said = told(tmp_path, "--json", do_train=None, do_predict=True, stage="sft", eval_dataset="any")
    assert said.code == 1 and said.json["refused"] == "memory_kind"


def test_wrong_use() -> None:
    assert lfdash("memory", "/none.yaml").code == 2
    assert lfdash("memory", __file__, "--world-size", "0").code == 2


def test_past_runs_of_the_workspace_on_this_card_correct_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card is a sample; its memory during the run was written by hand."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    paths, expected = Runs(folder).add("lora-7b"), estimate(subject())
    paths.training_args.write_text(json.dumps(TRAINING))
    recorded(paths.machine, 0.5, 0.5 + expected.driver / GIB * 1.1, 0.5 + expected.driver / GIB * 1.1)
    monkeypatch.setenv("LFDASH_WORKSPACE", str(folder))
    monkeypatch.setattr(Machine, "seen", sample(device(0, 80, 0.5)))
    answer = told(tmp_path, "--json").json
    assert answer["learned"]["run"] == "lora-7b" and answer["driver"] == pytest.approx(expected.driver * 1.1, rel=0.001)
    assert "Corrected as in run lora-7b." in told(tmp_path).out
    monkeypatch.setattr(Machine, "seen", sample(device(0, 24, 0.5)))
    assert told(tmp_path, "--json").json["learned"] is None
