"""The forms of all kinds of job lie side by side in a session: what is done to one leaves the others alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.jobs.fields import BY_ID
from lfdash.jobs.kinds import KINDS
from tests.support import app as pages


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with pages.opened(tmp_path / "workspace") as found:
        yield found


def all_forms() -> None:
    """Fills every form; then does to one what the test left in the session."""
    import streamlit as st

    from lfdash.jobs.kinds import BY_NAME, KINDS
    from lfdash.ui.form.state import Form
    from lfdash.ui.shared.session import shared_services

    for kind in KINDS:
        Form(shared_services(), kind).seed()
    name, method, args = st.session_state.pop("do", ("train", "save_draft", ()))
    getattr(Form(shared_services(), BY_NAME[name]), method)(*args)


def done(app: AppTest, kind: str, method: str, *args: Any) -> AppTest:
    app.session_state["do"] = (kind, method, args)
    return pages.good(app.run())


def own_keys(app: AppTest, kind: str) -> dict[str, Any]:
    """What the session holds for one kind alone."""
    held = app.session_state._state.filtered_state
    return {key: value for key, value in held.items() if key.startswith(f"{kind}.")}


ACTIONS: dict[str, tuple[Any, ...]] = {
    "load_new": (), "check": (True,), "propose_name": (), "set_notes": ([("ui.taken_from", {"name": "x"})],),
    "apply_fix": ({"extra.adam_beta1": 0.5},), "seed_own": (), "save_draft": (), "restore_draft": (),
}


@pytest.mark.parametrize("method", ACTIONS)
@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_what_is_done_to_one_form_leaves_the_others_alone(services: Services, kind: str, method: str) -> None:
    app = pages.good(AppTest.from_function(all_forms).run())
    others = [other.name for other in KINDS if other.name != kind]
    before = {name: own_keys(app, name) for name in others}
    drafts = {name: (services.workspace.private / f"draft-{name}.json").read_text() for name in others}
    assert all(f"{name}.output_dir" in keys for name, keys in before.items())
    done(app, kind, method, *ACTIONS[method])
    assert {name: own_keys(app, name) for name in others} == before
    assert {name: (services.workspace.private / f"draft-{name}.json").read_text() for name in others} == drafts


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_a_draft_holds_the_fields_of_its_kind(services: Services, kind: str) -> None:
    app = pages.good(AppTest.from_function(all_forms).run())
    done(app, kind, "apply_fix", {f"{kind}.output_dir": "mine", "extra.adam_beta1": 0.5})
    kept = json.loads((services.workspace.private / f"draft-{kind}.json").read_text())
    assert set(kept) == {"values", "more", "preset", "baseline"}
    assert kept["values"][f"{kind}.output_dir"] == "mine" and kept["more"]["values"] == {"adam_beta1": "0.5"}
    assert {BY_ID[key].scope for key in kept["values"]} == {"top", kind}


def test_a_preset_belongs_to_the_form_that_starts_from_one(services: Services) -> None:
    app = pages.good(AppTest.from_function(all_forms).run())
    done(app, "train", "load_preset", "dpo")
    for kind in KINDS:
        done(app, kind.name, "propose_name")
        stem = "dpo" if kind.starts_from == "preset" else kind.stem
        assert app.session_state[f"{kind.name}.output_dir"].startswith(f"{stem}-")
    done(app, "eval", "show_preset", None)
    assert app.session_state["page.preset"] == "dpo"
