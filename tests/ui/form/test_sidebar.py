"""The form's sidebar: what the filter finds, what a field that does not apply says, which preset is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from lfdash import locales
from lfdash.jobs.fields import BY_ID, FIELDS
from lfdash.jobs.kinds import DEFAULT
from lfdash.ui.form import extra_arguments, sidebar
from lfdash.ui.form.keys import scoped
from lfdash.ui.form.origin import PRESET, PRESET_PICK
from lfdash.ui.shared.text import t
from tests.support import app as pages


def sidebar_page() -> None:
    """The sidebar of the training form, alone; a preset that the test left in the session is picked first."""
    import streamlit as st

    from lfdash.jobs.kinds import DEFAULT
    from lfdash.ui.form import sidebar
    from lfdash.ui.form.origin import PRESET_PICK
    from lfdash.ui.form.state import Form
    from lfdash.ui.shared.session import shared_services

    form = Form(shared_services(), DEFAULT)
    form.seed()
    if "pick" in st.session_state:
        st.session_state[PRESET_PICK] = st.session_state.pop("pick")
        sidebar.pick_preset(form)
    if "go" in st.session_state:
        sidebar.go_to(st.session_state.pop("go"))
    sidebar.draw(form)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppTest]:
    with pages.opened(tmp_path_factory.mktemp("sidebar") / "workspace"):
        yield pages.good(AppTest.from_function(sidebar_page, default_timeout=60).run())


@pytest.fixture
def app(opened: AppTest) -> Iterator[AppTest]:
    """The sidebar as after a first visit."""
    yield opened
    opened.session_state[sidebar.FILTER] = ""
    opened.session_state["pick"] = "demo"
    pages.good(opened.run())


def filtered(app: AppTest, text: str) -> AppTest:
    pages.widget(app, "text_input", sidebar.FILTER).set_value(text)
    return pages.good(app.run())


def field_ids(app: AppTest) -> set[str]:
    """The fields that are drawn."""
    keys = {(item.key or "").strip() for kind in ("text_input", "selectbox", "multiselect", "button_group")
            for item in app.get(kind)}
    return keys & BY_ID.keys()


def hit(text: str) -> set[str]:
    return {row.id for row in FIELDS if sidebar.matches(row, text)}


def test_a_field_is_found_by_its_name_its_label_and_its_argument() -> None:
    row = replace(BY_ID["train.learning_rate"], name="warm", arg="up_steps")
    assert sidebar.matches(row, "arm") and sidebar.matches(row, "up_st") and not sidebar.matches(row, "arm_up")
    assert "train.learning_rate" in hit("learning rate") & hit("learning_rate") & hit("learning_r")
    assert hit("no such words") == set()


def test_the_filter_draws_what_it_finds_wherever_it_lies(app: AppTest) -> None:
    assert "train.galore_rank" not in field_ids(app)
    filtered(app, " GaLore ")
    assert "train.galore_rank" in field_ids(app) and "train.learning_rate" not in field_ids(app)
    filtered(app, "no such *words*")
    assert field_ids(app) == set() and t("ui.filter_none", text=r"no such \*words\*") in [c.value for c in app.caption]


def test_a_field_that_does_not_apply_says_so(app: AppTest) -> None:
    filtered(app, "galore rank")
    rank = pages.widget(app, "text_input", "train.galore_rank")
    assert rank.disabled and rank.help.endswith(t("ui.not_now"))
    app.session_state["train.use_galore"] = True
    pages.good(app.run())
    rank = pages.widget(app, "text_input", "train.galore_rank")
    assert not rank.disabled and t("ui.not_now") not in rank.help


def test_a_value_that_a_field_refuses_is_told_at_the_field(app: AppTest) -> None:
    """The preview has it; "default" stood in the field."""
    rate = "train.learning_rate"
    for value, told in (("1000.0", "this field cannot hold it"), ("0.0001", "take it out there")):
        app.session_state[rate] = ""
        app.session_state[scoped(DEFAULT, extra_arguments.NAMES)] = ["learning_rate"]
        app.session_state[extra_arguments.key(DEFAULT, "learning_rate")] = value
        pages.good(app.run())
        field = pages.widget(app, "text_input", rate)
        words = [item.value.replace("\\", "") for item in app.caption if value in item.value]
        assert field.placeholder == f"{value} (More arguments)" and len(words) == 1 and told in words[0]
    app.session_state[extra_arguments.key(DEFAULT, "learning_rate")] = "1e-4"
    app.session_state[rate] = "5e-5"  # then both are given, and that is an error of its own
    pages.good(app.run())
    assert pages.widget(app, "text_input", rate).placeholder.startswith("default")
    app.session_state[scoped(DEFAULT, extra_arguments.NAMES)] = []


def test_the_group_of_a_field_is_the_one_to_open() -> None:
    assert sidebar.group_of("train.galore_rank") == BY_ID["train.galore_rank"].group
    assert sidebar.group_of("train.learning_rate") is None  # always seen
    assert sidebar.group_of(extra_arguments.FIELD) == sidebar.MORE
    assert sidebar.group_of("no.such") is None


def test_a_preset_that_there_is_not_leaves_the_form_as_it_is(app: AppTest) -> None:
    app.session_state["train.learning_rate"] = "7e-7"
    app.session_state["pick"] = "no *such*"
    pages.good(app.run())
    assert app.session_state["train.learning_rate"] == "7e-7"
    assert app.session_state[PRESET] == app.session_state[PRESET_PICK] == "demo"
    assert any("no" in item.value and "such" in item.value for item in app.caption)
    app.session_state["pick"] = "dpo"
    pages.good(app.run())
    assert app.session_state["train.training_stage"] == "dpo" and app.session_state[PRESET] == "dpo"


def test_a_field_is_found_by_other_words_and_by_what_its_help_says() -> None:
    memory = hit("gpu memory")
    assert {"train.batch_size", "train.cutoff_len", "top.quantization_bit", "train.ds_stage"} <= memory
    assert "train.report_to" in hit("wandb") and "train.learning_rate" in hit("lr")
    assert "train.learning_rate" not in memory and len(memory) < 25
    row = BY_ID["train.learning_rate"]
    assert not sidebar.matches(row, "moon phase") and not sidebar.matches(row, "odd phase")


def test_llamafactorys_own_help_is_looked_through_where_ours_is_missing() -> None:
    row = replace(BY_ID["train.learning_rate"], name="zzz", arg="zzz")
    assert sidebar.matches(row, "phase moon", "The phase of the moon.")
    assert not sidebar.matches(row, "phase sun", "The phase of the moon.")


@pytest.mark.parametrize("code", [code for code in locales.available() if code != locales.DEFAULT_LANGUAGE])
def test_other_words_are_those_of_the_language_and_of_english(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lfdash.ui.shared.text.language", lambda: code)
    own = locales.catalogue(code)["synonyms"]["train.batch_size"].split()[0]
    assert "train.batch_size" in hit(own.casefold()) & hit("gpu memory")


@pytest.mark.parametrize(
    ("field_id", "key", "group"),
    [
        ("train.galore_rank", "st-key-train-galore_rank", "optimizers"),
        ("top.model_name", "st-key-top-model_path", None),
        ("train.learning_rate", "st-key-train-learning_rate", None),
        (extra_arguments.FIELD, "st-key-group_more", "more"),
    ],
)
def test_a_field_is_gone_to_once(app: AppTest, field_id: str, key: str, group: str | None) -> None:
    app.session_state["train.use_galore"] = True
    if group:
        app.session_state[f"open_{group}"] = False
    app.session_state[sidebar.FILTER] = "dropped"
    app.session_state["go"] = field_id
    pages.good(app.run())
    scripts = [item.proto.body for item in app.get("html") if "scrollIntoView" in item.proto.body]
    assert len(scripts) == 1 and json.dumps(f".{key}") in scripts[0] and app.session_state[sidebar.FILTER] == ""
    assert group is None or app.session_state[f"open_{group}"] is True
    pages.good(app.run())
    assert not [item for item in app.get("html") if "scrollIntoView" in item.proto.body]
    app.session_state["go"] = field_id
    pages.good(app.run())
    again = [item.proto.body for item in app.get("html") if "scrollIntoView" in item.proto.body]
    assert again != scripts, "the same words would not run again"
