"""The Data page: what it says of a dataset, and that it shows nothing from outside of the allowed folders."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.data import preview as previews
from lfdash.data.counting import Counter
from lfdash.data.preview import count_rows
from lfdash.engine.services import Services
from lfdash.ui.data import new, page
from lfdash.ui.shared.text import markdown_safe, t
from tests.support import app as pages

INFO = {
    "rows": {"file_name": "rows.json", "columns": {"prompt": "ask"}, "ranking": True},
    "broken": {"file_name": "broken.json"}, "online": {"hf_hub_url": "some/where"},
    "outside": {"file_name": "../../secret.json"},
}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    root = tmp_path_factory.mktemp("data") / "workspace"
    (root / "data").mkdir(parents=True)
    (root / "data" / "rows.json").write_text(json.dumps([{"ask": "one"}, {"ask": "two"}]))
    (root / "data" / "broken.json").write_text('[{"a": 1},\n {]')
    (root.parent / "secret.json").write_text(json.dumps([{"ask": "hidden words"}]))
    (root / "data" / "dataset_info.json").write_text(json.dumps(INFO))
    shutil.copytree(root / "data", root.parent / "other")
    with pages.opened(root) as found:
        found._started = True  # its thread would look at the runs at moments of its own
        yield found


@pytest.fixture(scope="module")
def app(services: Services) -> AppTest:
    return pages.good(pages.start().switch_page("pages/data.py").run())


def pick(app: AppTest, name: str) -> AppTest:
    app.selectbox(key=page.PICK).set_value(name)
    return pages.good(app.run())


def test_a_dataset_says_its_facts_and_its_first_rows(app: AppTest) -> None:
    facts, rows = [item.value for item in pick(app, "rows").dataframe]
    (said,) = facts.to_dict("records")
    assert said[t("ui.data_rows")] == "2" and said[t("ui.data_ranked")] == t("ui.on")
    assert said[t("ui.data_columns")] == "prompt ← ask" and list(rows["ask"]) == ["one", "two"]


def test_what_is_broken_or_elsewhere_is_told(app: AppTest) -> None:
    assert "broken.json" in " ".join(item.value for item in pick(app, "broken").error).replace("\\", "")
    pick(app, "online")
    assert [item.value for item in app.info] == [t("ui.data_online")] and not app.error and not app.dataframe


def test_a_file_or_a_folder_outside_is_not_shown(app: AppTest) -> None:
    pick(app, "outside")
    assert len(app.error) == 1 and "secret.json" in app.error[0].value and not app.dataframe
    app.session_state[page.FOLDER] = "../other"
    pages.good(app.run())
    assert [item.value for item in app.error] == [markdown_safe(t("problems.name_outside", value="../other"))]
    assert not app.dataframe and page.PICK not in {item.key for item in app.selectbox}
    app.session_state[page.FOLDER] = ""
    pages.good(app.run())


def test_a_large_file_is_counted_beside_the_page(
    app: AppTest, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are there at once; what is not known is not said; a line that is broken far behind is named then."""
    monkeypatch.setattr(previews, "START", 1000)
    go = threading.Event()
    services.data.counter = Counter(lambda path, told: count_rows(path, told) if go.wait(60) else None)
    data, looks = services.workspace.data, pages.looks(monkeypatch)
    try:
        (data / "rows.json").write_text(json.dumps([{"ask": "one"}] * 500))
        (data / "broken.json").write_text('[{"a": 1},\n' * 1 + '{"a": 2},\n' * 500 + "{]")
        shown = [pick(app, name).dataframe[0].value[t("ui.data_rows")][0] for name in ("broken", "rows")]
        assert shown == [t("ui.data_counting", share="0%")] * 2 and not app.error
        assert len(app.dataframe[1].value) == 50
        assert looks == [page.COUNTING_S] * 2  # the page looks again by itself
        go.set()
        assert services.data.counter.settle(60)
        assert pick(app, "rows").dataframe[0].value[t("ui.data_rows")][0] == "500" and not app.error
        (error,) = pick(app, "broken").error
        assert looks[-2:] == [None] * 2 and "502" in error.value
        assert app.dataframe[0].value[t("ui.data_rows")][0] == t("cli.not_known")
    finally:
        (data / "rows.json").write_text(json.dumps([{"ask": "one"}, {"ask": "two"}]))
        (data / "broken.json").write_text('[{"a": 1},\n {]')


