"""The question that a busy machine asks is about the job that was started, on whatever page it is answered."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.jobs import kinds
from lfdash.ui.form.state import Form
from tests.support import app as pages
from tests.support.runs import launch, plan_for


def asked_on(page: str) -> AppTest:
    """A visit of a page, whose Start found the devices in use."""
    app = pages.good(pages.start().switch_page(page).run())
    kind = kinds.named(app.session_state["page.drawn_kind"])
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
    assert "x\\_y.job.json" in words and "lists within lists" in words and "nothing that waits is started" in words
    app.button(key="queue_aside_0_x_y.job.json").click()
    app = pages.good(app.run())
    assert sorted(path.name for path in folder.iterdir()) == ["settings.json", "x_y.job.json.unreadable"]
    app.button(key="queue_aside_0_settings.json").click()
    app = pages.good(app.run())
    assert not [item.key for item in app.button if (item.key or "").startswith("queue_aside")]
    assert not services.registry.queue.jobs.settings().paused
