"""The frame of every page: all pages are linked, and the language is the browser's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services, settings
from lfdash.jobs.kinds import KINDS
from lfdash.locales import available, in_language
from lfdash.ui.shared import layout, page_script
from lfdash.ui.shared.text import LANGUAGE
from tests.support import ROOT
from tests.support import app as pages


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with pages.opened(tmp_path / "workspace") as found:
        found._started = True  # its thread would look at the runs at moments of its own
        yield found


def listed() -> list[tuple[str, str]]:
    """The pages that are linked to at the top."""
    return [(path, key) for path, key in layout.PAGES if path not in layout.UNLISTED]


def test_every_page_that_there_is_can_be_gone_to(services: Services) -> None:
    here = {"app.py", *(f"pages/{path.name}" for path in (ROOT / "pages").glob("*.py"))}
    assert {path for path, _ in layout.PAGES} == here >= {kind.page for kind in KINDS}
    app = pages.start()
    assert [link.proto.label for link in app.get("page_link")] == [in_language("en", key) for _, key in listed()]


def sent(app: AppTest) -> str:
    """The script that the browser got."""
    (script,) = [str(item.value) for item in app.get("html") if "lfdashWords" in str(item.value)]
    return script


def test_the_language_is_the_browsers_and_another_one_keeps_its_own(services: Services) -> None:
    settings(services).save({"other": 1})
    app = pages.start()
    assert app.session_state[LANGUAGE] == "en" and '"chosen": null' in sent(app)
    pages.speak(app, "ru")
    assert '"chosen": "ru"' in sent(app)
    assert settings(services).load() == {"other": 1}
    with mock.patch.object(page_script, "kept_language", return_value="ru"):
        again = pages.start()
    assert again.session_state[LANGUAGE] == "ru"
    assert [link.proto.label for link in again.get("page_link")] == [in_language("ru", key) for _, key in listed()]
    assert pages.start().session_state[LANGUAGE] == "en"


@pytest.mark.parametrize("kept", ["xx", "", "<script>", "en; Path=/"])
def test_a_kept_language_that_there_is_not_is_english(services: Services, kept: str) -> None:
    assert kept not in available()
    with mock.patch.object(page_script, "kept_language", return_value=kept):
        assert pages.start().session_state[LANGUAGE] == "en"


def test_a_workspace_that_was_moved_is_said_on_every_page(services: Services) -> None:
    moved = services.workspace.root.rename(services.workspace.root.with_name("moved"))
    app = pages.start()
    for page, _ in layout.PAGES:
        app = pages.good(app.switch_page(page).run())
        assert any("is no longer at" in item.value and "workspace" in item.value for item in app.error), page
    settings(services).save({"language": "de"})
    assert not services.workspace.root.exists()
    moved.rename(services.workspace.root)
    app = pages.good(app.run())
    assert not app.error and services.registry.identity.is_here()
