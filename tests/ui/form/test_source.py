"""The first field of a form that loads weights: what it takes, what it refuses, what it says Start would do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.demo.__main__ import make_data
from lfdash.engine.services import Services
from lfdash.ui.form import state
from lfdash.ui.form.source import ANOTHER, SOURCE
from lfdash.ui.shared.text import t
from tests.support import app as pages
from tests.support.many import add_run
from tests.support.pseudo import ESCAPED

TAUGHT, OTHER = "saves/demo-llama/lora/taught", "saves/demo-llama/lora/other"


@pytest.fixture
def services(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    with pages.with_fake_runs(workspace, monkeypatch) as found:
        yield found


def visit(services: Services, kind: str = "evaluate", **about: Any) -> AppTest:
    """The page of a kind of job, where two trainings are over."""
    make_data(services.workspace.data)
    for name, age in (("other", 90), ("taught", 60)):
        add_run(services.workspace.root, name, age=age, **about)
    services.registry.refresh()
    return pages.good(pages.start().switch_page(f"pages/{kind}.py").run())


def pick(app: AppTest, text: str, key: str = SOURCE) -> AppTest:
    """Types the name of a run, a folder, or anything, into the field."""
    return pages.good(pages.type_in(app, key, text).run())


def said(app: AppTest) -> str:
    """The small letters of the form, without what bold and Markdown add."""
    return ESCAPED.sub(r"\1", "\n".join(str(item.value) for item in app.sidebar.caption)).replace("**", "")


def evaluates(what: str, data: str, rows: str) -> str:
    return t("ui.source_says_measure", what=what, target=data, rows=rows)


@pytest.mark.parametrize("kind", ["evaluate", "export", "chat"])
def test_the_run_is_the_first_field(services: Services, kind: str) -> None:
    app = visit(services, kind)
    boxes = [box.label for box in app.sidebar.selectbox]
    assert boxes[1] == t("ui.source")  # after the language


def test_a_run_brings_what_loads_it_and_its_data(services: Services) -> None:
    app = pick(visit(services), "Taught")
    assert app.session_state["top.checkpoint_path"] == ["taught"] and app.session_state[SOURCE] == TAUGHT
    assert app.session_state["eval.dataset"] == ["demo_sft"] and app.session_state["eval.max_samples"] == "50"
    what = t("ui.source_adapter", adapter="taught", model="models/demo-llama")
    assert evaluates(what, "demo_sft", t("ui.source_rows", count=50)) in said(app)


def test_the_sentence_follows_what_is_typed_in_the_form(services: Services) -> None:
    app = pick(visit(services), "taught")
    pages.widget(app, "text_input", "eval.max_samples").set_value("7")
    pages.good(app.run())
    assert t("ui.source_rows", count=7) in said(app)
    pages.widget(app, "multiselect", "eval.dataset").set_value([])
    pages.good(app.run())
    what = t("ui.source_adapter", adapter="taught", model="models/demo-llama")
    assert t("ui.source_says_measure_none", what=what, target="", rows="") in said(pages.good(app.run()))


def test_what_was_typed_stays_when_another_run_is_chosen(services: Services) -> None:
    app = pick(visit(services), "taught")
    pages.widget(app, "text_input", "eval.max_samples").set_value("7")
    pages.good(app.run())
    app = pick(pages.good(app.run()), "other")
    assert app.session_state[SOURCE] == OTHER and app.session_state["eval.max_samples"] == "7"
    app.button(key="undo").click()
    assert pages.good(app.run()).session_state["top.checkpoint_path"] == ["taught"]


def test_an_empty_choice_is_the_base_model(services: Services) -> None:
    app = pick(visit(services, "chat"), "taught")
    pages.widget(app, "selectbox", SOURCE).set_value("")
    pages.good(app.run())
    assert app.session_state["top.checkpoint_path"] == [] and app.session_state[SOURCE] is None
    loads = t("ui.source_says_load", what=t("ui.source_model", model="models/demo-llama"))
    assert loads in said(pages.good(app.run()))


def test_of_a_whole_model_that_a_run_made_the_base_model_is_what_it_was_made_from(services: Services) -> None:
    app = visit(services, "chat", method="full")
    folder = "saves/demo-llama/full/taught"
    path = services.workspace.root / folder
    (path / "adapter_model.safetensors").rename(path / "model.safetensors")
    (path / "adapter_config.json").rename(path / "config.json")
    services.registry.refresh()
    app = pick(pages.good(app.run()), folder)
    assert app.session_state["top.model_path"] == folder and app.session_state[SOURCE] == folder
    pages.widget(app, "selectbox", SOURCE).set_value("")
    assert pages.good(app.run()).session_state["top.model_path"] == "models/demo-llama"


def test_a_name_that_is_no_run_is_refused_with_those_like_it(services: Services) -> None:
    app = pick(visit(services, "export"), "taugt")
    assert t("outcomes.source_unknown", text="taugt") in said(app)
    assert app.session_state["top.checkpoint_path"] == [] and app.session_state[SOURCE] is None
    app.button(key=f"source_near_{TAUGHT}").click()
    pages.good(app.run())
    assert app.session_state["top.checkpoint_path"] == ["taught"]
    assert t("outcomes.source_unknown", text="taugt") not in said(app)
    merges = t("ui.source_adapter", adapter="taught", model="models/demo-llama")
    assert t("ui.source_says_merge", what=merges, target="exports/taught") in said(app)


def test_a_folder_that_is_not_there_is_refused_and_a_hub_id_is_a_model(services: Services) -> None:
    app = pick(visit(services, "chat"), "saves/demo-llama/lora/gone")
    assert t("outcomes.source_unknown", text="saves/demo-llama/lora/gone") in said(app)
    app = pick(app, "x" * 300)
    assert t("outcomes.source_unknown", text="x" * 300) in said(app)
    app = pick(app, "org/name")
    assert app.session_state["top.model_path"] == "org/name"


def test_another_adapter_is_asked_for_named_and_left_out_again(services: Services) -> None:
    app = pick(visit(services), "taught")
    assert not [box for box in app.sidebar.selectbox if box.label == t("ui.source_another")]
    app.button(key="source_another").click()
    app = pick(pages.good(app.run()), "other", ANOTHER)
    assert app.session_state["top.checkpoint_path"] == [OTHER, TAUGHT] and app.session_state[SOURCE] == TAUGHT
    assert t("ui.source_also", name="other") in said(app)
    app.button(key="source_drop_0").click()
    assert pages.good(app.run()).session_state["top.checkpoint_path"] == [TAUGHT]


def test_what_is_no_adapter_is_not_put_beside_one(services: Services) -> None:
    app = pick(visit(services), "taught")
    app.button(key="source_another").click()
    app = pick(pages.good(app.run()), "models/demo-llama", ANOTHER)
    assert t("outcomes.source_no_adapter", text="models/demo-llama") in said(app)
    assert app.session_state["top.checkpoint_path"] == ["taught"]


def test_a_checkpoint_is_loaded_as_its_run(services: Services) -> None:
    app = visit(services, "chat", checkpoints=(20,))
    folder = f"{TAUGHT}/checkpoint-20"
    (services.workspace.root / folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    (services.workspace.root / folder / "adapter_model.safetensors").write_bytes(b"0")
    app = pick(app, folder)
    assert app.session_state["top.checkpoint_path"] == [folder] and app.session_state["top.template"] == "llama3"


def test_a_run_whose_adapter_is_broken_is_refused_with_the_reason(services: Services) -> None:
    app = visit(services)
    (services.workspace.root / TAUGHT / "adapter_config.json").write_text("[1, 2]")
    app = pick(app, "taught")
    assert t("problems.adapter_broken", value=TAUGHT, reason="not a JSON object") in said(app)
    assert app.session_state["top.checkpoint_path"] == [] and app.session_state[SOURCE] is None


@pytest.mark.parametrize("kind", ["evaluate", "export", "chat"])
def test_weights_that_go_after_the_choice_end_start_with_the_reason(
    services: Services, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Services, "blocked", None)  # this machine may lack what starts jobs
    app = pick(visit(services, kind), "taught")
    assert not app.button(key="start").disabled
    weights = services.workspace.root / TAUGHT / "adapter_model.safetensors"
    weights.rename(weights.with_suffix(".away"))
    again(app)
    gone = t("problems.weights_gone", value=TAUGHT)
    assert app.button(key="start").disabled and app.button(key="start").help == gone
    assert gone in said(app) and t("ui.source_adapter", adapter="taught", model="models/demo-llama") not in said(app)
    weights.with_suffix(".away").rename(weights)
    again(app)
    assert not app.button(key="start").disabled and gone not in said(app)


def again(app: AppTest) -> None:
    """Draws the page once more, when what is known of problems is old."""
    with mock.patch.object(state, "FRESH_S", -1.0):
        pages.good(app.run())
