"""A workspace remembers the model, its path, the hub and the cache folder of its user."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services, settings
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
    pages.widget(app, "selectbox", "page.preset_pick").set_value(None)
    pages.good(app.run())
    return pages.good(app.run())


def test_a_new_form_begins_with_what_was_used_last(services: Services) -> None:
    app = new_form(pages.start())
    set_to(app, "selectbox", "top.model_name", MODEL)
    assert app.session_state["top.model_path"] == services.upstream.models[MODEL].paths["huggingface"]
    set_to(app, "text_input", "top.model_path", "/disk/qwen")
    app.session_state["open_loading"] = True
    pages.good(app.run())
    set_to(app, "selectbox", "top.hub_name", "modelscope")
    assert app.session_state["top.model_path"] == "/disk/qwen"
    set_to(app, "text_input", "top.cache_dir", "/disk/cache")

    for draft in services.workspace.private.glob("draft-*.json"):
        draft.unlink()
    later = new_form(pages.start())
    held = {name: later.session_state[f"top.{name}"] for name in ("model_name", "model_path", "hub_name", "cache_dir")}
    assert held == {
        "model_name": MODEL, "model_path": "/disk/qwen", "hub_name": "modelscope", "cache_dir": "/disk/cache",
    }
    assert "ui.changed" not in later.session_state  # nothing of it counts as changed
    set_to(later, "selectbox", "page.preset_pick", "demo")
    assert later.session_state["top.model_path"] == "models/demo-llama"  # a preset gives its own keys only


def test_a_spoiled_file_of_habits_is_as_none(services: Services) -> None:
    settings(services).save({"last_model": 7, "hub": [], "paths": [1], "cache_dir": None})
    app = new_form(pages.start())
    assert not app.session_state["top.model_name"]
