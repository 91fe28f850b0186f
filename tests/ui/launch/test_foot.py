"""The foot of the form: the job in one line, what is wrong with it, and what Start was answered."""

from __future__ import annotations

from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.outcomes import Problem, Refused
from lfdash.ui.form import state
from lfdash.ui.form.state import Form
from lfdash.ui.launch import foot
from lfdash.ui.launch.actions import PROBLEMS
from lfdash.ui.shared.answers import MESSAGE
from lfdash.ui.shared.text import markdown_safe, t
from tests.support import app as pages

RATE = Problem("train.learning_rate", "not_number", {"value": "x"})
RANK = Problem("train.lora_rank", "not_number", {"value": "y"})
HINT = Problem("top.finetuning_type", "oft_again", level="warning")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "FRESH_S", -1.0)  # problems are looked for anew each time


def drawn(app: AppTest, *problems: Problem) -> AppTest:
    with mock.patch.object(Form, "problems", return_value=problems):
        return pages.good(app.run())


def listed(app: AppTest) -> list[str]:
    return [str(item.value) for item in app.sidebar.markdown if ":material/" in str(item.value)]


def titles(app: AppTest) -> list[str]:
    return [str(item.label) for item in app.sidebar.expander if "material" in str(item.label)]


def test_the_job_is_said_in_one_line(services: Services) -> None:
    app = pages.start()
    app.session_state["top.model_path"] = "models/demo-llama"
    pages.good(app.run())
    told = [item.value for item in app.sidebar.caption if "effective batch" in str(item.value)]
    assert len(told) == 1 and told[0].startswith("demo-llama · LoRA rank ")
    assert markdown_safe(t("ui.job_steps_unknown")) in told[0]


def test_errors_are_counted_and_listed_first(services: Services) -> None:
    app = drawn(pages.start(), HINT, RATE)
    assert titles(app) == [foot.title(1, 1)]
    assert [text.startswith(":red[") for text in listed(app)] == [True, False]


def test_a_list_that_was_closed_stays_so_until_something_new_is_wrong(services: Services) -> None:
    app = drawn(pages.start(), RATE)
    assert len(listed(app)) == 1
    app.session_state[PROBLEMS] = False
    assert listed(drawn(app, RATE)) == []
    assert len(listed(drawn(app, RATE, RANK))) == 2
    app.session_state[PROBLEMS] = False
    assert listed(drawn(app, RATE)) == []  # one less is nothing new
    drawn(app)
    assert len(listed(drawn(app, RATE))) == 1  # it was right meanwhile


def test_warnings_alone_open_nothing(services: Services) -> None:
    app = pages.start()
    app.session_state[PROBLEMS] = False
    drawn(app, HINT)
    assert titles(app) == [foot.title(0, 1)] and listed(app) == []


def test_what_start_was_answered_stands_at_the_form_and_not_at_the_run(services: Services) -> None:
    app = pages.start()
    refused = mock.patch("lfdash.engine.submit.submit", return_value=Refused("unknown", {}))
    with mock.patch.object(Form, "problems", return_value=()), refused:
        app.button(key="start").click()
        pages.good(app.run())
    assert t("outcomes.unknown") in [str(item.value) for item in app.sidebar.error]
    assert not app.main.error and not app.session_state[MESSAGE]
