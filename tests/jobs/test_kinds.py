"""The table of the kinds of job: each row is complete, nothing but the table asks what a kind is called, and a new row
is a new kind."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.engine import plans
from lfdash.engine.services import Project, Services
from lfdash.jobs import checks
from lfdash.jobs.environment import Facts
from lfdash.jobs.fields import BY_ID, FIELDS
from lfdash.jobs.job import JobConfig, new_job
from lfdash.jobs.kinds import BY_NAME, DEFAULT, KINDS, JobKind, kind_of, named
from lfdash.jobs.resources import ResourceRequest, request_of
from lfdash.locales import in_language, label_in
from lfdash.outcomes import Problem
from tests.support import ROOT
from tests.support.copy import Copy

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


# -- each row is complete -------------------------------------------------------------------------------


def test_names_pages_and_run_names_tell_kinds_apart() -> None:
    for column in ("name", "page", "stem"):
        values = [getattr(kind, column) for kind in KINDS]
        assert len(set(values)) == len(values), column


@every_kind
def test_its_page_is_a_script_that_draws_it(kind: JobKind) -> None:
    last = ast.parse((ROOT / kind.page).read_text(encoding="utf-8")).body[-1]
    assert ast.unparse(last) == f"draw({kind.name!r})"


@every_kind
def test_it_has_texts(kind: JobKind) -> None:
    asked = [f"ui.page_{kind.name}", f"ui.welcome_{kind.name}", f"ui.runs_kind_{kind.name}"]
    asked += [f"ui.tab_{tab}" for tab in kind.tabs] + ([kind.done] if kind.done else [])
    assert all(in_language("en", key) for key in asked)


@every_kind
def test_its_runs_have_a_name(kind: JobKind) -> None:
    field_id = f"{kind.name}.output_dir"
    assert BY_ID[field_id].group == "run" and label_in("en", field_id) != "output_dir"


def test_every_field_belongs_to_a_kind_or_to_all() -> None:
    assert {row.scope for row in FIELDS} - {"top"} <= set(BY_NAME)


ASKED = {  # of an empty form
    "train": ["model_missing", "name_missing", "dataset_missing", "train_off", "template_missing"],
    "eval": ["model_missing", "name_missing", "dataset_missing", "template_missing"],
    "chat": ["model_missing", "name_missing", "template_missing"],
    "export": ["model_missing", "name_missing", "export_missing", "export_nothing", "template_missing"],
}


def codes(kind: JobKind, values: dict[str, Any], facts: Facts | None = None) -> list[str]:
    return [problem.code for problem in checks.problems(JobConfig(kind.name, values), facts or Facts())]


@every_kind
def test_an_empty_job_is_told_what_it_needs(kind: JobKind) -> None:
    told = codes(kind, {})
    assert told == ASKED.get(kind.name, told) and "model_missing" in told
    for code in told:
        in_language("en", f"problems.{code}")


def test_every_check_is_asked_for_by_a_kind() -> None:
    asked = [name for kind in KINDS for name in kind.needs]
    assert set(asked) == set(checks.NEEDS)


@pytest.mark.parametrize(
    ("name", "values", "code"),
    [
        ("train", {"train.training_stage": "ppo"}, "reward_missing"),
        ("train", {"train.do_train": False}, "train_off"),
        ("eval", {"eval.predict": True}, "predict_generate"),
        ("export", {"export.export_dir": "../x"}, "name_dots"),
        ("export", {"export.export_quantization_bit": "4", "top.checkpoint_path": ["a"]}, "export_merge_first"),
    ],
)
def test_what_only_one_kind_asks_for(name: str, values: dict[str, Any], code: str) -> None:
    given = {**values, "top.finetuning_type": "lora"}
    assert code in codes(BY_NAME[name], given)
    others = [kind for kind in KINDS if kind.name != name]
    assert not any(code in codes(kind, given) for kind in others if code != "train_off")


def test_pre_training_needs_no_template() -> None:
    assert "template_missing" not in codes(BY_NAME["train"], {"train.training_stage": "pt"})


@every_kind
def test_too_little_disk_is_told_at_what_could_be_changed(kind: JobKind) -> None:
    facts = Facts(free_disk=1, model_bytes=10**12)
    (told,) = [problem for problem in checks.problems(new_job(kind.name), facts) if problem.code.startswith("disk_")]
    expected = {
        "train": ("train.save_total_limit", "disk_short"), "eval": (None, "disk_low"),
        "export": ("export.export_dir", "disk_short"),
    }
    assert (told.field, told.code) == expected.get(kind.name, (None, "disk_low"))


@every_kind
def test_a_broken_dataset_info_concerns_whoever_takes_datasets(kind: JobKind) -> None:
    facts = Facts(dataset_problem=Problem(None, "data_broken"))
    takes = any(row.choices == "datasets" for row in FIELDS if row.scope == kind.name)
    assert ("data_broken" in codes(kind, {}, facts)) is takes


def test_a_dataset_that_is_not_there_is_told_at_its_field() -> None:
    for name, values in (("train", {"train.eval_dataset": ["no"]}), ("eval", {"eval.dataset": ["no"]})):
        found = checks.problems(JobConfig(name, values), Facts(datasets=frozenset({"a"})))
        assert [problem.field for problem in found if problem.code == "dataset_unknown"] == list(values)


# -- what arguments are for -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "name"),
    [
        ({}, "train"),
        ({"do_train": True, "do_eval": True, "export_dir": "x"}, "train"),
        ({"do_eval": True}, "eval"),
        ({"do_predict": True, "export_dir": "x"}, "eval"),
        ({"predict_with_generate": True}, "eval"),
        ({"export_dir": "x"}, "export"),
        ({"infer_backend": "vllm"}, "chat"),
        ({"model_name_or_path": "m", "template": "t"}, "chat"),
        ({"model_name_or_path": "m", "template": "t", "dataset": "d"}, "train"),
        ({"export_dir": "x", "predict_with_generate": True, "do_train": False}, "export"),
    ],
)
def test_the_kind_of_arguments(args: dict[str, Any], name: str) -> None:
    assert kind_of(args).name == name


SIGNS = ("do_train", "do_eval", "do_predict", "predict_with_generate", "export_dir", "infer_backend")


@given(st.dictionaries(st.sampled_from(SIGNS), st.booleans() | st.just("x")))
def test_no_two_kinds_ask_for_the_same_arguments(args: dict[str, Any]) -> None:
    assert sum(kind.asked_by(args) for kind in KINDS) <= 1


def test_a_name_of_a_newer_version_counts_as_the_default() -> None:
    assert [named(name) for name in ("eval", "no_such", "")] == [BY_NAME["eval"], DEFAULT, DEFAULT]


def test_a_merge_takes_devices_only_when_told_so() -> None:
    assert request_of({"export_dir": "x"}, {}) == ResourceRequest(cpu=True)
    assert request_of({"export_dir": "x", "export_device": "auto"}, {}) == ResourceRequest()
    assert request_of({"do_train": True, "export_dir": "x"}, {}) == ResourceRequest()


@every_kind
def test_its_command_is_what_runs(kind: JobKind, tmp_path: Path) -> None:
    services = Services(Project(ROOT), tmp_path)
    plan = plans.prepare(services, new_job(kind.name), "").plan
    assert plan.argv[1] == kind.command


# -- nothing but the table asks what a kind is called ---------------------------------------------------

# file below lfdash/ -> why its one line is no question about the kind of a job
ALLOWED = {
    "jobs/command_format.py": "the shell's own `export`",
    "jobs/yaml_format.py": "the headings of a YAML file by groups of the form, one of which is called like a kind",
    "targets/fields.py": "sbatch's own --export",
    "ui/form/extra_arguments.py": "every form offers the arguments of the command that trains",
}


def constants(*nodes: ast.AST | None) -> set[object]:
    """The constants that nodes are, or list."""
    return {
        part.value for node in nodes if node is not None for part in [node, *getattr(node, "elts", ())]
        if isinstance(part, ast.Constant)
    }


def asked(node: ast.AST) -> set[object]:
    """The constants that an expression is decided by: compared with, looked up, or a condition of the form."""
    if isinstance(node, ast.Compare):
        return constants(node.left, *node.comparators)
    if isinstance(node, ast.Dict):
        return constants(*node.keys)
    if isinstance(node, ast.Subscript):
        return constants(node.slice)
    if isinstance(node, ast.MatchValue):
        return constants(node.value)
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("is_", "When"):
        return constants(*node.args)
    return set()


def branches(source: str) -> list[str]:
    """The expressions of a source that ask for a kind by its name, or for the table's default."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if asked(node) & BY_NAME.keys() or (isinstance(node, ast.Compare) and "DEFAULT." in ast.unparse(node))
    ]


