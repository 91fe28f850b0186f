"""What GaLore, APOLLO and BAdam cannot do is told before the start. Real runs: tests/llamafactory/test_foretold.py."""

from __future__ import annotations

from typing import Any

import pytest

from lfdash.jobs import checks
from lfdash.jobs.args import job_from_args
from lfdash.jobs.environment import ArgumentType, Facts
from lfdash.jobs.resources import ResourceRequest
from lfdash.outcomes import Problem
from tests.support.jobs import GOOD

FULL = {**GOOD, "finetuning_type": "full"}
RATIO = {"use_badam": True, "badam_mode": "ratio"}
CODES = {
    "optim_unknown", "layerwise_gpus", "layerwise_accumulation", "badam_gpus", "badam_ratio_gpus", "galore_slow",
}


def told(args: dict[str, Any], **facts: Any) -> list[Problem]:
    found = checks.problems(job_from_args({**FULL, **args}), Facts(model_bytes=1, **facts))
    return [problem for problem in found if problem.code in CODES]


def by_default(optim: str) -> dict[str, Any]:
    """Facts of an environment whose transformers takes this optimizer when none is given."""
    names = (*FULL, *RATIO, "use_galore", "use_apollo", "output_dir")
    return {"arguments": {**dict.fromkeys(names, ArgumentType("text")), "optim": ArgumentType("choice", default=optim)}}


@pytest.mark.parametrize("use", [{"use_galore": True}, {"use_apollo": True}, RATIO], ids=["galore", "apollo", "badam"])
def test_the_optimizer_that_is_taken_by_default(use: dict[str, Any]) -> None:
    (problem,) = told(use, **by_default("adamw_torch_fused"))
    assert (problem.code, problem.field) == ("optim_unknown", "train.optim")
    assert problem.fix == {"train.optim": "adamw_torch"}
    assert problem.params["value"] == "adamw_torch_fused"
    assert told(use, **by_default("adamw_torch")) == []  # transformers 4
    assert told({**use, "optim": "adamw_torch"}, **by_default("adamw_torch_fused")) == []
    assert told(use) == []  # nothing is known


def test_each_takes_others() -> None:
    for optim in ("paged_adamw_8bit", "adafactor"):
        assert told({"use_galore": True, "optim": optim}) == []
    assert [p.code for p in told({"use_apollo": True, "optim": "adafactor"})] == ["optim_unknown"]
    assert [p.code for p in told({**RATIO, "optim": "adafactor"})] == ["optim_unknown"]
    assert told({"use_badam": True, "optim": "adamw_torch_fused"}) == []  # the layer mode takes any


def test_layer_by_layer_on_several_gpus() -> None:
    args = {"use_galore": True, "galore_layerwise": True, "optim": "adamw_torch"}
    (problem,) = told(args, gpus=2)
    assert (problem.code, problem.fix) == ("layerwise_gpus", {"extra.galore_layerwise": None})
    assert told(args, gpus=1) == told(args, gpus=2, request=ResourceRequest(("1",))) == []
    apollo = {"use_apollo": True, "apollo_layerwise": True, "optim": "adamw_torch"}
    assert [p.code for p in told(apollo, gpus=8, request=ResourceRequest(count=2))] == ["layerwise_gpus"]
    (problem,) = told({**apollo, "gradient_accumulation_steps": 4}, gpus=1)
    assert (problem.code, problem.fix) == ("layerwise_accumulation", {"train.gradient_accumulation_steps": 1})
    assert [p.code for p in told({"optim": "galore_adamw_layerwise"}, gpus=2)] == ["layerwise_gpus"]


def test_badam_on_several_gpus() -> None:
    layer = {"use_badam": True, "optim": "adamw_torch"}
    assert [p.code for p in told(layer, gpus=2)] == ["badam_gpus"]
    assert [p.code for p in told({**layer, "deepspeed": "deepspeed/ds_z2_config.json"}, gpus=1)] == ["badam_gpus"]
    assert told({**layer, "deepspeed": "deepspeed/ds_z3_config.json"}, gpus=2) == told(layer, gpus=1) == []
    assert [p.code for p in told({**layer, **RATIO}, gpus=2)] == ["badam_ratio_gpus"]


def test_galore_says_that_its_first_step_takes_long() -> None:
    job = job_from_args({**FULL, "use_galore": True, "optim": "adamw_torch"})
    for size, slow in ((6_000_000_000, True), (None, True), (8_000_000, False)):
        codes = {problem.code for problem in checks.problems(job, Facts(model_bytes=size))}
        assert ("galore_slow" in codes) == slow
