"""The run that the address names, and what Back goes to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.ui.shared.answers import SHOWN
from tests.support import ROOT
from tests.support import app as pages
from tests.support.many import add_run


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    with pages.with_fake_runs(tmp_path / "workspace", monkeypatch) as found:
        for number, name in enumerate(("one", "two")):
            add_run(found.workspace.root, name, age=1000.0 * (number + 1))
        found.registry.refresh()
        yield found


def test_back_shows_the_run_of_the_address_and_a_choice_goes_there(services: Services) -> None:
    app = pages.good(pages.start().run())
    assert app.query_params["run"] == "id-one"
    app.session_state[SHOWN] = "id-two"  # chosen on the page
    app = pages.good(app.run())
    assert app.query_params["run"] == "id-two"
    app.query_params["run"] = "id-one"  # as Back does it
    app = pages.good(app.run())
    assert app.session_state[SHOWN] == "id-one" and app.query_params["run"] == "id-one"
    app.session_state[SHOWN] = "id-two"
    assert pages.good(app.run()).query_params["run"] == "id-two"


@pytest.mark.parametrize("word", ["id-late", "late"])
def test_a_run_that_was_started_elsewhere_just_now_is_there_at_once(services: Services, word: str) -> None:
    add_run(services.workspace.root, "late", age=5000.0)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
    app.query_params["run"] = word
    pages.good(app.run())
    assert app.query_params["run"] in ("id-late", ["id-late"])
    assert any('aria-level="2">late</span>' in item.proto.body for item in app.get("html"))


@pytest.mark.parametrize("kind", ["eval", "export"])
def test_the_address_of_a_run_of_another_kind_opens_it_where_it_belongs(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with pages.with_fake_runs(workspace, monkeypatch) as services:
        add_run(workspace, "one")
        add_run(workspace, "measured", kind=kind)
        services.registry.refresh()
        for word in ("id-measured", "measured"):
            app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
            app.query_params["run"] = word
            pages.good(app.run())
            assert app.query_params["run"] in ("id-measured", ["id-measured"])
            assert app.session_state["page.entered_kind"] == kind and app.session_state[SHOWN] == "id-measured"
        app = pages.good(app.switch_page("app.py").run())  # by the navigation: nobody asks for that run there
        assert app.session_state["page.entered_kind"] == "train"
