"""Start and Queue: what is wrong is shown and nothing is started; else a run, a place in the queue, or a refusal."""

from __future__ import annotations

import time
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.outcomes import Problem, Refused
from lfdash.queue.store import QueueSettings
from lfdash.runs.record import RunState
from lfdash.ui.form import sidebar
from lfdash.ui.form.state import Form
from lfdash.ui.shared.answers import MESSAGE, NOTICE, SHOWN
from lfdash.ui.shared.text import markdown_safe, t
from tests.support import app as pages


def press(app: AppTest, key: str, *problems: Problem) -> AppTest:
    """Presses a button of the form, which has these problems."""
    with mock.patch.object(Form, "problems", return_value=problems):
        app.button(key=key).click()
        return pages.good(app.run())


def test_start_with_something_wrong_opens_its_group_and_starts_nothing(services: Services) -> None:
    app = pages.start()
    app.session_state[sidebar.FILTER] = "lora"
    wrong = Problem("train.galore_rank", "not_number", {"value": "x"})
    press(app, "start", wrong)
    assert services.registry.snapshot() == ()
    group = sidebar.group_of("train.galore_rank")
    assert app.session_state[f"open_{group}"] is True and app.session_state["open_more"] is False
    assert app.session_state[sidebar.FILTER] == "" and app.session_state["train.form.checked"] is True


def test_start_shows_the_run_and_proposes_another_name(services: Services) -> None:
    app = pages.start()
    name = app.session_state["train.output_dir"]
    press(app, "start", Problem("top.template", "template_missing", level="warning"))
    (view,) = services.registry.snapshot()
    assert (view.name, view.state) == (name, RunState.STARTING) and app.session_state[SHOWN] == view.run_id
    assert app.session_state["train.output_dir"] not in ("", name)
    assert app.session_state["train.form.checked"] is False


def test_queue_says_that_it_starts_in_a_moment_and_starts_nothing(services: Services) -> None:
    app = pages.start()
    before = app.session_state["train.output_dir"]
    with mock.patch.object(services.registry, "launch") as launched:
        press(app, "enqueue")
    (entry,) = services.registry.queue.jobs.entries()
    assert entry.record.name == before and not launched.called
    assert [item.value for item in app.toast] == [markdown_safe(t("ui.queued_starts", name=before))]
    assert NOTICE not in app.session_state  # said once


def test_what_is_refused_is_told_and_the_form_stays(services: Services) -> None:
    app = pages.start()
    name = app.session_state["train.output_dir"]
    refused = Refused("config_unwritable", {"name": "a*b", "reason": "full"})
    with mock.patch.object(services.registry, "launch", return_value=refused):
        press(app, "start")
    assert app.session_state["train.output_dir"] == name and SHOWN not in app.session_state
    assert any(r"a\*b" in item.value and "full" in item.value for item in app.error)
    press(app, "start")
    assert app.session_state[MESSAGE] is None and [view.name for view in services.registry.snapshot()] == [name]


def test_a_second_click_a_moment_later_starts_nothing(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page has proposed the next name by then, so nothing else would refuse it."""
    services.registry.queue.set_settings(QueueSettings(slots=8))
    app = pages.start()
    press(app, "start")
    press(app, "start")
    assert len(services.registry.snapshot()) == 1
    assert [toast.value for toast in app.toast] == [t("ui.started_already")]
    clock = time.monotonic() + 60
    monkeypatch.setattr("lfdash.ui.launch.actions.time.monotonic", lambda: clock)
    press(app, "start")
    assert len(services.registry.snapshot()) == 2
