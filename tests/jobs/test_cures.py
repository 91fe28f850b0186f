"""What a Fix says is what is sent: for every problem that has one, of a training, an evaluation and an export."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfdash.jobs import checks
from lfdash.jobs.args import build_args, build_env, job_from_args
from lfdash.jobs.argument_checks import RENAMED, RENAMED_VALUES
from lfdash.jobs.cures import cure, with_fix
from lfdash.jobs.environment import ArgumentType, Facts
from lfdash.jobs.fields import ROWS
from lfdash.jobs.job import JobConfig, new_job
from lfdash.jobs.kinds import KINDS
from lfdash.llamafactory.catalogue import load_snapshot
from tests.jobs.test_rules import BROKEN
from tests.support import ROOT
from tests.support.jobs import GOOD

UPSTREAM = load_snapshot(ROOT / "configs" / "upstream.json")
WORLD = Facts(
    datasets=frozenset({"a", "pairs"}), roots=("/ws",), gpus=0, templates=frozenset(UPSTREAM.templates),
    arguments={name: ArgumentType(a.kind, a.choices, a.nullable) for name, a in UPSTREAM.arguments.items()},
    model_template="qwen",
)
OLDER: list[dict[str, Any]] = [{name: 16384 if "resolution" in name else "x"} for name in RENAMED]
OLDER += [{"max_source_length": 512, "max_target_length": 256}, {"resume_lora_training": False}, {"dpo_beta": 0.2}]
WORDS: list[dict[str, Any]] = [{name: old} for name, old, _ in RENAMED_VALUES]
VALUES: list[dict[str, Any]] = [
    {"learning_rate": "1e-4"}, {"lora_rank": None}, {"save_strategy": False}, {"bf16": "true"}, {"lora_rank": "8"},
    {"output_dir": "my_model"}, {"output_dir": "/data/x/y"}, {"output_dir": "./saves/m/lora/r"}, {"zzz": 1},
    {"template": "llama3"}, {"hub_token": "hf_x"}, {"bf16": True}, {"pure_bf16": True}, {"evaluation_strategy": False},
]
STAGES: list[dict[str, Any]] = [
    {}, {"stage": "dpo", "dataset": "pairs"}, {"finetuning_type": "full"}, {"do_train": False, "do_predict": True},
    {"do_train": False, "do_eval": True, "eval_dataset": "a"}, {"do_train": False, "export_dir": "exports/x"},
]


def wrong_jobs() -> list[JobConfig]:
    """Jobs of every kind with everything that has a cure, as files bring it."""
    some = [*OLDER, *WORDS, *VALUES, *(broken for broken, _ in BROKEN.values())]
    return [job_from_args({**GOOD, **kind, **wrong}) for kind in STAGES for wrong in some]


def test_what_a_fix_says_is_what_is_sent() -> None:
    """Applied, it changes what is sent, and the same problem is not told again."""
    cured = 0
    for job in wrong_jobs():
        for problem in checks.problems(job, WORLD):
            if not problem.fix:
                continue
            after = with_fix(job, problem.fix)
            sent, was = (build_args(after), build_env(after)), (build_args(job), build_env(job))
            assert sent != was or problem.code == "extra_secret_field", problem
            again = [(one.code, one.field, one.params.get("name")) for one in checks.problems(after, WORLD)]
            assert (problem.code, problem.field, problem.params.get("name")) not in again, problem
            cured += 1
    assert cured > 800


def test_the_value_of_an_older_name_is_sent_or_nothing_is_offered() -> None:
    for kind in STAGES:
        for older in OLDER:
            job = job_from_args({**GOOD, **kind, **older})
            for problem in checks.problems(job, WORLD):
                if problem.code == "argument_renamed" and problem.fix:
                    assert problem.params["near"] in build_args(with_fix(job, problem.fix)), problem


NAMES = sorted({name for name, a in UPSTREAM.arguments.items() if a.kind in ("int", "float", "bool", "text", "choice")})
SENT = {"int": 3, "float": 0.25, "bool": True, "text": "a"}


@given(st.sampled_from([kind.name for kind in KINDS]), st.sampled_from(NAMES), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=400)
def test_a_cure_of_any_argument_is_sent(kind: str, name: str, filled: bool, gone: bool) -> None:
    argument = UPSTREAM.arguments[name]
    value = None if gone else argument.choices[0] if argument.choices else SENT.get(argument.kind, "a")
    job = new_job(kind) if filled else JobConfig(kind, {}, {name: "before"})
    after = with_fix(job, cure(job, {name: value}))
    assert build_args(after).get(name) == value


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_the_form_keeps_without_sending_it_stays(kind: Any) -> None:
    hidden = {row.id: row.default for row in ROWS[kind.name] if row.default is not None}
    job = JobConfig(kind.name, {**hidden, "train.pref_beta": 0.5})
    assert with_fix(job, cure(job, {"pref_beta": 0.2})).values["train.pref_beta"] in (0.5, 0.2)
