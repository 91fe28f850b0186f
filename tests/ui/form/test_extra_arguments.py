"""Arguments without a field: searched, added, typed, taken away, kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.jobs.fields import BY_KIND_ARG
from lfdash.jobs.kinds import DEFAULT
from lfdash.ui.form import extra_arguments
from lfdash.ui.form.extra_arguments import ExtraArguments, parse, written
from lfdash.ui.form.keys import scoped
from lfdash.ui.shared import session
from tests.support import app as pages

PICK, RAW, NAMES = (scoped(DEFAULT, name) for name in ("more.pick", "more.raw", "more.names"))


def more_page() -> None:
    """The group alone; what the form sends and what is wrong lie in the session."""
    import streamlit as st

    from lfdash.jobs.kinds import DEFAULT
    from lfdash.ui.form import extra_arguments
    from lfdash.ui.form.state import Form
    from lfdash.ui.shared.session import shared_services

    form = Form(shared_services(), DEFAULT)
    form.seed()
    extra_arguments.draw(form.services, form.extra, form.save_draft)
    st.session_state["said"], st.session_state["wrong"] = form.extra.read()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[AppTest]:
    with pages.opened(tmp_path / "workspace"):
        yield visit()


def visit() -> AppTest:
    return pages.good(AppTest.from_function(more_page, default_timeout=60).run())


def add(app: AppTest, name: str) -> AppTest:
    """Picks an argument of the search list."""
    pages.widget(app, "selectbox", PICK).set_value(name)
    return pages.good(app.run())


def own_key(name: str) -> str:
    return extra_arguments.key(DEFAULT, name)


def test_an_argument_is_found_added_typed_and_taken_away(app: AppTest) -> None:
    search = pages.widget(app, "selectbox", PICK)
    assert any(words.startswith("adam_beta1: float = 0.9") for words in search.options)
    assert not any(words.startswith("learning_rate:") for words in search.options)  # has a field of its own
    add(app, "adam_beta1")
    assert app.session_state["said"] == {}  # nothing was typed yet: the default serves
    pages.widget(app, "text_input", own_key("adam_beta1")).set_value("0.5")
    pages.good(app.run())
    assert app.session_state["said"] == {"adam_beta1": 0.5}
    assert not any(words.startswith("adam_beta1:") for words in pages.widget(app, "selectbox", PICK).options)
    app.button(key=scoped(DEFAULT, "more.remove.adam_beta1")).click()
    pages.good(app.run())
    assert app.session_state["said"] == {} and app.session_state[NAMES] == []


def test_pasted_yaml_is_sent_and_what_is_no_mapping_is_told(app: AppTest) -> None:
    pages.widget(app, "text_area", RAW).set_value("adam_beta1: 0.5\nno_such: [1, a]")
    pages.good(app.run())
    assert app.session_state["said"] == {"adam_beta1": 0.5, "no_such": [1, "a"]} and app.session_state["wrong"] == []
    pages.widget(app, "text_area", RAW).set_value("- a\n- b")
    pages.good(app.run())
    assert app.session_state["said"] == {}
    assert [problem.code for problem in app.session_state["wrong"]] == ["extra_not_mapping"]


def test_what_was_added_is_there_in_the_next_session(app: AppTest) -> None:
    add(app, "adam_beta1")
    pages.widget(app, "text_input", own_key("adam_beta1")).set_value("0.5")
    pages.good(app.run())
    pages.widget(app, "text_area", RAW).set_value("no_such: 1")
    pages.good(app.run())
    assert visit().session_state["said"] == {"adam_beta1": 0.5, "no_such": 1}


@pytest.mark.parametrize("value", ["plain", "", "true", "0.5", "a: b", True, 0.00005, 3, [1, "a"], {"a": None}, "ü\n"])
def test_what_is_written_is_read_back_as_the_same(value: Any) -> None:
    assert parse(written(value)) == value and type(parse(written(value))) is type(value)


def test_only_arguments_of_a_training_without_a_field_are_offered(app: AppTest) -> None:
    names = ExtraArguments(DEFAULT).offered(session.opened())
    assert names and not names.keys() & BY_KIND_ARG[DEFAULT.name].keys()
    assert all(DEFAULT.command in argument.commands for argument in names.values())
