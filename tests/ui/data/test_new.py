"""Adding a dataset that lies in the data folder: recognised, mapped, written; nothing is overwritten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.ui.data import new
from lfdash.ui.shared.text import t
from tests.support import app as pages

ROW = {"instruction": "ask", "output": "say"}


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "workspace" / "data"
    folder.mkdir(parents=True)
    (folder / "my rows.json").write_text(json.dumps([ROW]))
    (folder / "odd.json").write_text(json.dumps([{"x": 1}]))
    (folder / "dataset_info.json").write_text(json.dumps({"there": {"hf_hub_url": "a/b"}}))
    with pages.opened(tmp_path / "workspace") as services:
        services._started = True  # its thread would look at the runs at moments of its own
        yield folder


def chosen(name: str) -> AppTest:
    """The Data page with a file of the folder chosen."""
    app = pages.good(pages.start().switch_page("pages/data.py").run())
    app.session_state[new.SOURCE] = "local"
    pages.good(app.run())
    app.selectbox(key=new.LOCAL).set_value(name)
    return pages.good(app.run())


def add(app: AppTest, name: str) -> AppTest:
    app.text_input(key=new.NAME).set_value(name)
    pages.good(app.run())
    app.button(key="data.add").click()
    return pages.good(app.run())


def entries(data: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((data / "dataset_info.json").read_text())
    return found


def test_a_file_is_recognised_and_its_entry_written(data: Path) -> None:
    app = chosen("my rows.json")
    assert (app.session_state[new.NAME], app.session_state[new.FORMAT]) == ("my_rows", "alpaca")
    add(app, "mine")
    assert entries(data)["there"] == {"hf_hub_url": "a/b"}
    assert entries(data)["mine"]["file_name"] == "my rows.json"  # type: ignore[index]
    assert [item.value for item in app.success] == [t("ui.data_added", name="mine")]


@pytest.mark.parametrize("name", ["there", "../up", ""])
def test_a_name_that_is_taken_or_none_changes_nothing(data: Path, name: str) -> None:
    before = entries(data)
    app = add(chosen("my rows.json"), name)
    assert len(app.error) == 1 and not app.success and entries(data) == before


def test_a_file_of_no_known_format_says_what_is_missing(data: Path) -> None:
    app = chosen("odd.json")
    assert app.session_state[new.FORMAT] is None and app.button(key="data.add").disabled
    assert app.button(key="data.add").help == t("ui.data_need_format")
    app.session_state[new.FORMAT] = "alpaca"
    pages.good(app.run())
    assert app.button(key="data.add").disabled and app.button(key="data.add").help != t("ui.data_need_format")


def test_a_column_whose_name_is_no_text_is_not_offered(data: Path) -> None:
    (data / "half.json").write_text('[{"\\ud800": "x", "ask": "y"}]')
    app = chosen("half.json")
    app.session_state[new.FORMAT] = "text"
    pages.good(app.run())
    assert list(app.selectbox(key="data.role.prompt").options) == ["ask"]
