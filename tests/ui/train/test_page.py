"""The page of every kind of job: its title, what it offers, and the form that is its own."""

from __future__ import annotations

from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.jobs.kinds import BY_NAME, DEFAULT, KINDS, JobKind
from lfdash.ui.shared import layout
from lfdash.ui.shared.text import t
from lfdash.ui.train.monitor import DETAILS
from tests.support import app as pages
from tests.support.many import add_run

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def visit(kind: JobKind) -> AppTest:
    """A visit of its page, after the first one that a browser shows."""
    app = pages.start()
    return app if kind is DEFAULT else pages.good(app.switch_page(kind.page).run())


def keys(app: AppTest) -> set[str]:
    return {button.key for button in app.button}


@every_kind
def test_its_page_says_what_it_is(services: Services, kind: JobKind) -> None:
    with mock.patch.object(layout.st, "set_page_config") as told:
        app = visit(kind)
    assert told.call_args.kwargs["page_title"] == f"lfdash · {t(f'ui.page_{kind.name}')}"
    assert (kind.page, f"ui.page_{kind.name}") in layout.PAGES
    assert app.session_state[f"{kind.name}.output_dir"].startswith(
        "demo-" if kind.starts_from == "preset" else f"{kind.stem}-"
    )
    assert (services.workspace.private / f"draft-{kind.name}.json").is_file()


@every_kind
def test_it_offers_presets_and_the_queue_where_its_row_says_so(services: Services, kind: JobKind) -> None:
    app = visit(kind)
    offered = any((item.key or "").strip() == "page.preset_pick" for item in app.selectbox)
    assert offered is (kind.starts_from == "preset")
    assert {"start", "preview"} <= keys(app) and ("enqueue" in keys(app)) is kind.queued


@every_kind
def test_it_shows_its_own_runs_with_the_details_of_its_row(services: Services, kind: JobKind) -> None:
    for name in BY_NAME:
        add_run(services.workspace.root, f"run-of-{name}", kind=name)
    services.registry.refresh()
    app = visit(kind)
    assert app.query_params["run"] == f"id-run-of-{kind.name}"
    tabs = pages.widget(app, "button_group", f"page.tab_{kind.name}")
    assert tabs.options == [t(f"ui.tab_{tab}") for tab in kind.tabs] and set(kind.tabs) <= DETAILS.keys()
    said = [item.value for item in app.success]
    assert said and (not kind.done or said == [t("ui.succeeded", saved=t(kind.done))])
    assert bool(app.get("bidi_component")) is kind.trains
    assert ("next_use_settings_after" in keys(app)) is not kind.serves
