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


def test_options_of_the_same_words_are_told_apart() -> None:
    word = keyed.spoken(["a", "b", "c", "d"], {"a": "Hello", "b": "Hello (2)", "c": "hello", "d": "Hello"}.__getitem__)
    assert [word(option) for option in "abcd"] == ["Hello", "Hello (2)", "hello (3)", "Hello (4)"]


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
    assert sorted(users) == ["filters.py", "keyed.py", "layout.py", "tables.py", "view.py"]
    assert "keyed.widget_key(" in (ui / "runs" / "filters.py").read_text(encoding="utf-8")


def lists() -> None:
    """A list where a choice can be taken back, one that takes texts, one of several, and a text."""
    import streamlit as st

    from lfdash.ui.shared import keyed
    from tests.ui.shared.test_keyed import LIST, heard

    for key, look in LIST.items():
        st.session_state.setdefault(key, "a")
        keyed.select(key, ["a", "ab", "c d"], key=key, page="here", on_change=heard, args=(key,), **look)
    keyed.many("many", ["a", "b"], key="many", page="here", on_change=heard, args=("many",))
    keyed.text("text", key="text", page="here", on_change=heard, args=("text",))


LIST: dict[str, dict[str, Any]] = {
    "closed": {"nothing": "none"}, "open": {"nothing": "none", "open_": True}, "must": {"empty": False},
    "read": {"open_": True, "read": str.upper},
}


def heard(key: str) -> None:
    st.session_state.setdefault("heard", []).append((key, st.session_state[key]))


@pytest.fixture
def app() -> AppTest:
    return pages.good(AppTest.from_function(lists).run())


def values(app: AppTest) -> list[Any]:
    return [app.session_state[key] for key in (*LIST, "many", "text")]


@pytest.mark.parametrize("key", LIST)
def test_what_the_browser_clears_is_no_choice_and_is_shown_again(app: AppTest, key: str) -> None:
    """Streamlit's list is cleared by Esc where its value may be none."""
    box = pages.widget(app, "selectbox", key)
    assert box.proto.HasField("default"), "a list with a default is not cleared by Esc"
    states = app._tree.get_widget_states()
    (state,) = [item for item in states.widgets if item.id == box.proto.id]
    state.ClearField("value")
    pages.good(app._run(states))
    assert values(app)[:4] == ["a"] * 4 and pages.widget(app, "selectbox", key).value.strip() == "a"
    assert "heard" not in app.session_state


@pytest.mark.parametrize("key", ["closed", "open"])
def test_the_first_line_takes_a_choice_back(app: AppTest, key: str) -> None:
    box = pages.widget(app, "selectbox", key)
    assert box.options[0].strip() == "none"
    box.set_value(keyed.NOTHING)
    pages.good(app.run())
    assert app.session_state[key] is None and app.session_state["heard"] == [(key, None)]
    box = pages.widget(app, "selectbox", key)
    assert box.value == keyed.NOTHING and box.proto.HasField("default"), "empty, it cannot be cleared either"
    box.set_value("c d")
    pages.good(app.run())
    assert app.session_state["heard"] == [(key, None), (key, "c d")]
    assert "none" not in [text.strip() for text in pages.widget(app, "selectbox", "must").options]


@pytest.mark.parametrize(
    ("key", "typed", "value"),
    [
        ("open", "C D", "c d"), ("open", " cd ", "c d"), ("open", "ab", "ab"), ("open", " abc", "abc"),
        ("read", "C d", "c d"), ("read", "abc", "ABC"), ("closed", "zz", "a"), ("must", "zz", "a"),
    ],
)
def test_a_typed_text_is_the_option_that_it_means(app: AppTest, key: str, typed: str, value: str) -> None:
    pages.type_in(app, key, typed)
    assert app.session_state[key] == value == pages.widget(app, "selectbox", key).value.strip()


def test_no_line_of_a_list_that_takes_texts_can_be_typed(app: AppTest) -> None:
    """Streamlit replaces a typed text that equals the choice of now by the next letter."""
    for key, look in LIST.items():
        options = pages.widget(app, "selectbox", key).options[1 if "nothing" in look else 0 :]
        assert all(text.endswith(" ") == bool(look.get("open_")) for text in options), key


STALE = {"closed": "ab", "open": "ab", "must": "ab", "read": "ab", "many": ["b"], "text": "new"}


def test_a_value_that_is_set_gets_a_new_widget_and_the_old_one_is_not_heard(app: AppTest) -> None:
    stale = app._tree.get_widget_states()
    for key, value in STALE.items():
        app.session_state[key] = value
    pages.good(app.run())
    wanted = list(STALE.values())
    for _ in range(2):
        pages.good(app._run(stale))  # sent before the new values were drawn
        assert values(app) == wanted
    assert "heard" not in app.session_state
    for key, value in (("text", "typed"), ("closed", "c d")):
        kind = "text_input" if key == "text" else "selectbox"
        pages.widget(app, kind, key).set_value(value)
        pages.good(app.run())
    assert app.session_state["heard"] == [("text", "typed"), ("closed", "c d")]


def test_what_a_user_chooses_keeps_its_widget(app: AppTest) -> None:
    """Another widget would lose the focus."""
    before = [item.key for item in app.get("selectbox")]
    pages.type_in(app, "open", "C D")
    pages.widget(app, "selectbox", "closed").set_value("ab")
    pages.good(app.run())
    assert [item.key for item in app.get("selectbox")] == before


def eager() -> None:
    """A button whose callback looks at a text, drawn before the text: Streamlit calls it first."""
    import streamlit as st

    from lfdash.ui.shared import keyed
    from tests.ui.shared.test_keyed import heard, look

    st.button("look", key="look", on_click=look)
    keyed.text("text", key="text", page="here", on_change=heard, args=("text",))


def look() -> None:
    before = st.session_state["text"]
    st.session_state["looked"] = (before, keyed.catch_up(), st.session_state["text"])


def test_a_click_that_comes_with_a_typed_text_finds_it() -> None:
    app = pages.good(AppTest.from_function(eager).run())
    text = pages.widget(app, "text_input", "text")
    states = WidgetStates(widgets=[
        WidgetState(id=app.button(key="look").proto.id, trigger_value=True),
        WidgetState(id=text.proto.id, string_value="typed"),
    ])
    pages.good(app._run(states))
    assert app.session_state["looked"] == ("", {"text"}, "typed"), "the click was called first"
    assert app.session_state["heard"] == [("text", "typed")], "and whoever waits for the text is told all the same"


def set_and_look() -> None:
    st.session_state["text"] = "set"
    st.session_state["looked"] = (keyed.catch_up(), st.session_state["text"])


def test_what_the_program_set_is_not_undone_by_catching_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The widget still shows what it was given before."""
    monkeypatch.setattr("tests.ui.shared.test_keyed.look", set_and_look)
    app = pages.good(AppTest.from_function(eager).run())
    app.button(key="look").click()
    pages.good(app.run())
    assert app.session_state["looked"] == (set(), "set")
    assert pages.widget(app, "text_input", "text").value == "set"


def test_a_widget_whose_values_were_all_forgotten_is_not_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dialog that is closed forgets them; a click on one of its lists may come after that."""
    state: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", state)
    keyed.live()["number"] = keyed.Live("shown", keyed.same, 1, 1)
    keyed.keep("number", "shown")
    assert "number" not in state
