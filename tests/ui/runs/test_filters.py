"""Search, filters and order of the Runs page, and the address that keeps them."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.locales import available
from lfdash.ui.runs import filters
from lfdash.ui.shared.text import JOINER
from tests.support import app as pages
from tests.support.runs_page import names, opened, press, texts, visit


def test_the_address_filters_and_sorts_and_what_is_chosen_gets_there(three: Services) -> None:
    app = visit({"state": ["SUCCEEDED"], "sort": "name", "order": "desc"})
    assert names(app) == ["old", "cli"]
    app.text_input(key=filters.FIND).set_value("demo-llama")
    app = pages.good(app.run())
    assert names(app) == ["old"]
    assert {name: app.query_params[name] for name in ("find", "state", "sort", "order")} == {
        "find": "demo-llama", "state": "SUCCEEDED", "sort": "name", "order": "desc",
    }
    app = press(app, "runs_clear")
    assert names(app) == ["old", "new", "cli"] and "state" not in app.query_params


def test_an_address_that_says_nonsense_shows_what_it_can(three: Services) -> None:
    app = visit({"state": ["<b>", "FAILED"], "sort": "__class__", "order": "up", "model": ["gone"], "find": "x" * 999})
    assert names(app) == [] and "No run matches" in texts(app)
    assert len(app.session_state[filters.FIND]) == 200
    app = press(app, "runs_clear_too")
    assert names(app) == ["old", "cli", "new"]  # by time, the smallest first, as far as it could be understood


def test_the_head_of_a_column_sorts_by_it_and_then_the_other_way_round(three: Services) -> None:
    app = opened(visit(), "view")
    pages.widget(app, "selectbox", filters.SORT).set_value("name")
    assert names(pages.good(app.run())) == ["cli", "new", "old"]  # a name begins with A
    pages.widget(app, "selectbox", filters.SORT).set_value("progress")
    assert names(pages.good(app.run()))[-1] == "new"  # a number with the largest
    assert names(press(app, "runs_turn"))[0] == "new"
    assert app.query_params["sort"] == "progress" and app.query_params["order"] == "asc"


def test_several_values_of_one_filter_are_any_of_them(three: Services) -> None:
    app = opened(visit({"model": ["other", "demo-llama"]}), "filter")
    assert names(app) == ["new", "old"]
    pages.widget(app, "multiselect", filters.key("state")).set_value(["FAILED"])
    assert names(pages.good(app.run())) == ["new"]


@pytest.mark.parametrize("value", ["FAILED", "GONE"])
def test_a_value_of_an_address_that_is_none_is_its_own_word(value: str) -> None:
    word = filters.known(["FAILED"], str.lower)
    assert word(value) == {"FAILED": "failed", "GONE": "GONE"}[value]


def chips(app: AppTest) -> list[str]:
    return [plain(item.label) for item in app.button if (item.key or "").startswith("runs_chip_")]


def plain(label: str) -> str:
    """Without what keeps it from being Markdown."""
    return label.replace("\\", "").replace(JOINER, "")


def drop(app: AppTest, label: str) -> AppTest:
    next(item for item in app.button if plain(item.label) == label).click()
    return pages.good(pages.good(app.run()).run())


def test_each_filter_is_a_chip_that_takes_it_away(three: Services) -> None:
    app = visit({"state": ["SUCCEEDED", "FAILED"], "where": ["learning_rate<1", "x"], "find": "lora seed!=3",
                 "group": "stage"})
    assert chips(app) == [
        "State: FINISHED", "State: FAILED", "learning_rate < 1", "seed != 3", "“lora”", "Grouped by: Stage",
    ]
    app = drop(app, "“lora”")
    assert app.query_params["find"] == "seed!=3" and app.query_params["where"] == "learning_rate<1"
    app = drop(app, "seed != 3")
    app = drop(app, "State: FINISHED")
    app = drop(app, "Grouped by: Stage")
    assert chips(app) == ["State: FAILED", "learning_rate < 1"] and names(app) == ["new"]
    app = drop(app, "State: FAILED")
    app = drop(app, "learning_rate < 1")
    assert chips(app) == [] and names(app) == ["new", "cli", "old"] and not app.query_params


def test_a_condition_is_put_together_in_the_menu(three: Services) -> None:
    app = opened(visit(), "filter")
    assert "learning_rate" in pages.widget(app, "selectbox", filters.ARGUMENT).options
    app = press(app, "runs_where_add")
    assert chips(app) == []  # nothing was said yet
    pages.widget(app, "selectbox", filters.ARGUMENT).set_value("stage")
    pages.widget(app, "selectbox", filters.SIGN).set_value("=")
    app.text_input(key=filters.VALUE).set_value(" dpo ")
    app = press(app, "runs_where_add")
    assert chips(app) == ["stage = dpo"] and names(app) == ["new"] and app.query_params["where"] == "stage=dpo"
    assert app.text_input(key=filters.VALUE).value == ""


def test_back_brings_the_filters_of_the_address_that_it_goes_to(three: Services) -> None:
    app = visit({"state": ["FAILED"]})
    app.text_input(key=filters.FIND).set_value("new")
    app = pages.good(app.run())
    assert app.query_params["find"] == "new"
    app.query_params.clear()
    app.query_params["state"] = ["FAILED", "SUCCEEDED"]  # as the browser does it
    app = pages.good(app.run())
    assert app.session_state[filters.FIND] == "" and names(app) == ["new", "cli", "old"]
    app.query_params.clear()
    app.query_params["run"] = "id-new"  # of the page that was gone to: what was shown is shown again
    app = pages.good(app.run())
    assert names(app) == ["new", "cli", "old"] and "run" not in app.query_params
    assert app.query_params["state"] == ["FAILED", "SUCCEEDED"]


def test_an_order_and_groups_by_any_argument_are_in_the_address(three: Services) -> None:
    app = visit({"sort": "arg.learning_rate", "group": "arg.none"})
    assert app.session_state[filters.SORT] == "arg.learning_rate" and app.session_state[filters.DOWN] is False
    assert app.query_params["group"] == "arg.none"
    ours, plain = (box.label.replace("\\", "") for box in app.expander)
    assert ours.startswith("**none not given (LLaMA-Factory's default)** · 2 runs · Best eval loss: best ")
    assert plain.startswith("**none not known (no training_args.yaml)** · 1 run · Best eval loss: best ")


@pytest.mark.parametrize("code", available())
def test_a_condition_that_is_not_understood_says_so(three: Services, code: str) -> None:
    app = pages.speak(visit({"find": "evalloss>3 loss<abc"}), code)
    told = " ".join(item.value for item in app.warning).replace("\\", "")
    assert "evalloss" in told and "eval_loss" in told and "loss < abc" in told
    assert names(app) == [] and not app.info


@pytest.mark.parametrize("word", ["FINISHED", "finished", "SUCCEEDED"])
def test_the_address_names_states_as_the_page_shows_them(three: Services, word: str) -> None:
    app = visit({"state": [word]})
    assert names(app) == ["cli", "old"] and app.query_params["state"] == "SUCCEEDED"