# -- as somebody fills it who means no good --------------------------------------------------------------

HALF = "\\ud800"
HOSTILE = {
    "digits": '{"file_name": "digits.json"}', "deep": '{"file_name": "deep.json"}',
    "half": '{"file_name": "half.json"}',
    "pipe": '{"file_name": "pipe.json"}', "list": '{"file_name": "rows.json", "columns": []}',
    "null": '{"file_name": "rows.json", "columns": null}', HALF: '{"file_name": "rows.json"}',
    "name": f'{{"file_name": "{HALF}.json"}}', "columns": f'{{"file_name": "rows.json", "columns": {{"a": "{HALF}"}}}}',
    "online": f'{{"hf_hub_url": "{HALF}"}}', "good": '{"file_name": "rows.json"}',
}


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[AppTest]:
    """The Data page of a workspace in which nearly every entry is spoiled."""
    data = tmp_path / "workspace" / "data"
    data.mkdir(parents=True)
    info = ", ".join(f'"{name}": {entry}' for name, entry in HOSTILE.items())
    (data / "dataset_info.json").write_text(f"{{{info}}}")
    (data / "rows.json").write_text(json.dumps([{"ask": "one"}]))
    (data / "digits.json").write_text('[{"a": ' + "9" * 5000 + "}]")
    (data / "deep.json").write_text("[" * 200_000)
    (data / "half.json").write_text(f'[{{"a": "{HALF}", "{HALF}": [["x"]]}}]')
    (data / "more.json").write_text("[]")
    (data / os.fsdecode(b"unnamed\xff.json")).write_text("[]")
    os.mkfifo(data / "pipe.json")
    with pages.opened(tmp_path / "workspace") as services:
        services._started = True
        yield pages.good(pages.start().switch_page("pages/data.py").run())


def test_entries_that_cannot_be_used_are_named_and_the_others_shown(hostile: AppTest) -> None:
    assert list(hostile.selectbox(key=page.PICK).options) == [
        "digits", "deep", "half", "pipe", "columns", "online", "good",
    ]
    (told,) = hostile.warning
    for name in ("list", "null", "name", HALF):
        assert f"“{name}" in told.value.replace("\\\\", "\\")
    assert list(pick(hostile, "good").dataframe[1].value["ask"]) == ["one"] and not hostile.error
    facts = pick(hostile, "columns").dataframe[0].value.to_dict("records")[0]
    assert facts[t("ui.data_columns")] == f"a ← {HALF}" and not hostile.error
    pick(hostile, "online")
    assert not hostile.error


@pytest.mark.parametrize("name", ["digits", "deep", "pipe"])
def test_a_spoiled_file_is_named(hostile: AppTest, name: str) -> None:
    (error,) = pick(hostile, name).error
    assert f"{name}.json" in error.value and hostile.dataframe[0].value[t("ui.data_rows")][0] == t("cli.not_known")


def test_half_a_character_in_a_cell_is_named_and_shown(hostile: AppTest) -> None:
    rows = pick(hostile, "half").dataframe[1].value
    assert rows.to_dict("records") == [{"a": HALF, HALF: '[["x"]]'}] and not hostile.error
    assert "half.json" in hostile.warning[1].value


def test_a_file_whose_name_is_no_text_is_named_and_not_offered(hostile: AppTest) -> None:
    hostile.session_state[new.SOURCE] = "local"
    pages.good(hostile.run())
    assert "unnamed" in " ".join(item.value for item in hostile.warning)
    assert list(hostile.selectbox(key=new.LOCAL).options) == ["more.json"]


def test_the_train_page_is_usable_beside_them(hostile: AppTest) -> None:
    hostile.switch_page("app.py")
    pages.good(hostile.run())
    offered = hostile.multiselect(key="train.dataset").options
    assert "good" in offered and HALF not in offered
    hostile.multiselect(key="train.dataset").set_value(["good", "pipe", "digits"])
    pages.good(hostile.run())
