"""The one field of a model on the page: its list, a typed name, near matches, and what the form holds then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.ui.form.state import MODEL_PICK
from lfdash.ui.shared.text import t
from tests.support import app as pages

SMALL, SEVEN = "Qwen2.5-0.5B-Instruct", "Qwen2.5-7B-Instruct"
TYPED = "Qwen3-0.6"


def form_page() -> None:
    """Loads the job that the test left in the session, then draws the page of training."""
    import streamlit as st

    from lfdash.jobs.kinds import DEFAULT
    from lfdash.ui.form import sidebar
    from lfdash.ui.form.state import FOLLOWERS, Form
    from lfdash.ui.shared.session import shared_services

    form = Form(shared_services(), DEFAULT)
    form.seed()
    if "load" in st.session_state:
        form.load_job(st.session_state.pop("load"), [])
    sidebar.draw(form)
    st.session_state["reading"] = form.read()
    for name in set(FOLLOWERS) - {"changed"}:
        st.fragment(lambda: None, key=name)()


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with pages.opened(tmp_path / "workspace") as found:
        yield found


@pytest.fixture
def app(services: Services) -> AppTest:
    """The form of the LoRA preset with its 7B."""
    app = pages.good(AppTest.from_function(form_page, default_timeout=60).run())
    pages.widget(app, "selectbox", "page.preset_pick").set_value("sft_lora")
    return again(app)


def again(app: AppTest) -> AppTest:
    pages.good(app.run())
    return pages.good(app.run())


def load(app: AppTest, **values: Any) -> AppTest:
    job = job_from_args({"stage": "sft"})
    app.session_state["load"] = JobConfig("train", {**job.values, **values}, {})
    return again(app)


def model(app: AppTest) -> tuple[str, str | None]:
    """What the field shows, and the model of the arguments."""
    box = pages.widget(app, "selectbox", MODEL_PICK)
    lines = {text.strip().partition(" · ")[0]: text.strip() for text in box.options}
    args = build_args(app.session_state["reading"].job)
    return lines.get((box.value or "").strip(), ""), args.get("model_name_or_path")


def wrong(app: AppTest) -> list[tuple[str, Any]]:
    return [(problem.code, problem.params.get("value")) for problem in app.session_state["reading"].refused]


def test_the_list_says_name_size_and_template(app: AppTest) -> None:
    assert model(app) == (f"{SEVEN} · 7B · qwen", "Qwen/Qwen2.5-7B-Instruct")
    options = [text.strip() for text in pages.widget(app, "selectbox", MODEL_PICK).options]
    assert f"{SMALL} · 0.5B {t('ui.model_small')} · qwen" in options and options[0] == t("ui.not_set")


def test_a_typed_name_that_is_not_listed_is_an_error_with_near_matches_and_trains_nothing_else(app: AppTest) -> None:
    pages.type_in(app, MODEL_PICK, TYPED)
    again(app)
    assert model(app) == (TYPED, None), "never a name on another path"
    assert wrong(app) == [("model_unknown", TYPED)]
    near = [item for item in app.button if str(item.key).startswith("model.near.")]
    assert [item.label for item in near][:2] == ["Qwen3-0.6B-Base", "Qwen3-0.6B-Thinking"]
    near[1].click()
    again(app)
    assert model(app) == ("Qwen3-0.6B-Thinking · 0.6B small · qwen3", "Qwen/Qwen3-0.6B") and wrong(app) == []
    assert app.session_state["top.template"] == "qwen3"
    assert not [item for item in app.button if str(item.key).startswith("model.near.")]


def test_start_refuses_an_unknown_name(services: Services) -> None:
    app = pages.start()
    pages.type_in(app, MODEL_PICK, TYPED)
    again(app)
    app.button(key="start").click()
    again(app)
    assert not list(services.workspace.saves.glob("*/*/*")), "nothing was started"
    assert any(TYPED in str(item.value) for item in (*app.markdown, *app.caption))


@pytest.mark.parametrize(
    ("typed", "shown", "path"),
    [
        (SMALL.lower(), f"{SMALL} · 0.5B small · qwen", f"Qwen/{SMALL}"),
        (f" Qwen/{SMALL} ", f"{SMALL} · 0.5B small · qwen", f"Qwen/{SMALL}"),
        ("/disk/model", "/disk/model", "/disk/model"), ("org/name", "org/name", "org/name"),
        ("./own", "./own", "./own"),
    ],
)
def test_a_typed_name_path_or_id(app: AppTest, typed: str, shown: str, path: str) -> None:
    pages.type_in(app, MODEL_PICK, typed)
    again(app)
    assert model(app) == (shown, path) and wrong(app) == []


def test_a_path_is_not_filed_under_the_name_of_before(app: AppTest) -> None:
    pages.type_in(app, MODEL_PICK, "/disk/model")
    again(app)
    assert app.session_state["reading"].job.model_name == "model" and app.session_state["top.template"] == "qwen"
    pages.type_in(app, MODEL_PICK, f"/disk/{SMALL.replace('Qwen2.5', 'Qwen3').replace('0.5B-Instruct', '0.6B')}")
    again(app)
    assert app.session_state["top.template"] == "qwen3", "a copy of a listed model has its template"


@pytest.mark.parametrize(
    ("values", "shown", "path", "saved"),
    [
        ({"top.model_path": f"Qwen/{SMALL}"}, f"{SMALL} · 0.5B small · qwen", f"Qwen/{SMALL}", SMALL),
        ({"top.model_name": SMALL}, f"{SMALL} · 0.5B small · qwen", f"Qwen/{SMALL}", SMALL),
        ({"top.model_path": "models/x"}, "models/x", "models/x", "x"),
        ({"top.model_name": "Custom", "top.model_path": "models/x"}, "models/x · saves/Custom/", "models/x", "Custom"),
        ({"top.model_name": SMALL, "top.model_path": "models/x"}, f"models/x · saves/{SMALL}/", "models/x", SMALL),
        ({"top.model_name": "Custom"}, "", None, "Custom"),
    ],
)
def test_what_a_file_says_is_shown_and_kept(
    app: AppTest, values: dict[str, str], shown: str, path: str | None, saved: str
) -> None:
    load(app, **values)
    assert model(app) == (shown, path)
    assert app.session_state["reading"].job.model_name == saved


def test_a_file_with_a_name_that_nothing_is_known_of_is_told(app: AppTest) -> None:
    load(app, **{"top.model_name": "Nobody-7B"})
    assert model(app) == ("Nobody-7B", None) and wrong(app) == [("model_unknown", "Nobody-7B")]


def test_no_model_is_no_error_before_start(app: AppTest) -> None:
    pages.widget(app, "selectbox", MODEL_PICK).set_value("")
    again(app)
    assert model(app) == ("", None) and wrong(app) == []


def test_the_model_is_drawn_once_where_the_filter_finds_both_its_values(app: AppTest) -> None:
    pages.widget(app, "text_input", "page.filter").set_value("model")
    again(app)
    assert model(app)[0].startswith(SEVEN)
