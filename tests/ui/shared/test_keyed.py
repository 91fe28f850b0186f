"""A choice keeps its value when its words change: with the language, with a run's state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.locales import available, label_in
from lfdash.ui.shared import keyed
from tests.support import app as pages

WORDS = {"en": {1: "one", 2: "two"}, "de": {1: "eins", 2: "zwei"}, "odd": {1: "two", 2: "one"}}


def page() -> None:
    """One choice, in the language that the session holds."""
    import streamlit as st

    from lfdash.ui.shared import keyed
    from tests.ui.shared.test_keyed import WORDS, told

    words = WORDS[st.session_state.get("lang", "en")]
    draw: Any = {"select": keyed.select, "segments": keyed.segments}[st.session_state.get("draw", "select")]
    st.write(f"value {draw('Number', [1, 2], key='number', page='here', word=words.get, on_change=told)}")


def told() -> None:
    st.session_state.setdefault("told", []).append(st.session_state["number"])


def opened(draw: str) -> AppTest:
    app = AppTest.from_function(page)
    app.session_state["draw"] = draw
    return pages.good(app.run())


def said(app: AppTest) -> str:
    return str(app.markdown[0].value)


@pytest.mark.parametrize("draw", ["select", "segments"])
@pytest.mark.parametrize("to", ["de", "odd"])
def test_other_words_keep_the_value_and_tell_nobody(draw: str, to: str) -> None:
    app = opened(draw)
    app.get("selectbox" if draw == "select" else "button_group")[0].set_value(2)
    app = pages.good(app.run())
    assert said(app) == "value 2"
    stale = app._tree.get_widget_states()  # what the browser holds: the words of that time
    app.session_state["lang"] = to
    pages.good(app._run(stale))
    assert said(app) == "value 2"
    pages.good(app._run(stale))  # and sends again, before it has the new ones
    assert said(app) == "value 2"
    assert app.session_state["told"] == [2]


@pytest.mark.parametrize("draw", ["select", "segments"])
def test_a_value_that_is_set_is_shown_and_one_that_is_not_offered_is_none(draw: str) -> None:
    app = opened(draw)
    assert said(app) == "value None"
    for value, shown in ((1, 1), (7, None), (2, 2), (None, None)):
        app.session_state["number"] = value
        pages.good(app.run())
        assert said(app) == f"value {shown}"
        assert app.get("selectbox" if draw == "select" else "button_group")[0].value == shown


def test_a_group_stays_open_when_its_title_changes() -> None:
    def page() -> None:
        import streamlit as st

        from lfdash.ui.shared import keyed

        with keyed.expander(st.session_state.get("title", "Group"), key="open_group", page="here") as box:
            st.write(f"open {box.open}")

    app = pages.good(AppTest.from_function(page).run())
    assert said(app) == "open False"
    click = WidgetState(id=app.expander[0].proto.id, bool_value=True)
    assert said(pages.good(app._run(WidgetStates(widgets=[click])))) == "open True"
    app.session_state["title"] = "Gruppe"
    assert [said(pages.good(app.run())) for _ in range(2)] == ["open True", "open True"]


def test_the_words_are_part_of_the_widget() -> None:
    names = {keyed.widget_key("k", "here", [1, 2], words.__getitem__) for words in WORDS.values()}
    assert len(names) == 3
    more = keyed.widget_key("k", "here", ["a", "b"], str)
    assert keyed.widget_key("k", "here", ["a"], str) == more  # a new option, same words
    assert keyed.widget_key("k", "there", ["a"], str) != more  # another page, another widget


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with pages.opened(tmp_path / "workspace") as found:
        yield found


FILLED = {
    "train.learning_rate": "fast", "train.num_train_epochs": "7.5", "train.batch_size": "",
    "train.lr_scheduler_type": "polynomial", "train.training_stage": "dpo", "top.finetuning_type": "freeze",
    "train.packing": False, "train.use_badam": True,
}


def test_all_languages_keep_every_value(services: Services) -> None:
    app = pages.start()
    app.session_state["page.preset_pick"] = app.session_state["page.preset"] = "demo"
    for group in ("optimization", "freeze", "badam", "evaluation"):
        app.session_state[f"open_{group}"] = True
    for key, value in FILLED.items():
        app.session_state[key] = value
    pages.good(app.run())
    before = {key: app.session_state[key] for key in (*FILLED, "page.preset_pick", "train.output_dir")}
    for code in reversed(available()):  # English last: the words of before are its own
        stale = app._tree.get_widget_states()
        pages.speak(app, code)
        box = pages.widget(app, "selectbox", "train.training_stage")
        assert box.label.startswith(label_in(code, "train.training_stage"))
        assert box.value == "dpo"
        pages.good(app._run(stale))  # the browser may answer once more with the words of before
        pages.speak(app, code)
        assert {key: app.session_state[key] for key in before} == before, code


def test_an_unknown_preset_is_said_and_changes_nothing(services: Services) -> None:
    app = pages.start()
    rate = app.session_state["train.learning_rate"]
    box = pages.widget(app, "selectbox", "page.preset_pick")
    del services.presets["pt"]  # its file went away while the page was open
    box.set_value("pt")
    pages.good(app.run())
    assert app.session_state["train.learning_rate"] == rate
    assert any("pt" in str(item.value) for item in app.caption)


def test_no_streamlit_choice_has_words_of_its_own() -> None:
    """`format_func` outside of `pick` would bring the trouble back. A language's own name is the same in all; the
    filters of the runs take their keys from `pick`; a table's column sends nothing back."""
    ui = pages.ROOT / "lfdash" / "ui"
    users = [path.name for path in ui.rglob("*.py") if "format_func" in path.read_text(encoding="utf-8")]
    assert sorted(users) == ["filters.py", "keyed.py", "layout.py", "page.py"]
    assert "keyed.widget_key(" in (ui / "runs" / "filters.py").read_text(encoding="utf-8")
