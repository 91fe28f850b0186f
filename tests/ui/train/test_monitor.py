"""Which run the page shows, and what its configuration tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.launchers.fake import FakeLauncher
from lfdash.runs.alerts import file
from lfdash.runs.alerts.alert import Alert
from lfdash.runs.view import Stall
from lfdash.ui.shared.answers import SHOWN
from lfdash.ui.shared.text import t
from lfdash.ui.train import monitor
from tests.support import app as pages
from tests.support.many import add_run
from tests.support.runs import launch, plan_for

TOKEN = "own-secret-0123456789"  # only the registry knows that it is one


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with pages.opened(tmp_path / "workspace") as found:
        found.registry.launchers.default = FakeLauncher()
        found._started = True  # its thread would look at the runs at moments of its own
        yield found


def monitor_page() -> None:
    import streamlit as st

    from lfdash.jobs.kinds import DEFAULT
    from lfdash.ui.form.state import Form
    from lfdash.ui.shared.session import shared_services
    from lfdash.ui.train import monitor
    from lfdash.ui.train.log import draw_log

    form = Form(shared_services(), DEFAULT)
    view = monitor.shown(form)
    st.session_state["shown"] = view.run_id if view else None
    if view is not None:
        feed = form.services.feeds.of(view.paths)
        monitor.draw_configuration(form.services, view, feed)
        draw_log(form.services, view, feed)


def visit() -> AppTest:
    return pages.good(AppTest.from_function(monitor_page).run())


def test_the_run_that_was_chosen_is_shown_else_the_live_one_else_the_newest(services: Services) -> None:
    assert visit().session_state["shown"] is None
    add_run(services.workspace.root, "old", age=9000)
    add_run(services.workspace.root, "new", age=5000)
    add_run(services.workspace.root, "scores", kind="eval", age=60)  # is of another page
    services.registry.refresh()
    app = visit()
    assert app.session_state["shown"] == "id-new"
    launch(services.registry, plan_for(services.workspace.root, name="live"))
    add_run(services.workspace.root, "newest", age=-60)
    services.registry.refresh()
    assert pages.good(app.run()).session_state["shown"] == "id-live"
    app.query_params["run"] = "id-old"
    assert pages.good(app.run()).session_state["shown"] == "id-old"
    app.session_state[SHOWN] = "id-newest"
    assert pages.good(app.run()).session_state["shown"] == "id-newest"
    app.session_state[SHOWN] = "id-scores"
    assert pages.good(app.run()).session_state["shown"] == "id-old"
    app.query_params["run"] = "id-none"  # no other one in its place: its Stop would be another's
    assert pages.good(app.run()).session_state["shown"] is None


def test_a_configuration_is_shown_as_it_was_without_secrets(services: Services) -> None:
    add_run(services.workspace.root, "old", args={"hf_hub_token": "private-1", "run_note": f"a {TOKEN} b"})
    services.registry.set_secret("HF_TOKEN", TOKEN)
    services.registry.refresh()
    (shown,) = [item.value for item in visit().code]
    assert "learning_rate: 0.0002" in shown and "run_note: a " in shown
    assert TOKEN not in shown and "private-1" not in shown


def test_a_run_without_a_configuration_says_so(services: Services) -> None:
    add_run(services.workspace.root, "old").training_args.unlink()
    services.registry.refresh()
    app = visit()
    assert not app.code and t("ui.no_configuration") in [item.value for item in app.caption]


def look_page() -> None:
    import streamlit as st

    from lfdash.jobs.kinds import DEFAULT
    from lfdash.ui.form.state import Form
    from lfdash.ui.shared.session import shared_services
    from lfdash.ui.train import monitor

    form = Form(shared_services(), DEFAULT)
    view = monitor.shown(form)
    st.session_state["news"] = monitor.news_of(form.services, view, DEFAULT, st.session_state.get("marks"))()
    st.session_state["marks"] = monitor.marks(form.services, view, None)


def test_only_news_has_the_run_drawn_again(services: Services) -> None:
    app = AppTest.from_function(look_page)

    def news() -> bool:
        return bool(pages.good(app.run()).session_state["news"])

    assert [news(), news()] == [True, False]  # no run is shown
    paths = add_run(services.workspace.root, "old", steps=4)
    services.registry.refresh()
    assert [news(), news()] == [True, False]
    with paths.trainer_log.open("a") as log:
        log.write('{"current_steps": 5, "total_steps": 9, "loss": 1.0}\n')
    assert [news(), news()] == [True, False]
    paths.console.write_text("a line more\n")
    assert [news(), news()] == [True, False]
    app.session_state["page.tab_train"] = "files"
    assert not news(), "a run that is over has no more files"
    launch(services.registry, plan_for(services.workspace.root, name="live"))
    services.registry.refresh()
    assert [news(), news()] == [True, True]


def test_what_is_wrong_with_a_run_is_what_runs_marks(services: Services) -> None:
    add_run(services.workspace.root, "one")
    services.registry.refresh()
    view = services.registry.get("id-one")
    assert view is not None and monitor.wrong(services, view) == () == monitor.wrong(services, None)
    file.append(view.paths.alerts, Alert("nan", "id-one", "one", view.attempt, "", 5, 0.0))
    file.append(view.paths.alerts, Alert("diverged", "id-one", "one", view.attempt + 1, "", 5, 0.0))  # another
    file.append(view.paths.alerts, Alert("plateau", "id-one", "one", view.attempt, "", 5, 0.0))
    stalled = replace(view, stall=Stall(960.0, 9.0))
    assert monitor.wrong(services, view) == ("dead",) and monitor.wrong(services, stalled) == ("stalled", "dead")
