"""Which version of LLaMA-Factory has which argument: the table, and what is said with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lfdash.jobs import checks
from lfdash.jobs.args import job_from_args
from lfdash.jobs.environment import ArgumentType, Facts
from lfdash.jobs.llamaboard_format import dump_state
from lfdash.jobs.stages import BY_CODE, METHODS
from lfdash.jobs.versions import ByVersion, load, table
from lfdash.llamafactory.catalogue import load_snapshot
from lfdash.locales import available, problem_in
from lfdash.outcomes import Problem
from tests.support import ROOT
from tests.support.jobs import GOOD, PPO

FILE = ROOT / "configs" / "arguments_by_version.json"
INSTALLED = {"llamafactory": "0.9.3", "transformers": "4.52.4"}


def said(version: str, transformers: str, arguments: dict[str, list[str]], own: list[str]) -> dict[str, Any]:
    """What a version said. arguments: name -> choices; own: those that are LLaMA-Factory's own."""
    return {
        "llamafactory": version, "transformers": transformers, "templates": [f"t{version}", "all"],
        "arguments": [{"name": name, "choices": choices} for name, choices in arguments.items()],
        "of_transformers": [name for name in arguments if name not in own],
        "board": ["top.lang", *(["train.more"] if version > "1" else [])],
    }


SAID = [
    said("1", "4.1", {"a": ["x"], "old": [], "theirs": [], "moved": []}, ["a", "old", "moved"]),
    said("2", "4.1", {"a": ["x", "y"], "theirs": [], "moved": []}, ["a"]),
    said("3", "5.0", {"a": ["x", "y"], "new": [], "moved": ["z"]}, ["a", "new"]),
]


@pytest.fixture(scope="module")
def shipped() -> ByVersion:
    return load(FILE)


@pytest.fixture
def small(tmp_path: Path) -> ByVersion:
    path = tmp_path / "table.json"
    path.write_text(json.dumps(table(SAID)), encoding="utf-8")
    return load(path)


@pytest.mark.parametrize(
    ("name", "value", "installed", "told"),
    [
        ("new", None, "1", ("LLaMA-Factory", "3", "1")),
        ("old", None, "3", ("LLaMA-Factory", "1", "3")),
        ("a", None, "0.1", ("LLaMA-Factory", "1, 2, 3", "0.1")),
        ("moved", None, "0.1", ("LLaMA-Factory", "1, 2, 3", "0.1")),  # once it was LLaMA-Factory's own
        ("a", "y", "1", ("LLaMA-Factory", "2, 3", "1")),
        ("template", "t3", "1", ("LLaMA-Factory", "3", "1")),
        ("a", "x", "1", None), ("a", "w", "1", None), ("a", None, "1", None), ("none", None, "1", None),
        ("moved", "z", "1", None), ("template", "all", "1", None), ("new", None, "", None),
    ],
)
def test_what_another_version_has(
    small: ByVersion, name: str, value: str | None, installed: str, told: tuple[str, str, str] | None
) -> None:
    found = small.elsewhere({"llamafactory": installed}, name, value)
    assert (found and tuple(found.values())) == told


def test_arguments_of_transformers_are_told_by_its_versions(small: ByVersion) -> None:
    found = small.elsewhere({"llamafactory": "3", "transformers": "5.0"}, "theirs")
    assert found == {"package": "transformers", "versions": "4.1", "installed": "5.0"}


def test_what_an_older_board_lacks(small: ByVersion) -> None:
    assert small.board_lacks("1") == {"train.more"}
    assert small.board_lacks("2") == small.board_lacks("9") == frozenset()


def test_a_form_for_an_older_board_leaves_out_what_it_lacks(shipped: ByVersion) -> None:
    """It breaks off at an element that it has not (KeyError in check_output_dir of its runner)."""
    lacks = shipped.board_lacks("0.9.3")
    job = job_from_args(GOOD)
    whole, older = (yaml.safe_load(dump_state(job, lacks=names)) for names in ((), lacks))
    assert "train.hub_private_repo" in lacks & whole.keys()
    assert older == {name: value for name, value in whole.items() if name not in lacks}


def test_what_an_older_board_has_no_element_for_goes_beside_its_form(shipped: ByVersion) -> None:
    job = job_from_args({**GOOD, "enable_thinking": False, "weight_decay": 0.1})
    older = yaml.safe_load(dump_state(job, lacks=shipped.board_lacks("0.9.2")))
    assert "train.enable_thinking" not in older
    extra = json.loads(older["train.extra_args"])
    assert (extra["enable_thinking"], extra["weight_decay"]) == (False, 0.1)


