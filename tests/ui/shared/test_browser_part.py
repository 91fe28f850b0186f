"""A part that the browser draws: what travels with each message, and what does not."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.ui.shared import browser_part
from lfdash.ui.shared.browser_part import FOLDER
from tests.support import PROGRAMS

APP = PROGRAMS / "browser_part/app.py"


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page takes its part from its own folder; no other test does."""
    monkeypatch.setattr(browser_part, "FOLDER", browser_part.FOLDER)


def message(app: AppTest):  # type: ignore[no-untyped-def]
    return app.main.children[0].children[0].proto


def test_a_message_names_the_file_and_holds_the_data_alone() -> None:
    app = AppTest.from_file(str(APP)).run()
    sent = message(app)
    assert (sent.component_name, sent.js_source_path, sent.js_content) == ("lfdash.counter", "counter.js", "")
    assert (sent.css_source_path, sent.css_content, sent.html_content) == ("", "", "")
    assert sent.json == '{"n": 1}' and sent.ByteSize() < 250
    assert app.run() is app and message(app).id == sent.id and message(app).json == '{"n": 2}'


def test_another_server_in_the_same_process_draws_it_too() -> None:
    assert [message(AppTest.from_file(str(APP)).run()).js_source_path for _ in range(2)] == ["counter.js"] * 2


def test_the_files_lie_in_the_package() -> None:
    assert FOLDER.name == "browser" and FOLDER.parent.name == "ui"
