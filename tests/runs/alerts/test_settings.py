"""The settings come from the rows of RULES; what a file says wrongly is named, and the default stands in."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.engine.alert_words import problem_in
from lfdash.locales import available, catalogue
from lfdash.outcomes import Problem
from lfdash.runs.alerts.rules import RULES, Rule, Threshold
from lfdash.runs.alerts.settings import AlertSettings, RuleSettings, check, read

LANGUAGES = ("en", "ru")
THRESHOLDS = [(rule, one) for rule in RULES for one in rule.thresholds]


def limits_of(rule: Rule) -> st.SearchStrategy[dict[str, float]]:
    """Any thresholds that a rule may have."""
    return st.fixed_dictionaries({
        one.name: st.integers(int(one.least), int(one.most)) if one.whole else st.floats(one.least, one.most)
        for one in rule.thresholds
    })


SETTINGS = st.builds(
    AlertSettings,
    st.fixed_dictionaries({
        rule.name: st.builds(
            RuleSettings, st.booleans(), st.booleans(), st.booleans() if rule.stops else st.just(False), limits_of(rule)
        )
        for rule in RULES
    }),
    st.booleans(), st.sampled_from(("", *LANGUAGES)),
)


@given(SETTINGS)
def test_what_is_written_is_read(settings: AlertSettings) -> None:
    assert read(settings.to_data(), LANGUAGES) == (settings, ())


def test_the_file_of_the_defaults_says_nothing_of_the_rules() -> None:
    assert AlertSettings().to_data() == {"send": True, "language": "", "rules": {}}
    assert not any(AlertSettings().of(rule.name).stop for rule in RULES), "nothing is stopped unless somebody wants it"


NAMES = st.sampled_from(["on", "rows", "share", "x"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text("ab1", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["rules", "send", "language"]), JSON), st.dictionaries(
    st.sampled_from([rule.name for rule in RULES] + ["nobody"]), JSON
))
def test_any_file_gives_settings_that_can_be_used_and_words_for_the_rest(data: Any, rules: Any) -> None:
    settings, problems = read({**data, "rules": rules or data.get("rules", {})}, LANGUAGES)
    for rule in RULES:
        own = settings.of(rule.name)
        assert all(one.fits(own.limits[one.name]) for one in rule.thresholds) and (rule.stops or not own.stop)
    for code in available():
        assert all(problem_in(code, problem) for problem in problems)


@pytest.mark.parametrize(("rule", "one"), THRESHOLDS, ids=lambda row: row.name)
def test_a_threshold_that_cannot_be_is_named_with_what_can(rule: Rule, one: Threshold) -> None:
    assert one.fits(one.default) and one.fits(one.least) and one.fits(one.most)
    for value in (one.least - 1, one.most + 1, None, "x", True, math.nan, math.inf):
        problem = check(rule, one, value)
        assert problem is not None, value
        words = problem_in("en", problem)
        assert all(f"{number:.10g}" in words for number in (one.least, one.most, one.default)) and str(value) in words
        settings, problems = read({"rules": {rule.name: {one.name: value}}}, LANGUAGES)
        assert problems == (problem,) or math.isnan(value)  # type: ignore[arg-type]
        assert settings == AlertSettings()


def test_words_of_a_problem_name_field_value_and_remedy() -> None:
    _, (problem,) = read({"rules": {"plateau": {"steps": 0.5}}}, LANGUAGES)
    assert problem_in("en", problem) == (
        "Loss stands still, At least steps: 0.5 is not possible. "
        "Enter a whole number from 20 to 10000000, for example 300."
    )


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"rules": []}, "alert_rules"), ({"rules": {"nan": 3}}, "alert_rules"), ({"rules": {"x": {}}}, "alert_rule"),
        ({"rules": {"nan": {"on": 1}}}, "alert_switch"), ({"rules": {"stall": {"stop": True}}}, "alert_switch"),
        ({"rules": {"nan": {"colour": "red"}}}, "alert_switch"), ({"send": "yes"}, "alert_switch"),
        ({"language": "tlh"}, "alert_language"),
    ],
)
def test_what_is_not_understood_is_said(data: dict[str, Any], code: str) -> None:
    settings, (problem,) = read(data, LANGUAGES)
    assert (settings, problem.code) == (AlertSettings(), code) and problem_in("en", problem)


@pytest.mark.parametrize("code", available())
def test_every_rule_and_threshold_has_its_texts(code: str) -> None:
    texts = catalogue(code)["alerts"]
    wanted = {rule.name for rule in RULES} | {f"{rule.name}_{part}" for rule in RULES for part in ("what", "when")}
    wanted |= {f"limit_{one.name}" for _, one in THRESHOLDS}
    wanted |= {f"{rule.name}_do" for rule in RULES if rule.name != "ended"}
    assert wanted - texts.keys() == set()


def test_a_rule_of_another_version_is_on_and_sent() -> None:
    assert replace(AlertSettings(), rules={}).of("nobody") == RuleSettings()
    assert Problem(None, "alert_rule", {"value": "x", "known": "y"}).level == "error"
