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

from lfdash.data import cache
from lfdash.data import preview as previews
from lfdash.data.cache import asked
from lfdash.data.counting import Counter
from lfdash.data.preview import Counted, count_rows
from lfdash.data.usable import Usable
from lfdash.engine.services import Services
from lfdash.ui.data import new, page
from lfdash.ui.shared.text import markdown_safe, t
from tests.support import app as pages

INFO = {
    "rows": {
        "file_name": "rows.json", "columns": {"prompt": "ask", "chosen": "ask", "rejected": "ask"}, "ranking": True,
    },
    "broken": {"file_name": "broken.json"}, "online": {"hf_hub_url": "some/where"},
    "outside": {"file_name": "../../secret.json"}, "nowhere": {"columns": {"prompt": "ask"}},
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
    assert said[t("ui.data_columns")] == "prompt ← ask, chosen ← ask, rejected ← ask"
    assert list(rows["ask"]) == ["one", "two"]


def test_what_is_broken_or_elsewhere_is_told(app: AppTest) -> None:
    assert "broken.json" in " ".join(item.value for item in pick(app, "broken").error).replace("\\", "")
    pick(app, "online")
    assert [item.value for item in app.info] == [t("ui.data_online")] and not app.error and not app.dataframe
    pick(app, "nowhere")
    assert ["file_name" in item.value.replace("\\", "") for item in app.error] == [True] and not app.info


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
    services.data.counter = Counter(lambda path, told: count_rows(path, told) if go.wait(60) else None, Counted)
    services.data.checks = Counter(lambda key, told: asked(key, told) if go.wait(60) else None, Usable)
    monkeypatch.setattr(cache, "SMALL", 0)
    data, looks = services.workspace.data, pages.looks(monkeypatch)
    try:
        (data / "rows.json").write_text(json.dumps([{"ask": "one"}] * 500))
        (data / "broken.json").write_text('[{"a": 1},\n' * 1 + '{"a": 2},\n' * 500 + "{]")
        shown = [pick(app, name).dataframe[0].value[t("ui.data_rows")][0] for name in ("broken", "rows")]
        assert shown == [t("ui.data_counting", share="0%")] * 2 and not app.error
        assert len(app.dataframe[1].value) == 50
        assert looks == [page.COUNTING_S] * 2  # the page looks again by itself
        assert t("ui.data_looking", share="0%") in [item.value for item in app.caption]
        go.set()
        assert services.data.counter.settle(60) and services.data.checks.settle(60)
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
    assert list(pick(hostile, "good").dataframe[1].value["ask"]) == ["one"]
    assert "“instruction”" in hostile.error[0].value  # which LLaMA-Factory takes by itself, and no row has
    facts = pick(hostile, "columns").dataframe[0].value.to_dict("records")[0]
    assert facts[t("ui.data_columns")] == f"a ← {HALF}"
    pick(hostile, "online")
    assert not hostile.error


@pytest.mark.parametrize("name", ["digits", "deep", "pipe"])
def test_a_spoiled_file_is_named(hostile: AppTest, name: str) -> None:
    (error,) = pick(hostile, name).error
    assert f"{name}.json" in error.value and hostile.dataframe[0].value[t("ui.data_rows")][0] == t("cli.not_known")


def test_half_a_character_in_a_cell_is_named_and_shown(hostile: AppTest) -> None:
    rows = pick(hostile, "half").dataframe[1].value
    assert rows.to_dict("records") == [{"a": HALF, HALF: '[["x"]]'}]
    assert any("half.json" in item.value for item in hostile.warning)


def test_a_file_whose_name_is_no_text_is_named_and_not_offered(hostile: AppTest) -> None:
    hostile.session_state[new.SOURCE] = "local"
    pages.good(hostile.run())
    assert "unnamed" in " ".join(item.value for item in hostile.warning)
    assert list(pages.widget(hostile, "selectbox", new.LOCAL).options) == [t("ui.data_local_pick"), "more.json"]


def test_the_train_page_is_usable_beside_them(hostile: AppTest) -> None:
    hostile.switch_page("app.py")
    pages.good(hostile.run())
    offered = pages.widget(hostile, "multiselect", "train.dataset").options
    assert "good" in offered and HALF not in offered
    pages.widget(hostile, "multiselect", "train.dataset").set_value(["good", "pipe", "digits"])
    pages.good(hostile.run())


# -- rows that are left out --------------------------------------------------------------------------------

TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


@pytest.fixture
def earlier(tmp_path: Path) -> Iterator[AppTest]:
    """The Data page of a workspace with a dataset that an earlier version added: no tag for system turns."""
    data = tmp_path / "workspace" / "data"
    data.mkdir(parents=True)
    rows = [{"messages": [*([{"role": "system", "content": "s"}] if n % 3 else []), *TURNS]} for n in range(60)]
    (data / "chat.json").write_text(json.dumps(rows))
    entry = {"file_name": "chat.json", "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": TAGS,
             "num_samples": None}
    (data / "dataset_info.json").write_text(json.dumps({"chat": entry}))
    with pages.opened(tmp_path / "workspace") as services:
        services._started = True
        yield pages.good(pages.start().switch_page("pages/data.py").run())


def test_rows_that_are_left_out_are_named_and_one_click_away(earlier: AppTest) -> None:
    (told,) = earlier.warning
    assert "20 of 60 rows" in told.value and "rows\\: 2, 3, 5, 6" in told.value and not earlier.success
    earlier.toggle(key="data.left.chat").set_value(True)
    pages.good(earlier.run())
    table = earlier.dataframe[1].value
    assert list(table[t("ui.data_row")])[:3] == ["2", "3", "5"] and len(table) == 10
    assert "system" in table[t("ui.data_why")][0]


def test_an_entry_of_an_earlier_version_is_repaired_with_one_click(earlier: AppTest, tmp_path: Path) -> None:
    info = tmp_path / "workspace" / "data" / "dataset_info.json"
    before = info.read_text()
    assert '"system_tag": "system"' in earlier.code[0].value
    earlier.button(key="data.repair").click()
    pages.good(earlier.run())
    made = json.loads(info.read_text())["chat"]
    assert made["tags"] == {**TAGS, "system_tag": "system"} and made["file_name"] == "chat.json"
    assert info.with_name("dataset_info.json.1.old").read_text() == before
    said = [item.value for item in earlier.success]
    assert said == [t("ui.data_usable", usable="60", rows="60", stage="SFT"), t("ui.data_repaired", name="chat")]
    assert "data.repair" not in {item.key for item in earlier.button} and not earlier.warning


def test_an_entry_that_is_as_good_as_can_be_is_left_alone(earlier: AppTest, tmp_path: Path) -> None:
    data = tmp_path / "workspace" / "data"
    (data / "odd.json").write_text(json.dumps([{"instruction": "q", "output": "a"}, {"instruction": "q"}]))
    entry = {"file_name": "odd.json", "columns": {"prompt": "instruction", "response": "output"}}
    (data / "dataset_info.json").write_text(json.dumps({"odd": entry}))
    pages.good(earlier.run())
    assert "1 of 2 rows" in earlier.warning[0].value
    assert "data.repair" not in {item.key for item in earlier.button}
