"""The packages that a job needs: which, in which version, and the line that installs them where they are missing."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from lfdash.jobs import checks
from lfdash.jobs.args import job_from_args
from lfdash.jobs.environment import Facts, ModelFacts
from lfdash.jobs.packages import NEEDS, OPTIMIZERS, TRACKERS, install_line
from lfdash.llamafactory.catalogue import load_snapshot
from lfdash.outcomes import Problem
from tests.support import ROOT
from tests.support.jobs import GOOD

ALONE = frozenset({"adamw_torch", "adamw_torch_fused", "adafactor", "sgd", "adagrad", "rmsprop"})  # torch has them


def told(args: dict[str, Any], packages: dict[str, str], **facts: Any) -> list[Problem]:
    found = checks.problems(job_from_args({**GOOD, **args}), Facts(packages=packages, **facts))
    return [problem for problem in found if "command" in problem.params]


@pytest.mark.parametrize(
    ("args", "package", "field"),
    [
        ({"report_to": "wandb"}, "wandb", "train.report_to"),
        ({"report_to": ["tensorboard"]}, "tensorboard", "train.report_to"),
        ({"report_to": "neptune"}, "neptune", "train.report_to"),
        ({"report_to": "trackio", "project": "p"}, "trackio", "train.report_to"),
        ({"optim": "paged_adamw_8bit"}, "bitsandbytes", "train.optim"),
        ({"optim": "schedule_free_adamw"}, "schedulefree", "train.optim"),
        ({"optim": "adalomo"}, "lomo-optim", "train.optim"),
        ({"optim": "adamw_torch_8bit"}, "torchao", "train.optim"),
        ({"quantization_bit": 4}, "bitsandbytes", "top.quantization_bit"),
        ({"quantization_bit": 4, "quantization_method": "hqq"}, "hqq", "top.quantization_bit"),
        ({"use_unsloth": True}, "unsloth", "top.booster"),
        ({"enable_liger_kernel": True}, "liger-kernel", "top.booster"),
        ({"deepspeed": "deepspeed/ds_z3_config.json"}, "deepspeed", "train.ds_stage"),
        ({"infer_backend": "vllm"}, "vllm", "train.extra_args"),
        ({"quantization_bit": 4, "quantization_method": "bitsandbytes"}, "bitsandbytes", "top.quantization_bit"),
        ({"fp8": True, "fp8_backend": "te"}, "transformer-engine", "train.extra_args"),
    ],
)
def test_what_is_not_installed_is_told_with_the_line_that_installs_it(
    args: dict[str, Any], package: str, field: str
) -> None:
    (problem,) = told(args, {"torch": "2.14.1"}, python="/opt/my env/bin/python")
    assert (problem.code, problem.params["package"], problem.field) == ("package_missing", package, field)
    assert problem.level == "error"
    words = shlex.split(problem.params["command"])
    assert words[:4] == ["/opt/my env/bin/python", "-m", "pip", "install"]
    assert words[-1].startswith(package)
    assert told(args, {"torch": "2.14.1", package.replace("-", "_"): "99"}) == []
    assert [p for p in checks.problems(job_from_args({**GOOD, **args}), Facts()) if p.code == "package_missing"] == []


def test_either_of_two_packages_is_enough() -> None:
    assert told({"report_to": "tensorboard"}, {"tensorboardx": "2.6"}) == []
    assert told({"report_to": "none"}, {}) == told({"report_to": "all"}, {}) == []


def test_flash_attention_that_is_missing_is_a_warning() -> None:
    (problem,) = told({"flash_attn": "fa2"}, {})
    assert (problem.code, problem.level, problem.field) == ("flash_attn_missing", "warning", "top.booster")
    assert problem.params["command"] == "pip install --no-build-isolation flash-attn"
    assert told({"flash_attn": "sdpa"}, {}) == []


def test_a_version_that_is_too_old() -> None:
    args = {"finetuning_type": "full", "use_badam": True}
    (problem,) = told(args, {"badam": "1.2.0"})
    assert (problem.code, problem.params["version"]) == ("package_old", "1.2.0")
    assert told(args, {"badam": "1.2.1"}) == told(args, {"badam": "of my own"}) == []


def test_a_package_that_pip_has_under_no_such_name() -> None:
    (problem,) = told({"optim": "adamw_apex_fused"}, {})
    assert (problem.code, problem.params["command"]) == ("package_elsewhere", "")


def test_a_model_that_is_quantized_needs_what_loads_it() -> None:
    (problem,) = told({}, {}, model=ModelFacts(quantized="gptq"))
    assert (problem.field, problem.params["package"]) == ("top.model_path", "gptqmodel")
    assert told({}, {}, model=ModelFacts(quantized="fp8")) == []


def test_what_is_not_looked_at_needs_no_package() -> None:
    for args in ({"fp8_backend": "te"}, {"fp8": True}, {"fp8": True, "fp8_backend": "te", "stage": "dpo"}):
        assert told(args, {}) == []


def test_two_reasons_for_a_package_are_said_once() -> None:
    assert len(told({"quantization_bit": 8, "optim": "adamw_8bit"}, {})) == 1


def test_every_optimizer_of_transformers_is_in_the_table() -> None:
    arguments = load_snapshot(ROOT / "configs" / "upstream.json").arguments
    assert set(arguments["optim"].choices) == ALONE | set(OPTIMIZERS)
    assert {need.argument for need in NEEDS} <= set(arguments)


@pytest.mark.train_env
def test_every_tracker_of_transformers_is_in_the_table() -> None:
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    assert set(INTEGRATION_TO_CALLBACK) - {"kubeflow"} == set(TRACKERS)  # kubeflow needs no package


def test_the_line_can_be_pasted_into_a_shell() -> None:
    line = install_line("/a b/bin/python", "torch<2.9", "x")
    assert line == "'/a b/bin/python' -m pip install 'torch<2.9' x"
