"""Search, filters and order of the Runs page, and the address that keeps them."""

from __future__ import annotations

import pytest

from lfdash.engine.services import Services
from lfdash.ui.runs import filters
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
