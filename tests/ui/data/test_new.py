"""Adding a dataset that lies in the data folder: recognised, mapped, written; nothing is overwritten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.data.dataset_info import is_name
from lfdash.ui.data import new, train_with
from lfdash.ui.shared.text import markdown_safe, t
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
    pages.widget(app, "selectbox", new.LOCAL).set_value(name)
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
    usable = t("ui.data_usable", usable="1", rows="1", stage="SFT")
    assert [item.value for item in app.success] == [markdown_safe(t("ui.data_added", name="mine")), usable]
    # the form is empty again, and the page shows what was added
    assert app.session_state[new.LOCAL] is None and "data.add" not in {item.key for item in app.button}
    assert app.selectbox(key=train_with.PICK).value == "mine"


@pytest.mark.parametrize("name", ["there", "../up", ""])
def test_a_name_that_is_taken_or_none_changes_nothing(data: Path, name: str) -> None:
    before = entries(data)
    app = add(chosen("my rows.json"), name)
    assert len(app.error) == 1 and train_with.ADDED not in app.session_state and entries(data) == before


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
    assert list(pages.widget(app, "selectbox", "data.role.prompt").options) == [t("ui.not_set"), "ask"]


def words(app: AppTest, kind: str) -> str:
    return "\n".join(item.value for item in getattr(app, kind))


def test_a_system_turn_in_a_late_row_gets_its_tag_and_all_rows_are_usable(data: Path) -> None:
    """The form that OpenAI's own files have: 40 of 60 rows were dropped, and the page said that all fit."""
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [{"messages": turns}] * 55 + [{"messages": [{"role": "system", "content": "s"}, *turns]}] * 5
    (data / "chat.jsonl").write_text("\n".join(map(json.dumps, rows)))
    app = chosen("chat.jsonl")
    assert words(app, "success") == t("ui.data_usable", usable="60", rows="60", stage="SFT")
    add(app, "chat")
    assert entries(data)["chat"]["tags"]["system_tag"] == "system"  # type: ignore[index]


def test_rows_that_are_left_out_are_told_before_it_is_added(data: Path) -> None:
    (data / "qa.csv").write_text("question,answer\nq,a\nq,\nq,b\n")
    app = chosen("qa.csv")
    assert "2 of 3 rows" in words(app, "warning") and not app.button(key="data.add").disabled


def test_what_would_end_llamafactory_cannot_be_added(data: Path) -> None:
    (data / "numbers.json").write_text(json.dumps([{"question": "q", "answer": 4}]))
    app = chosen("numbers.json")
    assert app.session_state[new.FORMAT] is None and "“answer” contains a number" in words(app, "warning")
    app.session_state[new.FORMAT] = "alpaca"
    app.session_state["data.role.prompt"], app.session_state["data.role.response"] = "question", "answer"
    pages.good(app.run())
    assert app.button(key="data.add").disabled and "0 of 1 rows" in words(app, "error")


def test_an_empty_or_broken_file_is_named_by_its_own_name(data: Path) -> None:
    (data / "none.json").write_text("[]")
    assert "none.json contains no rows" in words(chosen("none.json"), "error").replace("\\", "")


def uploaded(name: str, content: bytes) -> AppTest:
    app = pages.good(pages.start().switch_page("pages/data.py").run())
    app.file_uploader(key=f"{new.UPLOAD}.0").set_value((name, content, "text/plain"))
    return pages.good(app.run())


def test_an_uploaded_file_is_written_and_the_box_is_empty_again(data: Path) -> None:
    app = uploaded("my own.jsonl", json.dumps(ROW).encode())
    assert (app.session_state[new.NAME], app.session_state[new.FORMAT]) == ("my_own", "alpaca")
    add(app, "own")
    assert json.loads((data / "own.jsonl").read_text()) == ROW
    assert entries(data)["own"]["file_name"] == "own.jsonl"  # type: ignore[index]
    assert app.file_uploader(key=f"{new.UPLOAD}.1").value is None


def test_a_broken_upload_is_told_by_its_own_name(data: Path) -> None:
    app = uploaded("my own.jsonl", b"{\"a\" 1}")
    assert "my own.jsonl has a syntax error in line 1" in words(app, "error").replace("\\", "")


def test_beside_the_box_stands_the_way_for_larger_files(data: Path) -> None:
    app = pages.good(pages.start().switch_page("pages/data.py").run())
    assert any(t("ui.data_from_local") in item.value and "MB" in item.value for item in app.caption)


@pytest.mark.parametrize(("row", "stage"), [(ROW, "sft"), ({"text": "a"}, "pt"), ({**ROW, "label": True}, "kto")])
def test_train_with_it_chooses_the_dataset_and_a_stage_that_takes_it(
    data: Path, row: dict[str, object], stage: str
) -> None:
    (data / "mine.json").write_text(json.dumps([row]))
    app = add(chosen("mine.json"), "mine")
    app.button(key="data.train_added").click()
    pages.good(app.run())
    assert app.session_state[train_with.DATASET] == ["mine"] and app.session_state[train_with.STAGE] == stage
    assert app.button(key="start") is not None  # the Train page


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("my own.v2", "my_own.v2"),
        ("<b>x</b>&\"'", "b_x_b"), ("数据", "data_数据"), ("😀", "data"), ("_a-", "a"), ("x" * 90, "x" * 60),
    ],
)
def test_a_suggested_name_is_one_that_can_be_added(stem: str, name: str) -> None:
    assert new.suggested(stem) == name and is_name(name)


def test_the_button_that_adds_offers_no_way_on_for_another_dataset(data: Path) -> None:
    """Two buttons of one name stood there, the upper one for the dataset that was added."""
    app = add(chosen("my rows.json"), "mine")
    assert "data.train_added" in {item.key for item in app.button}
    app.selectbox(key=train_with.PICK).set_value("there")
    pages.good(app.run())
    keys = [str(item.key) for item in app.button if item.label == t("ui.data_train")]
    assert "data.train_added" not in keys and len(keys) == 1
    app.selectbox(key=train_with.PICK).set_value("mine")
    pages.good(app.run())
    assert "data.train_added" not in {item.key for item in app.button}
