"""The output of the run that is shown: all of it, of that run, without secrets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.ui.shared.text import t
from tests.support import app as pages
from tests.support.many import add_run

TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with pages.opened(tmp_path / "workspace") as found:
        found._started = True  # its thread would look at the runs at moments of its own
        for name in ("one", "two"):
            add_run(found.workspace.root, name)
        found.registry.refresh()
        yield found


def log_page() -> None:
    import streamlit as st

    from lfdash.ui.shared.session import shared_services
    from lfdash.ui.train.log import draw_log, tail

    services = shared_services()
    view = services.registry.get(st.session_state["run"])
    assert view is not None
    draw_log(services, view, services.feeds.of(view.paths), tail(view))


def visit(run_id: str) -> AppTest:
    app = AppTest.from_function(log_page)
    app.session_state["run"] = run_id
    return pages.good(app.run())


def said(app: AppTest) -> str:
    return "".join(item.value for item in app.text)


def console(services: Services, name: str) -> Path:
    view = services.registry.get(f"id-{name}")
    assert view is not None
    return view.paths.console


def test_the_output_grows_and_another_run_has_its_own(services: Services) -> None:
    console(services, "one").write_text("first line\n")
    console(services, "two").write_text("of another\n")
    app = visit("id-one")
    with console(services, "one").open("a") as file:
        file.write("second line\n")
    shown = said(pages.good(app.run()))
    assert "first line" in shown and "second line" in shown
    app.session_state["run"] = "id-two"
    assert said(pages.good(app.run())).strip() == "of another"


def test_a_secret_that_a_run_prints_is_not_shown(services: Services) -> None:
    services.registry.set_secret("HF_TOKEN", TOKEN)
    console(services, "one").write_text(f"login with {TOKEN} done\n")
    shown = said(visit("id-one"))
    assert "login with " in shown and " done" in shown and TOKEN not in shown


def test_without_output_it_says_so(services: Services) -> None:
    app = visit("id-one")
    assert [item.value for item in app.caption] == [t("ui.log_empty")] and not app.text
