"""Data files and entries of dataset_info.json, on the Data page and on the Train page."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.data.preview import preview
from lfdash.data.report import report_file
from lfdash.engine.services import Services
from lfdash.ui.data import new, page, train_with
from lfdash.ui.shared.text import t
from tests.cases.table import CASES
from tests.support import PROGRAMS
from tests.support import app as pages
from tests.support.form_page import FormPage, demo
from tests.support.pseudo import ESCAPED


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    with demo(tmp_path / "workspace", monkeypatch) as found:
        yield found


def chosen(number: str, services: Services) -> AppTest:
    """The Data page, where the file of a case, the only one in the data folder, was chosen to be added."""
    name = CASES[number].file.name
    for path in services.workspace.data.iterdir():
        path.unlink()
    (services.workspace.data / "dataset_info.json").write_text("{}")
    shutil.copy(CASES[number].file, services.workspace.data / name)
    app = pages.good(pages.start().switch_page("pages/data.py").run())
    app.session_state[new.SOURCE] = "local"
    pages.good(app.run())
    pages.widget(app, "selectbox", new.LOCAL).set_value(name)
    return pages.good(app.run())


def add(app: AppTest, services: Services) -> dict[str, Any]:
    """Presses Add; the entry that was written."""
    name = app.session_state[new.NAME]
    app.button(key="data.add").click()
    pages.good(app.run())
    assert app.session_state[train_with.ADDED] == name
    entries = json.loads((services.workspace.data / "dataset_info.json").read_text())
    return dict(entries[name])


def said(app: AppTest, kind: str) -> list[str]:
    """Its boxes of a kind: success, warning, error."""
    return [ESCAPED.sub(r"\1", item.value) for item in getattr(app, kind)]


def usable(rows: int, stage: str = "SFT") -> str:
    """That all rows are usable."""
    return str(t("ui.data_usable", usable=f"{rows}", rows=f"{rows}", stage=stage))


def choose_format(app: AppTest, name: str, **roles: str) -> AppTest:
    """Chooses another format by hand, with a column for each role."""
    app.session_state[new.FORMAT] = name
    for role, column in roles.items():
        app.session_state[f"data.role.{role}"] = column
    return pages.good(app.run())


def choose(services: Services, name: str) -> FormPage:
    """The Train page with a dataset chosen."""
    train = FormPage(services)
    train.app.session_state[train_with.DATASET] = [name]
    return train.run()


# -- chats ------------------------------------------------------------------------------------------------

OPENAI = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
          "system_tag": "system"}


@pytest.mark.parametrize(
    ("number", "rows", "tags"),
    [("D01", 6, OPENAI), ("D03", 3, {**OPENAI, "user_tag": "human", "assistant_tag": "gpt"})],
)
def test_d_a_chat(number: str, rows: int, tags: dict[str, str], services: Services) -> None:
    app = chosen(number, services)
    assert app.session_state[new.FORMAT] == "sharegpt"
    assert (said(app, "success"), said(app, "warning"), said(app, "error")) == ([usable(rows)], [], [])
    made = add(app, services)
    assert made["tags"] == tags and made["columns"] == {"messages": "messages"}
    name = CASES[number].file.stem
    counted = services.data.usable("data", name, "sft")
    assert counted is not None and counted.found is not None
    assert (counted.found.rows, counted.found.usable, counted.found.problems) == (rows, rows, ())
    app.button(key="data.train_added").click()
    assert pages.good(app.run()).session_state[train_with.DATASET] == [name]
    train = choose(services, name)
    assert not [line for line in [*train.told(), *train.warnings] if name in line]


def test_d05_pairs_whose_answers_are_turns(services: Services) -> None:
    app = chosen("D05", services)
    assert app.session_state[new.FORMAT] is None and app.button(key="data.add").disabled
    (told,) = said(app, "warning")
    assert "“chosen, rejected”" in told and "turns" in told
    choose_format(app, "pairs", prompt="prompt", chosen="chosen", rejected="rejected")
    assert app.button(key="data.add").disabled
    assert any("0 of 3 rows" in text for text in said(app, "error"))


def test_d07_a_mark_of_kto_as_text(services: Services) -> None:
    app = chosen("D07", services)
    assert app.session_state[new.FORMAT] == "alpaca"
    (told,) = said(app, "warning")
    assert "“label”" in told and "KTO" in told and said(app, "success") == [usable(3)]
    choose_format(app, "kto", prompt="prompt", response="completion", kto_tag="label")
    assert app.button(key="data.add").disabled
    assert any("0 of 3 rows" in text for text in said(app, "error"))


# -- entries made by hand ---------------------------------------------------------------------------------

WRONG = {  # name -> a word that says what is wrong with the entry
    "typo_format": "“format”", "no_tags": "role_tag", "wrong_column": "“question”", "gone": "gone.json",
    "unknown_format": "“chatml”",
}


@pytest.fixture
def by_hand(services: Services) -> Services:
    for number in ("D01", "D07"):
        shutil.copy(CASES[number].file, services.workspace.data)
    shutil.copy(CASES["D09"].file, services.workspace.data / "dataset_info.json")
    assert set(json.loads(CASES["D09"].text)) == set(WRONG)
    return services


@pytest.mark.parametrize("name", WRONG)
def test_d09_an_entry_that_does_not_fit(name: str, by_hand: Services) -> None:
    app = pages.good(pages.start().switch_page("pages/data.py").run())
    app.selectbox(key=page.PICK).set_value(name)
    pages.good(app.run())
    errors, told = said(app, "error"), said(app, "error") + said(app, "warning")
    assert errors and any(WRONG[name] in text for text in told) and said(app, "success") == []
    train = choose(by_hand, name)
    assert any(WRONG[name] in line for line in [*train.told(), *train.warnings])
    assert any(line.startswith("Datasets") for line in train.told()) and train.start() == []


# -- files in which JSON stands otherwise -----------------------------------------------------------------


@pytest.mark.parametrize(("number", "rows"), [("D11", 2), ("D12", 3)])
def test_d_rows_that_llamafactory_reads(number: str, rows: int, services: Services) -> None:
    shown = preview(CASES[number].file)
    assert (len(shown.rows), shown.count, shown.problem, shown.warning) == (rows, rows, None, None)
    app = chosen(number, services)
    assert said(app, "success") == [usable(rows)] and said(app, "error") == []
    assert add(app, services)["columns"] == {"prompt": "instruction", "query": "input", "response": "output"}


def test_d13_a_list_behind_a_byte_order_mark(services: Services) -> None:
    problem = preview(CASES["D13"].file).problem
    assert problem is not None and problem.code == "data_bom"
    app = chosen("D13", services)
    assert [text for text in said(app, "error") if "byte order mark" in text] == said(app, "error") != []
    assert "data.add" not in {button.key for button in app.button}


# -- the same by LLaMA-Factory ----------------------------------------------------------------------------


def program(name: str, argument: Path) -> Any:
    """What a program of tests/programs answers."""
    command = [sys.executable, str(PROGRAMS / f"{name}.py"), str(argument)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=500, check=True).stdout)


@pytest.mark.train_env
def test_d_llamafactory_loads_as_many_rows(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in ("D11", "D12", "D13"):
        shutil.copy(CASES[number].file, folder)
    found = program("loaded_files", folder)
    assert (found["array.jsonl"], found["concatenated.jsonl"]) == (2, 3)
    assert found["array_bom.json"].startswith("DatasetGenerationError")


@pytest.mark.train_env
def test_d_llamafactory_trains_on_as_many_rows(tmp_path: Path) -> None:
    """By the entries that we write, and by those of somebody's hand."""
    asked = [{"entry": report_file(CASES[number].file).entry, "stage": "sft", "rows": json.loads(CASES[number].text)}
             for number in ("D01", "D03", "D07")]
    by_hand = json.loads(CASES["D09"].text)
    asked += [{"entry": by_hand["typo_format"], "stage": "sft", "rows": asked[0]["rows"]}]
    asked += [{"entry": by_hand["no_tags"], "stage": "sft", "rows": asked[0]["rows"]}]
    (tmp_path / "cases.json").write_text(json.dumps(asked))
    *counted, no_tags = [case["all"] for case in program("converted_rows", tmp_path / "cases.json")]
    assert counted == [6, 3, 3, 0] and no_tags.startswith("stops: KeyError")
