"""The Data page: what it says of a dataset, and that it shows nothing from outside of the allowed folders."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.ui.data import page
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
