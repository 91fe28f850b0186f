"""Versions that are known not to work are told where a job would meet the fault, and only there."""

from __future__ import annotations

from typing import Any

import pytest
from packaging.requirements import Requirement

from lfdash.jobs import checks
from lfdash.jobs.args import job_from_args
from lfdash.jobs.environment import Facts, ModelFacts
from lfdash.jobs.known_bad import KNOWN_BAD
from lfdash.outcomes import Problem
from tests.support import ROOT
from tests.support.jobs import GOOD

FA2 = {"transformers": "5.6.0", "flash_attn": "2.8.3"}


def told(args: dict[str, Any], packages: dict[str, str], **facts: Any) -> list[Problem]:
    found = checks.problems(job_from_args({**GOOD, **args}), Facts(packages=packages, **facts))
    return [problem for problem in found if problem.code.startswith("bad_")]


def test_flash_attention_on_the_release_that_broke_it() -> None:
    (problem,) = told({"flash_attn": "fa2"}, FA2, python="/env/bin/python")
    assert (problem.code, problem.level, problem.fix) == ("bad_fa2", "error", {"top.booster": "auto"})
    assert problem.params["command"] == "/env/bin/python -m pip install transformers==5.5.4"
    assert problem.params["source"].endswith("/issues/10610")
    for version in ("5.5.4", "5.6.1", "4.57.1"):
        assert told({"flash_attn": "fa2"}, {**FA2, "transformers": version}) == []
    assert told({"flash_attn": "sdpa"}, FA2) == told({"flash_attn": "fa2"}, {"transformers": "5.6.0"}) == []


@pytest.mark.parametrize(
    ("model", "facts", "mixed"),
    [
        ("Qwen/Qwen3-30B-A3B", {}, True), ("mistralai/Mixtral-8x7B-Instruct-v0.1", {}, True),
        ("/models/deepseek-moe-16b-chat", {}, True), ("deepseek-ai/DeepSeek-V3", {}, True),
        ("ibm-granite/granite-3.1-3b-a800m-base", {}, True),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", {}, False), ("Qwen/Qwen2.5-7B-Instruct", {}, False),
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", {}, False), ("google/gemma-3-4b-it", {}, False),
        ("models/mine", {"model": ModelFacts(experts=64)}, True),
        ("models/my-8x7b-distilled", {"model": ModelFacts()}, False),  # its config.json knows better than its name
    ],
)
def test_four_bits_on_a_mixture_of_experts(model: str, facts: dict[str, Any], mixed: bool) -> None:
    args = {"model_name_or_path": model, "quantization_bit": 4}
    packages = {"transformers": "5.5.4", "bitsandbytes": "0.48.0"}
    assert [problem.level for problem in told(args, packages, **facts)] == ["warning"] * mixed
    assert told(args, {**packages, "transformers": "4.57.1"}, **facts) == []
    assert told({"model_name_or_path": model}, packages, **facts) == []


def test_pictures_on_the_torch_that_is_slow_with_them() -> None:
    packages = {"torch": "2.9.1+cu128", "llamafactory": "0.9.5"}
    assert [problem.code for problem in told({}, packages, model=ModelFacts(pictures=True))] == ["bad_conv3d"]
    assert told({}, packages, model=ModelFacts()) == []
    assert [problem.code for problem in told({"image_max_pixels": 262144}, packages)] == ["bad_conv3d"]
    assert told({}, packages) == told({}, {**packages, "torch": "2.10.0"}, model=ModelFacts(pictures=True)) == []


def test_the_others() -> None:
    (problem,) = told({"shift_attn": True}, {"transformers": "5.5.4", "llamafactory": "0.9.5"})
    assert (problem.code, problem.fix) == ("bad_shift_attn", {"extra.shift_attn": None})
    old = {"transformers": "4.47.0"}
    assert [p.code for p in told({"gradient_accumulation_steps": 2}, old)] == ["bad_accumulation"]
    assert told({"gradient_accumulation_steps": 1}, old) == []
    assert [p.code for p in told({}, {"transformers": "4.57.0"})] == ["bad_withdrawn"]


def test_nothing_known_bad_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split(";")[0].strip().lower().split("==") for line in lines if line and not line.startswith("#"))
    for row in KNOWN_BAD:
        wanted = Requirement(row.packages[0])
        version = pins.get(wanted.name)
        # what a whole series cannot do is told where it is asked for, and cannot be pinned away
        assert row.code in ("bad_experts", "bad_shift_attn") or version not in wanted.specifier, row
        assert row.source.startswith("https://")
