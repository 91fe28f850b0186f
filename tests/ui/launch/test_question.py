"""The question that a busy machine asks is there as long as somebody needs its answer."""

from __future__ import annotations

from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.launchers.fake import FakeLauncher
from lfdash.outcomes import Refused
from lfdash.runs.record import Handle
from lfdash.ui.launch import actions, question
from lfdash.ui.shared.answers import BUSY
from tests.support import app as pages
from tests.support.runs import launch, plan_for
from tests.ui.launch.test_queue import asked_on


def is_asked(app: AppTest) -> bool:
    return "queue_it" in {button.key for button in pages.good(app.run()).button}


def end(services: Services, name: str) -> None:
    view = services.registry.get(f"id-{name}")
    launcher = services.registry.launchers.default
    assert view is not None and isinstance(launcher, FakeLauncher)
    handle = Handle(view.run_id, view.attempt, view.paths)
    launcher.begin(handle)
    launcher.end(handle, 0)
    services.registry.refresh()


def test_it_goes_when_what_was_in_the_way_has_ended(services: Services) -> None:
    launch(services.registry, plan_for(services.workspace.root, name="first"))
    app = asked_on("pages/evaluate.py")
    busy = app.session_state[BUSY]
    assert is_asked(app) and not question.is_over(services, busy)
    end(services, "first")
    assert question.is_over(services, busy)  # what wakes the tab
    assert not is_asked(app) and app.session_state[BUSY] is None


def test_it_goes_when_the_job_in_the_form_is_another(services: Services) -> None:
    launch(services.registry, plan_for(services.workspace.root, name="first"))
    app = asked_on("pages/evaluate.py")
    app.session_state["eval.output_dir"] = "by-another-name"
    assert is_asked(app)
    app.session_state["eval.dataset"] = ["another"]
    assert not is_asked(app)


@pytest.mark.parametrize(("who", "runs"), [("first", ("id-first",)), ("first, python3 (pid 7)", ()), ("", ())])
def test_what_is_no_run_is_not_taken_for_ended(services: Services, who: str, runs: tuple[str, ...]) -> None:
    launch(services.registry, plan_for(services.workspace.root, name="first"))
    services.registry.refresh()
    busy = actions.busy_with(services, Refused("busy", {"code": "slots", "run": who}), "train", None, None)
    assert busy.runs == runs
    end(services, "first")
    assert question.is_over(services, busy) is bool(runs)


def test_the_fragment_looks_by_itself_as_long_as_it_asks(services: Services) -> None:
    launch(services.registry, plan_for(services.workspace.root, name="first"))
    with mock.patch.object(question.looks, "keep") as kept:
        asked_on("pages/evaluate.py")
    looked = [getattr(call.args[1], "func", None) for call in kept.call_args_list]
    assert question.is_over in looked
