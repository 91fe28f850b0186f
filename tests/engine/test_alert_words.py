"""Every alert can be said, whoever wrote it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.cli.alerts import as_json, cells
from lfdash.engine.alert_words import icon_level, message_in, remedy_in, rule_in, title_in, what_in
from lfdash.errors import RecordError
from lfdash.locales import available
from lfdash.runs.alerts.alert import STOP, Alert
from lfdash.runs.alerts.rules import BY_NAME

RULES = st.sampled_from([*BY_NAME, STOP, "many", "title_count", "another"])
NAMES = st.sampled_from(["quiet_s", "usual_s", "state", "hours", "code", "why_run", "rule", "refused", "count", "step"])
VALUES = st.one_of(st.text(max_size=8), st.integers(), st.floats())


@given(
    RULES, st.sampled_from(["", "stop", "x"]), st.dictionaries(NAMES, VALUES), st.none() | st.integers(),
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(available()),
)
def test_odd_values_of_another_version_break_no_page(
    rule: str, occasion: str, params: dict[str, str | float], step: int | None, when: float, code: str
) -> None:
    data = {"rule": rule, "run_id": "id", "run": "r", "attempt": 1, "occasion": occasion, "step": step, "time": when,
            "params": params}
    try:
        alert = Alert.from_data(data)
    except RecordError:
        return
    for said in (what_in(code, alert), title_in(code, alert), message_in(code, alert), icon_level(alert)):
        assert said
    assert cells(alert) and as_json(alert)["message"]


@pytest.mark.parametrize(("rule", "params"), [
    ("stall", {"quiet_s": "abc"}), ("stall", {"quiet_s": math.nan, "usual_s": math.inf}), ("ended", {"state": "NOPE"}),
])
def test_what_cannot_be_known_is_said_to_be_unknown(rule: str, params: dict[str, str | float]) -> None:
    said = what_in("en", Alert(rule, "id", "r", 1, "", 3, 1.5e9, params))
    assert "–" in said or "UNKNOWN" in said


@pytest.mark.parametrize("code", available())
def test_only_a_run_that_finished_is_said_to_have_finished(code: str) -> None:
    titles = {
        state: title_in(code, Alert(rule, "id", "r", 1, "", 5, 0.0, {"state": state}))
        for rule, state in [("ended", "SUCCEEDED"), ("ended", "STOPPED"), ("ended", "?"), ("failed", "FAILED"),
                            ("failed", "LOST")]
    }
    assert len(set(titles.values())) == 5 and rule_in(code, "ended") not in "".join(titles.values())
    if code == "en":
        assert [title.removeprefix("r: ") for title in titles.values()] == [
            "Run finished", "Run stopped", "Run over", "Run failed", "Run lost"
        ]


@pytest.mark.parametrize("code", available())
def test_who_is_over_is_not_to_be_stopped(code: str) -> None:
    alert = Alert("nan", "id", "r", 1, "", 5, 0.0)
    going, over = remedy_in(code, alert), remedy_in(code, alert, over=True)
    assert going and over and going != over
    stalled = Alert("stall", "id", "r", 1, "", 5, 0.0)
    assert remedy_in(code, stalled, over=True) == remedy_in(code, stalled)
    assert remedy_in(code, Alert("ended", "id", "r", 1, "", 5, 0.0), over=True) == ""


@pytest.mark.parametrize("code", available())
def test_a_step_is_written_as_on_the_page_and_left_out_where_there_is_none(code: str) -> None:
    ended = Alert("ended", "id", "r", 1, "", 6565, 0.0, {"state": "SUCCEEDED"})
    assert "6565" in what_in(code, ended)
    assert "–" not in what_in(code, replace(ended, step=None)) and what_in(code, replace(ended, step=None))
