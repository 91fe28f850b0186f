"""The question that a busy machine asks is about the job that was started, on whatever page it is answered."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.jobs import kinds
from lfdash.jobs.resources import ResourceRequest
from lfdash.queue.store import QueueEntry
from lfdash.ui.form.state import Form
from lfdash.ui.shared.answers import SHOWN
from tests.support import app as pages
from tests.support.runs import launch, plan_for, record_for
from tests.support.runs_page import select


def asked_on(page: str) -> AppTest:
    """A visit of a page, whose Start found the devices in use."""
    app = pages.good(pages.start().switch_page(page).run())
    kind = kinds.named(app.session_state["page.entered_kind"])
    app.session_state["top.model_path"], app.session_state[f"{kind.name}.dataset"] = "models/m", ["d"]
    with mock.patch.object(Form, "problems", return_value=()):
        app.button(key="start").click()
        pages.good(app.run())
    return pages.good(app.run())


@pytest.mark.parametrize("answered_on", ["pages/evaluate.py", "app.py", "pages/runs.py"])
def test_the_job_that_was_asked_about_is_queued(services: Services, answered_on: str) -> None:
    launch(services.registry, plan_for(services.workspace.root, name="first"))
    app = asked_on("pages/evaluate.py")
    assert services.registry.queue.jobs.entries() == ()
    app = pages.good(app.switch_page(answered_on).run())
    with mock.patch.object(Form, "problems", return_value=()):
        app.button(key="queue_it").click()
        pages.good(app.run())
    (entry,) = services.registry.queue.jobs.entries()
    assert entry.record.kind == "eval"


def test_a_kind_that_never_waits_is_not_offered_the_queue(services: Services) -> None:
    launch(services.registry, plan_for(services.workspace.root, name="first"))
    with mock.patch.dict(kinds.BY_NAME, eval=replace(kinds.BY_NAME["eval"], queued=False)):
        app = asked_on("pages/evaluate.py")
    keys = {button.key for button in app.button}
    assert "queue_beside" in keys and not {"queue_it", "enqueue"} & keys


def test_what_cannot_be_read_is_said_and_can_be_put_aside(services: Services) -> None:
    folder = services.registry.queue.jobs.folder
    folder.mkdir(parents=True)
    (folder / "x_y.job.json").write_text("[" * 200_000)
    (folder / "settings.json").mkdir()
    app = pages.good(pages.start().switch_page("pages/runs.py").run())
    words = " ".join(item.value for item in app.markdown)
    assert "x\\_y.job.json" in words and "nested too deeply" in words and "no waiting job is started" in words
    app.button(key="queue_aside_0_x_y.job.json").click()
    app = pages.good(app.run())
    assert sorted(path.name for path in folder.iterdir()) == ["settings.json", "x_y.job.json.unreadable"]
    app.button(key="queue_aside_0_settings.json").click()
    app = pages.good(app.run())
    assert not [item.key for item in app.button if (item.key or "").startswith("queue_aside")]
    assert not services.registry.queue.jobs.settings().paused


def test_a_job_under_the_id_of_a_run_that_is_there_is_said_and_can_be_taken_out(services: Services) -> None:
    plan = plan_for(services.workspace.root, name="r1")
    launch(services.registry, plan)
    services.registry.refresh()
    waiting(services, run_id=plan.run_id, output_dir="saves/m/lora/another", cwd=plan.cwd)
    assert [view.waiting for view in services.registry.snapshot()] == [None], "an id means one"
    app = pages.good(pages.start().switch_page("pages/runs.py").run())
    words = " ".join(item.value for item in app.markdown)
    assert "It is never started" in words
    app.button(key=f"queue_twin_{plan.run_id}").click()
    app = pages.good(app.run())
    assert not services.registry.queue.jobs.entries() and not services.registry.dispatcher.twins()
    assert "It is never started" not in " ".join(item.value for item in app.markdown)


# -- a job that waits -----------------------------------------------------------------------------------


def waiting(services: Services, **changes: object) -> None:
    """A job in the queue, with these changes of its plan."""
    plan = plan_for(services.workspace.root, cli=services.cli_path, learning_rate=7e-7, stage="sft")
    prepared = replace(plan, **changes)  # type: ignore[arg-type]
    record = record_for(prepared, "fake")
    request = ResourceRequest()
    services.registry.queue.jobs.write(QueueEntry(prepared, record, request, 0.0, 1.0))
    services.registry.refresh()


def shown_job(services: Services) -> AppTest:
    app = pages.start()
    app.session_state[SHOWN] = "id-r1"
    return pages.good(app.run())


def keys(app: AppTest) -> set[str]:
    return {button.key.removesuffix("_shown_id-r1") for button in app.button if button.key.endswith("_shown_id-r1")}


def test_a_job_that_was_held_by_hand_can_be_released(services: Services) -> None:
    waiting(services)
    assert services.registry.queue.hold("id-r1") is None
    app = shown_job(services)
    assert {"queue_release", "queue_now"} <= keys(app) and not {"queue_hold", "queue_remake"} & keys(app)
    app.button(key="queue_release_shown_id-r1").click()
    pages.good(app.run())
    assert services.registry.queue.jobs.entries()[0].held is None


def test_a_job_of_another_workspace_is_queued_here_instead_of_a_release_that_does_nothing(services: Services) -> None:
    waiting(services, cwd="/another/workspace")
    app = shown_job(services)
    assert "another/workspace" in app.info[0].value
    assert "queue_remake" in keys(app) and not {"queue_hold", "queue_release", "queue_now"} & keys(app)
    app.button(key="queue_remake_shown_id-r1").click()
    app = pages.good(app.run())
    (entry,) = services.registry.queue.jobs.entries()
    assert entry.plan.cwd == str(services.workspace.root) and not app.error


def test_a_job_that_nobody_here_would_make_has_no_dead_buttons(services: Services) -> None:
    waiting(services, unset=("PATH",))
    assert not {"queue_hold", "queue_release", "queue_now", "queue_remake"} & keys(shown_job(services))


@pytest.mark.parametrize("place", ["train", "runs"])
def test_the_settings_of_a_job_that_waits_can_be_taken(services: Services, place: str) -> None:
    waiting(services, cwd="/another/workspace")
    app = shown_job(services)
    if place == "runs":
        app = select(pages.good(app.switch_page("pages/runs.py").run()), "r1")
    app.button(key="take_waiting" if place == "train" else "next_use_settings_runs").click()
    app = pages.good(pages.good(app.run()).run())
    assert app.session_state["train.learning_rate"] == "7e-7" and app.session_state["train.output_dir"] != "r1"
