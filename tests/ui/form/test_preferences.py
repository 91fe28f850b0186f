"""A workspace remembers the models, the hub and the cache folder of its user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services, settings
from lfdash.ui.form import preferences
from lfdash.ui.form.origin import NEW
from lfdash.ui.form.state import MODEL_PICK
from tests.support import app as pages

MODEL = "Qwen2.5-0.5B-Instruct"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with pages.opened(tmp_path / "workspace") as found:
        yield found


def set_to(app: AppTest, kind: str, key: str, value: str) -> None:
    pages.widget(app, kind, key).set_value(value)
    pages.good(app.run())
    pages.good(app.run())


def new_form(app: AppTest) -> AppTest:
    set_to(app, "selectbox", "page.preset_pick", NEW)
    return app


def model_of(app: AppTest) -> list[str]:
    return [app.session_state[f"top.{name}"] or "" for name in ("model_name", "model_path")]


def test_a_new_form_begins_with_what_was_used_last(services: Services) -> None:
    app = new_form(pages.start())
    set_to(app, "selectbox", MODEL_PICK, MODEL)
    assert model_of(app) == [MODEL, services.upstream.models[MODEL].paths["huggingface"]]
    app.session_state["open_loading"] = True
    pages.good(app.run())
    set_to(app, "selectbox", "top.hub_name", "modelscope")
    assert model_of(app) == [MODEL, services.upstream.models[MODEL].paths["modelscope"]]
    set_to(app, "text_input", "top.cache_dir", "/disk/cache")

    for draft in services.workspace.private.glob("draft-*.json"):
        draft.unlink()
    later = new_form(pages.start())
    assert model_of(later) == [MODEL, services.upstream.models[MODEL].paths["modelscope"]]
    assert [later.session_state[f"top.{name}"] for name in ("hub_name", "cache_dir")] == ["modelscope", "/disk/cache"]
    assert "ui.changed" not in later.session_state  # nothing of it counts as changed
    set_to(later, "selectbox", "page.preset_pick", "demo")
    assert model_of(later) == ["", "models/demo-llama"]  # the demo gives its own keys only


def test_a_path_that_was_typed_is_offered_again_and_begins_a_new_form(services: Services) -> None:
    app = new_form(pages.start())
    for path in ("/disk/qwen", "org/name"):
        pages.type_in(app, MODEL_PICK, path)
    assert preferences.used(services) == ["org/name", "/disk/qwen"]
    set_to(app, "selectbox", MODEL_PICK, MODEL)
    box = pages.widget(app, "selectbox", MODEL_PICK)
    assert [text.strip() for text in box.options[:3]] == ["not set", "org/name", "/disk/qwen"]
    set_to(app, "selectbox", MODEL_PICK, "/disk/qwen")
    assert model_of(new_form(app)) == ["", "/disk/qwen"]


def test_paths_of_earlier_versions_are_offered_and_never_taken_for_a_name_by_themselves(services: Services) -> None:
    settings(services).save({"paths": {MODEL: "/disk/old"}})
    app = new_form(pages.start())
    set_to(app, "selectbox", MODEL_PICK, MODEL)
    assert model_of(app) == [MODEL, services.upstream.models[MODEL].paths["huggingface"]]
    assert "/disk/old" in preferences.used(services)


def test_a_spoiled_file_of_habits_is_as_none(services: Services) -> None:
    settings(services).save({"last_model": 7, "hub": [], "paths": [1], "cache_dir": None, "models": {"a": 1}})
    app = new_form(pages.start())
    assert model_of(app) == ["", ""]