@pytest.mark.parametrize(
    "source",
    [
        "if kind == 'train': pass", "'eval' in kinds", "kind not in ('train', 'x')", "{'export': 1}.get(kind)",
        "ROWS['eval']", "is_(KIND, 'export')", "kind != DEFAULT.name", "match kind:\n case 'eval': pass",
    ],
)
def test_questions_are_seen(source: str) -> None:
    assert branches(source)


def test_nothing_else_asks_for_a_kind_by_its_name() -> None:
    package = ROOT / "lfdash"
    found = {
        path.relative_to(package).as_posix(): questions
        for path in package.rglob("*.py")
        if path.name != "kinds.py" and (questions := branches(path.read_text(encoding="utf-8")))
    }
    assert found.keys() == ALLOWED.keys(), found
    assert all(len(questions) == 1 for questions in found.values()), found


# -- a new row is a new kind ----------------------------------------------------------------------------

ROW = '''    JobKind(
        name="talk", command="webchat", page="pages/talk.py", tabs=("log", "files", "configuration"),
        needs=("model", "name", "template"), stem="talk", queued=False,
    ),
'''
FIELD = '    Field("output_dir", None, "run", "talk", arg="", to_args=converters.nothing_to, wide=True, board=False),\n'
PAGE = '"""Talk: words with a model."""\n\nfrom lfdash.ui.train.page import draw\n\ndraw("talk")\n'
TEXTS = {
    "fields": '"talk.output_dir" = ["Run name", "The folder that keeps this chat\'s log."]',
    "ui": 'page_talk = "Talk"\nwelcome_talk = "Choose a model and press Start."\nruns_kind_talk = "Talk"',
}
# What must still pass; not the copy of a copy, and not what LlamaBoard says, whose form has no chat.
TESTS = (
    "tests/jobs/test_kinds.py", "tests/jobs/test_fields.py", "tests/ui/train/test_page.py",
    "tests/ui/shared/test_text.py",
)


def test_a_new_kind_is_a_row_a_page_and_its_texts(tmp_path: Path) -> None:
    copy = Copy(tmp_path / "project")
    copy.add("pages/talk.py", PAGE)
    copy.put("lfdash/jobs/kinds.py", r"^\)\nBY_NAME", ROW)
    copy.put("lfdash/jobs/fields.py", r"^\)\n\n\nBY_ID", FIELD)
    for section, text in TEXTS.items():
        copy.say(section, text)
    passed = re.findall(r"::(\w+)\[talk\] PASSED", copy.test("-k", "not a_new_kind_is", *TESTS))
    assert {"test_it_has_texts", "test_its_page_says_what_it_is"} <= set(passed), passed
