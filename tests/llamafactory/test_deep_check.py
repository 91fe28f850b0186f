"""Our rules and LLaMA-Factory's own parser give the same verdict on the trigger of every recorded rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lfdash.jobs import checks
from lfdash.jobs.args import job_from_args
from lfdash.jobs.environment import ArgumentType, Facts
from lfdash.llamafactory.catalogue import load_snapshot
from lfdash.llamafactory.deep_check import deep_check, named_field
from lfdash.llamafactory.locate import Cli, find_cli
from lfdash.outcomes import Refused
from tests.support import FIXTURES, ROOT

RULES = json.loads((FIXTURES / "rules.json").read_text(encoding="utf-8"))
SNAPSHOT = load_snapshot(ROOT / "configs" / "upstream.json")
BASE: dict[str, Any] = {
    "stage": "sft", "do_train": True, "model_name_or_path": "models/none", "dataset": "identity", "use_cpu": True,
    "template": "default", "finetuning_type": "lora", "output_dir": "saves/m/lora/r", "dataset_dir": "data",
}
# Accepted by the parser, and sure to fail minutes later, when data, optimizer or trainer are made: we refuse them.
LATER = {"str_lr_accepted", "literal_accepted", "template_null", "bad_stage"}
# Rules about what lies on the disk, and the one that Base's use_cpu switches off; each is tested elsewhere.
ELSEWHERE = {"outdir_not_empty", "bf16_cpu"}
TRIGGERED = [
    rule for rule in RULES if rule["verified"] == "triggered" and rule["fn"] == "train" and rule["id"] not in ELSEWHERE
]


def facts(packages: dict[str, str]) -> Facts:
    arguments = {name: ArgumentType(item.kind, item.choices) for name, item in SNAPSHOT.arguments.items()}
    return Facts(gpus=0, packages=packages, arguments=arguments, templates=frozenset(SNAPSHOT.templates))


def refused(args: dict[str, Any], packages: dict[str, str]) -> bool:
    return any(problem.level == "error" for problem in checks.problems(job_from_args(args), facts(packages)))


@pytest.mark.parametrize("rule", TRIGGERED, ids=lambda rule: rule["id"])
def test_the_trigger_of_each_rule_is_refused(rule: dict[str, Any]) -> None:
    packages = {} if rule["id"] == "pkg_metrics" else {"jieba": "1", "nltk": "1", "rouge-chinese": "1", "trl": "0.24.0"}
    assert not refused(BASE, packages)
    assert refused({**BASE, **rule["trigger"]}, packages)


@pytest.mark.train_env
def test_llamafactorys_parser_says_the_same(tmp_path: Path) -> None:
    cli = find_cli({})
    assert isinstance(cli, Cli)
    chosen = [rule for rule in TRIGGERED if rule["id"] != "pkg_metrics" and not rule["env"]]
    jobs = [BASE, *({**BASE, **rule["trigger"]} for rule in chosen)]
    said = deep_check(cli, tmp_path, jobs)
    assert not isinstance(said, Refused), said
    assert said[0].text == ""
    took = {rule["id"] for rule, verdict in zip(chosen, said[1:], strict=True) if not verdict.text}
    assert took == LATER
    assert list(tmp_path.iterdir()) == []  # it writes nothing


@pytest.mark.train_env
def test_the_launchers_rules_do_not_misfire(preloaded: Cli, tmp_path: Path) -> None:
    """DeepSpeed is refused for the package that is missing here, not because no torchrun started the check."""
    (tmp_path / "z.json").write_text("{}")
    said = deep_check(preloaded, tmp_path, [{**BASE, "deepspeed": "z.json"}])
    assert not isinstance(said, Refused)
    assert "deepspeed" in said[0].text and "FORCE_TORCHRUN" not in said[0].text


def test_a_check_that_cannot_run_says_so(tmp_path: Path) -> None:
    assert isinstance(deep_check(Cli("/no/cli", None), tmp_path, [BASE]), Refused)
    gone = deep_check(Cli("/no/cli", "/no/python"), tmp_path, [BASE])
    assert isinstance(gone, Refused) and "/no/python" in gone.params["reason"]


def test_the_field_that_a_sentence_names() -> None:
    assert named_field("ValueError: `image_max_pixels` cannot be smaller") == "train.image_max_pixels"
    assert named_field("Please specify `max_steps` in streaming mode.") == "train.max_steps"
    assert named_field("Something else went wrong.") is None
