"""The table of published shapes, and shapes from files as models have them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lfdash.memory.architecture import from_config
from lfdash.memory.config_numbers import implausible
from lfdash.memory.shapes import BY_NAME_BAND, Shapes, load, read
from tests.support import ROOT
from tests.support.memory import QWEN_7B, shape

PATH = ROOT / "configs" / "architectures.json"
ROWS = json.loads(PATH.read_text(encoding="utf-8"))["shapes"]
TABLE = load(PATH)
NAMES = {model["name"] for model in json.loads((ROOT / "configs/upstream.json").read_text(encoding="utf-8"))["models"]}
SIZE = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([BM])(?![a-zA-Z0-9])")
# Parameters that the models' own pages tell, in billions.
PUBLISHED = {
    "Qwen2.5-7B": 7.62, "Qwen3-0.6B-Base": 0.6, "Qwen3-30B-A3B-Base": 30.5, "Qwen3-235B-A22B-Thinking": 235,
    "Llama-3.1-405B": 406, "Llama-3.2-1B": 1.24, "Gemma-2-2B": 2.61, "Gemma-3-27B": 27.4, "Mixtral-8x7B-v0.1": 46.7,
    "DeepSeek-V3-671B-Base": 671, "DeepSeek-V2-16B-Base": 15.7, "GLM-4.5-Air-Base": 107, "GLM-4-0414-32B-Base": 32.6,
    "GPT-OSS-120B-Thinking": 117, "GPT-2-XL": 1.56, "StarCoder2-15B": 15.96, "Phi-4-14B-Instruct": 14.7,
    "Qwen2-MoE-57B-A14B": 57.4, "Qwen2.5-VL-3B-Instruct": 3.75, "Falcon-40B": 41.3,
}


def test_names_are_llamafactorys_each_once() -> None:
    names = [name for row in ROWS for name in row["names"]]
    assert len(names) == len(set(names)) and set(names) <= NAMES
    assert len(names) > 0.55 * len(NAMES), "more than half of LLaMA-Factory's models have their numbers"
    assert all(row["source"].startswith("https://huggingface.co/") for row in ROWS)


@pytest.mark.parametrize(("name", "billions"), PUBLISHED.items())
def test_parameters_are_those_that_are_published(name: str, billions: float) -> None:
    assert TABLE.by_name[name].total / 1e9 == pytest.approx(billions, rel=0.011)


def test_parameters_are_about_those_in_the_names() -> None:
    """A name rounds, and some count without embeddings."""
    odd = {}
    for name, found in TABLE.by_name.items():
        said = SIZE.search(name)
        if said:
            billions = float(said[1]) * (1 if said[2] == "B" else 0.001)
            if not 0.85 < found.total / 1e9 / billions < 1.32:
                odd[name] = found.total / 1e9
    assert odd == {}


def test_a_size_finds_the_nearest_dense_shape() -> None:
    found = TABLE.nearest(7.5)
    assert found is not None and found.source == "name" and found.band == BY_NAME_BAND and not found.experts
    assert abs(found.total / 7.5e9 - 1) < 0.05
    assert TABLE.nearest(0) is None and Shapes().nearest(7) is None


def test_every_dense_size_is_near_some_shape() -> None:
    for billions in (0.5, 1, 1.5, 2, 3, 4, 7, 8, 9, 13, 14, 22, 32, 34, 65, 70, 72, 405):
        found = TABLE.nearest(billions)
        assert found is not None and 0.7 < found.total / 1e9 / billions < 1.4, billions


def test_a_size_alone_never_finds_quantized_files() -> None:
    """A job without quantization would be given weights of 4 bits, a third of its own."""
    assert any(shape.quantized for shape in TABLE.by_name.values())
    assert {found.quantized for size in range(1, 2400) if (found := TABLE.nearest(size / 10))} == {0}


def test_between_the_dense_sizes_layers_are_added_or_left_out() -> None:
    """There is none between 72 and 405 billion parameters: the weights were off by half."""
    for billions in (110, 120, 180, 235, 600):
        found = TABLE.nearest(billions)
        assert found is not None and 0.95 < found.total / 1e9 / billions < 1.05, billions


def test_a_row_without_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="a number is missing"):
        read({"shapes": [{"names": ["x"], "config": {"hidden_size": 8}}]})


# -- files as models have them ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"text_config": QWEN_7B, "vision_config": {"depth": 2, "embed_dim": 64}}, {"multimodal": True, "layers": 28}),
        ({"thinker_config": {"text_config": QWEN_7B}}, {"hidden": 3584}),
        ({"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257},
         {"tied": True, "gated": False, "intermediate": 3072}),
        ({**QWEN_7B, "model_type": "llama", "num_key_value_heads": None}, {"kv_heads": 28, "bias": False}),
        ({**QWEN_7B, "quantization_config": {"quant_method": "awq", "bits": 4}}, {"quantized": 4}),
        ({**QWEN_7B, "quantization_config": {"quant_method": "who"}}, {"quantized": 16}),
        ({**QWEN_7B, "num_experts": 1}, {"experts": 0, "is_known": True}),
        ({**QWEN_7B, "model_type": "gemma", "tie_word_embeddings": None}, {"tied": True}),
        ({"model_type": "chatglm", "hidden_size": 4096, "num_layers": 28, "padded_vocab_size": 65024,
          "num_attention_heads": 32, "multi_query_group_num": 2, "ffn_hidden_size": 13696}, {"kv_heads": 2}),
    ],
)
def test_what_a_file_says(config: dict[str, Any], expected: dict[str, Any]) -> None:
    found = shape(config)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize("value", [0, -1, True, "8", None, 2**60, [], {}, 1.5])
def test_what_is_no_number_is_missing(value: object) -> None:
    assert from_config({**QWEN_7B, "hidden_size": value}) is None


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"num_hidden_layers": 2**39}, "num_hidden_layers"), ({"intermediate_size": 2**39}, "intermediate_size"),
        ({"vocab_size": 2**30}, "vocab_size"), ({"head_dim": -1}, "head_dim"),
        ({"num_key_value_heads": "8"}, "num_key_value_heads"), ({"num_experts": True}, "num_experts"),
        ({"hidden_size": "8", "text_config": QWEN_7B}, "hidden_size"),
        ({"text_config": {**QWEN_7B, "hidden_size": 2**35}}, "hidden_size"),
        ({"vision_config": {"depth": 2**39}}, "depth"),
        ({"vision_config": {"image_size": 2**39}}, "image_size"),
        ({"vision_config": {"spatial_merge_size": 2**39}}, "spatial_merge_size"),
        ({"vision_config": {"patch_size": [14, 2**39]}}, "patch_size"),
        ({"quantization_config": {"bits": 2**20}}, "bits"),
        ({"intermediate_size": [1024, 2**39]}, "intermediate_size"), ({"kv_lora_rank": 2**39}, "kv_lora_rank"),
    ],
)
def test_a_number_that_no_model_has_is_named(change: dict[str, Any], name: str) -> None:
    config = {**QWEN_7B, **change}
    found = implausible(config)
    assert found is not None and found[0] == name
    assert from_config(config) is None


def test_the_published_shapes_are_plausible() -> None:
    assert [row["names"] for row in ROWS if implausible(row["config"])] == []