def test_ppo_of_a_version_that_breaks_off_is_told() -> None:
    known = {"packages": {"trl": "0.9.6"}, "installed": {"llamafactory": "0.9.2"}}
    (problem,) = [p for p in checks.problems(job_from_args({**GOOD, **PPO}), Facts(**known)) if p.level == "error"]
    assert (problem.code, problem.field) == ("ppo_version", "train.training_stage")
    fine = Facts(**{**known, "installed": INSTALLED})
    assert [p for p in checks.problems(job_from_args({**GOOD, **PPO}), fine) if p.level == "error"] == []


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"version": 0}')
    with pytest.raises(ValueError, match="version 0"):
        load(tmp_path / "x.json")


def facts(shipped: ByVersion) -> Facts:
    """What 0.9.3 is, as far as the table tells it."""
    arguments = {
        name: ArgumentType("text") for name, having in shipped.arguments.items()
        if INSTALLED[having.package] in having.versions
    }
    arguments["finetuning_type"] = ArgumentType("choice", ("lora", "freeze", "full"))
    return Facts(
        arguments=arguments, templates=frozenset({"qwen"}), by_version=shipped, installed=INSTALLED,
    )


def problem_of(shipped: ByVersion, **args: Any) -> Problem:
    found = checks.problems(job_from_args({**GOOD, **args}), facts(shipped))
    (problem,) = [problem for problem in found if problem.level == "error"]
    return problem


def test_an_argument_of_another_version_is_told_by_name(shipped: ByVersion) -> None:
    problem = problem_of(shipped, use_dft_loss=True)
    assert (problem.code, problem.field, problem.fix) == (
        "argument_of_other", "train.extra_args", {"extra.use_dft_loss": None},
    )
    words = "use_dft_loss is an argument of LLaMA-Factory 0.9.4, 0.9.5, but 0.9.3 is installed."
    assert problem_in("en", problem) == words


def test_an_argument_that_a_field_sends_is_told_there(shipped: ByVersion) -> None:
    problem = problem_of(shipped, report_to="trackio", project="mine")
    assert (problem.code, problem.field) == ("argument_of_other", "train.project")
    assert problem.fix == {"train.project": None}
    assert problem.params["package"] == "transformers" and problem.params["installed"] == "4.52.4"


def test_a_method_and_a_template_of_another_version(shipped: ByVersion) -> None:
    method = problem_of(shipped, finetuning_type="oft")
    assert (method.code, method.field) == ("choice_of_other", "top.finetuning_type")
    assert "0.9.4, 0.9.5" in problem_in("en", method) and "lora, freeze, full" in problem_in("en", method)
    template = problem_of(shipped, template="qwen3_5")
    assert (template.code, template.field) == ("template_of_other", "top.template")
    assert problem_of(shipped, template="nope").code == "template_unknown"


def test_an_older_word_is_put_right_where_it_is_not_taken_any_more(shipped: ByVersion) -> None:
    """0.9.2 calls it `bitsandbytes`, later ones `bnb`: a cure is better than the versions, and none is needed there."""
    job, told = job_from_args({**GOOD, "quantization_method": "bitsandbytes"}), []
    for choices in (("bnb", "gptq"), ("bitsandbytes", "gptq")):
        known = facts(shipped)
        arguments = {**known.arguments, "quantization_method": ArgumentType("choice", choices)}
        found = checks.problems(job, replace(known, arguments=arguments))
        told += [(problem.code, problem.fix) for problem in found if problem.level == "error"]
    cured = {"extra.quantization_method": "bnb"}  # no bits are given, so the field sends nothing
    assert told == [("argument_choice", cured)]


@pytest.mark.parametrize("language", available())
def test_every_language_says_all_of_it(shipped: ByVersion, language: str) -> None:
    for args in ({"use_dft_loss": True}, {"finetuning_type": "oft"}, {"template": "qwen3_5"}):
        problem = problem_of(shipped, **args)
        text = problem_in(language, problem)
        assert all(str(problem.params[name]) in text for name in ("package", "versions", "installed")), text
        assert str(problem.params.get("value", problem.params.get("name"))) in text


def test_the_shipped_table_is_of_the_snapshot_too(shipped: ByVersion) -> None:
    """What the project's own version has is in the table, with that version."""
    snapshot = load_snapshot(ROOT / "configs" / "upstream.json")
    own = {name for name, having in shipped.arguments.items() if snapshot.llamafactory in having.versions}
    theirs = {name for name, having in shipped.arguments.items() if having.package == "transformers"}
    assert own <= set(snapshot.arguments)
    assert set(snapshot.arguments) <= own | theirs
    assert {"stage", "finetuning_type", "use_dft_loss"} <= own
    assert not set(shipped.choices.get("stage", ())) - set(BY_CODE)
    assert set(shipped.choices["finetuning_type"]) <= set(METHODS)
