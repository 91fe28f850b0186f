"""The preview: what is shown is what Start would run, without secrets; what is wrong comes first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from streamlit.testing.v1 import AppTest

from lfdash.engine import plans
from lfdash.engine.services import Services
from lfdash.runs.plan import ARGS_FILE
from lfdash.ui.shared.text import t
from tests.support import app as pages

TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"


def preview_page() -> None:
    """The content of the dialog; the job of the form lies in the session."""
    import streamlit as st

    from lfdash.jobs.kinds import DEFAULT
    from lfdash.ui.form import preview
    from lfdash.ui.form.state import Form
    from lfdash.ui.shared.session import shared_services

    form = Form(shared_services(), DEFAULT)
    form.seed()
    form.apply_fix(st.session_state.pop("do", {}))
    st.session_state["job"] = form.read().job
    preview.draw(form)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with pages.opened(tmp_path_factory.mktemp("preview") / "workspace") as found:
        yield found


@pytest.fixture(scope="module")
def app(services: Services) -> AppTest:
    return pages.good(AppTest.from_function(preview_page, default_timeout=60).run())


def with_values(app: AppTest, **values: Any) -> AppTest:
    app.session_state["do"] = {name.replace("__", "."): value for name, value in values.items()}
    return pages.good(app.run())


def test_what_is_shown_is_what_start_would_run(services: Services, app: AppTest) -> None:
    with_values(app, train__learning_rate=0.0007, train__output_dir="mine", extra__adam_beta1=0.5)
    command, text = [item.value for item in app.code]
    run_id = app.session_state["train.form.next_id"]
    prepared = plans.prepare(services, app.session_state["job"], t("ui.yaml_header"), run_id)
    assert command == str(prepared.plan) and text == prepared.plan.files[ARGS_FILE].strip()
    sent = yaml.safe_load(text)
    assert (sent["learning_rate"], sent["adam_beta1"]) == (0.0007, 0.5) and sent["output_dir"].endswith("/mine")


def test_a_secret_is_in_neither_command_nor_yaml(services: Services, app: AppTest) -> None:
    services.registry.set_secret("HF_TOKEN", TOKEN)
    with_values(app, extra__run_note=f"with {TOKEN} in it")
    assert app.session_state["job"].extra["run_note"].count(TOKEN) == 1
    assert [item.language for item in app.code] == ["bash", "yaml"] and "run_note" in app.code[1].value
    assert all(TOKEN not in item.value for item in app.code)
    with_values(app, extra__run_note=None)


def test_what_is_wrong_comes_first(app: AppTest) -> None:
    with_values(app, train__learning_rate="fa*st", train__output_dir="")
    (told,) = [item.value for item in app.warning]
    assert told.startswith(t("ui.preview_problems", count=told.count("\n- "))) and r"fa\*st" in told
    assert len(app.code) == 2  # and it is shown all the same
