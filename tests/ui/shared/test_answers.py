"""What a click was answered: told in the session's language, and forgotten by the next one."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.locales import refusal_in
from lfdash.outcomes import Refused
from lfdash.ui.shared.answers import BUSY, MESSAGE, Busy
from lfdash.ui.shared.text import LANGUAGE
from tests.support import app as pages

TAKEN = Refused("config_exists", {"name": "mine"})


def answers_page() -> None:
    """Does what the test left in the session."""
    import streamlit as st

    from lfdash.ui.shared import answers

    name, args = st.session_state["do"]
    getattr(answers, name)(*args)


def done(app: AppTest, name: str, *args: object) -> AppTest:
    app.session_state["do"] = (name, args)
    return pages.good(app.run())


@pytest.mark.parametrize("language", ["en", "ru"])
def test_a_refusal_is_told_in_the_language_of_the_page(language: str) -> None:
    app = AppTest.from_function(answers_page)
    app.session_state[LANGUAGE] = language
    done(app, "tell", TAKEN)
    assert app.session_state[MESSAGE] == refusal_in(language, TAKEN) and "mine" in app.session_state[MESSAGE]
    assert refusal_in("en", TAKEN) != refusal_in("ru", TAKEN)


def test_a_click_that_was_not_refused_clears_what_an_earlier_one_was_answered() -> None:
    app = done(AppTest.from_function(answers_page), "tell", TAKEN)
    assert done(app, "tell", None).session_state[MESSAGE] is None


def test_another_click_forgets_the_question_too() -> None:
    app = AppTest.from_function(answers_page)
    app.session_state[BUSY] = Busy("in use", "train")
    done(app, "tell", TAKEN)
    assert app.session_state[BUSY] is not None
    done(app, "forget_answers")
    assert app.session_state[BUSY] is None and app.session_state[MESSAGE] is None
