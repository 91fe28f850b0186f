"""Texts: every key the code asks for is there, and every key that is there is asked for."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest

from lfdash.jobs.argument_checks import CARRIED
from lfdash.jobs.command_format import NO_JOB
from lfdash.jobs.field import Field
from lfdash.jobs.fields import FIELDS, GROUPS
from lfdash.jobs.foreign import FOREIGN, OF_LLAMAFACTORY
from lfdash.jobs.rules import RULES
from lfdash.jobs.yaml_format import SAID
from lfdash.locales import FOLDER as LOCALES
from lfdash.runs.record import RunState
from lfdash.ui.shared.text import choice, help_text, label, t
from tests.support.source import calls, first_words_of_calls, returned_words, strings, trees

ENGLISH = tomllib.loads((LOCALES / "en.toml").read_text(encoding="utf-8"))


def literals() -> set[str]:
    """Every string and every fixed start of an f-string in the code, as patterns over locale keys."""
    found = set()
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(re.escape(node.value))
            if isinstance(node, ast.JoinedStr):
                parts = [re.escape(p.value) if isinstance(p, ast.Constant) else ".+" for p in node.values]
                found.add("".join(parts))
    return found


def keys(section: str) -> set[str]:
    return {f"{section}.{key}" for key in ENGLISH[section]}


def test_every_text_of_the_page_is_asked_for() -> None:
    patterns = [re.compile(text) for text in literals() if text.startswith(("ui", "states"))]
    unused = {key for key in keys("ui") | keys("states") if not any(p.fullmatch(key) for p in patterns)}
    assert unused == set()


def test_every_text_that_is_asked_for_is_there() -> None:
    asked = {re.sub(r"\\(.)", r"\1", text) for text in literals() if re.fullmatch(r"ui\\?\.\w+", text)}
    beginnings = {name for name in asked if name.endswith("_")}  # of f-strings; seen above
    assert asked - beginnings <= keys("ui")


def test_every_problem_and_refusal_has_a_text() -> None:
    assert first_words_of_calls("Refused") <= set(ENGLISH["outcomes"])
    assert first_words_of_calls("NoRoom", "Reason") == set(ENGLISH["waits"])
    of_tables = {kind.code for kind in (*FOREIGN, *OF_LLAMAFACTORY)} | {code for _, code, _ in SAID}
    of_tables |= {*NO_JOB.values(), "yaml_at", "no_mapping", "list", "not_job_rows"}
    assert first_words_of_calls("ConfigError") | of_tables == set(ENGLISH["config"])
    told = {word for call in calls("Problem") for word in strings(*call.args[1:2])} | {rule.code for rule in RULES}
    told |= {word for word in returned_words() if word.startswith(("name_", "not_")) or word == "out_of_range"}
    told |= first_words_of_calls("broken")
    told |= {code for _, code in CARRIED.values()}
    assert told <= set(ENGLISH["problems"]), told - set(ENGLISH["problems"])


@pytest.mark.parametrize("row", [row for row in FIELDS if not row.hidden], ids=lambda row: row.id)
def test_every_field_has_label_and_help(row: Field) -> None:
    assert label(row.id) != row.name
    assert help_text(row.id).endswith(".")


def test_groups_and_states_have_names() -> None:
    for group in GROUPS:
        t(f"groups.{group.name}")
    for state in RunState:
        t(f"states.{state.name}")


def test_a_missing_text_is_a_mistake() -> None:
    with pytest.raises(KeyError, match="no_such"):
        t("ui.no_such")
    assert choice("train.training_stage", "dpo") == "DPO"
    assert choice("train.training_stage", "odd") == "odd"
