"""The forms of all kinds of job lie side by side in a session: what is done to one leaves the others alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine import defaults
from lfdash.engine.services import Services
from lfdash.jobs.fields import BY_ID
from lfdash.jobs.kinds import KINDS
from lfdash.ui.form import draft, run_name
from lfdash.ui.form.held import NOTES
from lfdash.ui.form.origin import ORIGIN, PRESET_PICK
from tests.support import app as pages


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with pages.opened(tmp_path / "workspace") as found:
        yield found


def all_forms() -> None:
    """Fills every form; then does to one what the test left in the session."""
    import streamlit as st

    from lfdash.jobs.kinds import BY_NAME, KINDS
    from lfdash.ui.form import draft, origin, run_name
    from lfdash.ui.form.state import Form
    from lfdash.ui.shared.session import shared_services

    for kind in KINDS:
        Form(shared_services(), kind).seed()
    name, method, args = st.session_state.pop("do", ("train", "save_draft", ()))
    form = Form(shared_services(), BY_NAME[name])
    module, _, part = method.rpartition(".")
    parts = {"draft": draft, "origin": origin, "run_name": run_name}
    if module:
        getattr(parts[module], part)(form, *args)
    else:
        getattr(form, method)(*args)


def done(app: AppTest, kind: str, method: str, *args: Any) -> AppTest:
    app.session_state["do"] = (kind, method, args)
    return pages.good(app.run())


def own_keys(app: AppTest, kind: str) -> dict[str, Any]:
    """What the session holds for one kind alone."""
    held = app.session_state._state.filtered_state
    return {key: value for key, value in held.items() if key.startswith(f"{kind}.")}


ACTIONS: dict[str, tuple[Any, ...]] = {
    "load_new": (), "check": (True,), "run_name.propose": (), "set_notes": ([("ui.taken_from", {"name": "x"})],),
    "apply_fix": ({"extra.adam_beta1": 0.5},), "seed_own": (), "save_draft": (), "draft.restore": (),
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
    assert set(kept) == {"values", "more", "preset", "origin", "notes", "baseline", "proposed"}
    assert kept["values"][f"{kind}.output_dir"] == "mine" and kept["more"]["values"] == {"adam_beta1": "0.5"}
    assert {BY_ID[key].scope for key in kept["values"]} == {"top", kind}


def test_a_preset_belongs_to_the_form_that_starts_from_one(services: Services) -> None:
    app = pages.good(AppTest.from_function(all_forms).run())
    done(app, "train", "load_preset", "dpo")
    for kind in KINDS:
        done(app, kind.name, "run_name.propose")
        stem = "dpo" if kind.starts_from == "preset" else kind.stem
        assert app.session_state[f"{kind.name}.output_dir"].startswith(f"{stem}-")
    done(app, "eval", "origin.show", None)
    assert app.session_state["page.preset"] == "dpo"


def named(app: AppTest) -> str:
    return str(app.session_state["train.output_dir"])


def later(monkeypatch: pytest.MonkeyPatch, minutes: float) -> None:
    """Lets that much time pass for names."""
    at, clock = defaults.now() + timedelta(minutes=minutes), run_name.time.time() + 60 * minutes
    monkeypatch.setattr(defaults, "now", lambda: at)
    monkeypatch.setattr(run_name, "time", SimpleNamespace(time=lambda: clock, monotonic=run_name.time.monotonic))


def test_a_proposed_name_is_fresh_when_the_page_is_drawn_and_at_start(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = pages.good(AppTest.from_function(all_forms).run())
    first = named(app)
    later(monkeypatch, 1)
    done(app, "train", "run_name.refresh")
    assert named(app) == first, "what is shown is what Start takes"
    later(monkeypatch, 28)
    pages.good(app.run())
    assert named(app) != first and named(app).startswith("demo-")


def test_a_typed_name_stays(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    app = pages.good(AppTest.from_function(all_forms).run())
    app.session_state["train.output_dir"] = "mine"
    later(monkeypatch, 28)
    done(app, "train", "run_name.refresh")
    assert named(app) == "mine"


def test_a_name_that_is_taken_says_what_differs(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    app = pages.good(AppTest.from_function(all_forms).run())
    taken = SimpleNamespace(name=named(app), saved=SimpleNamespace(checkpoints=()))
    later(monkeypatch, 0)  # the minute stands still
    monkeypatch.setattr(services.registry, "snapshot", lambda: [taken])
    for field_id, raw in (("train.learning_rate", "7e-4"), ("train.lora_rank", "4"), ("train.batch_size", "3")):
        app.session_state[field_id] = raw
    done(app, "train", "run_name.propose")
    assert named(app) == f"{taken.name}-lr7e-4_r4"


@pytest.mark.parametrize("kept", [None, 7, [], ["a", 1.0], ["a", "b", True], {"name": 1}])
def test_a_spoiled_note_on_the_name_counts_as_none(services: Services, kept: Any) -> None:
    pages.good(AppTest.from_function(all_forms).run())
    path = services.workspace.private / "draft-train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "proposed": kept}))
    app = pages.good(AppTest.from_function(all_forms).run())
    assert named(app) and app.session_state["train.form.proposed"] is None


@pytest.mark.parametrize("name", [":new", "dpo"])
def test_what_a_form_started_from_is_said_after_a_reload(services: Services, name: str) -> None:
    app = pages.good(AppTest.from_function(all_forms).run())
    done(app, "train", *(("load_new",) if name == ":new" else ("load_preset", name)))
    notes = [("ui.taken_from", {"name": "<old> *run*"}), ("ui.kept_yours", {"names": "a"})]
    done(app, "train", "set_notes", notes)
    done(app, "train", "save_draft")
    again = pages.good(AppTest.from_function(all_forms).run())
    assert again.session_state[f"train.form.{NOTES}"] == notes
    assert again.session_state[PRESET_PICK] == again.session_state[ORIGIN] == name


@pytest.mark.parametrize(
    "bad",
    [
        None, 7, [7], ["ui.taken_from"], [["ui.gone", {}]], [["ui.taken_from", {"name": []}]],
        [["no", {}]], [[1, {}]], [["ui", {}]], [["ui.taken_from", {"name": "hf_" + "a1B2" * 9}]],
    ],
)
def test_notes_of_a_draft_that_cannot_be_told_are_left_out(services: Services, bad: Any) -> None:
    app = pages.good(AppTest.from_function(all_forms).run())
    done(app, "train", "save_draft")
    path = services.workspace.private / "draft-train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "notes": bad, "origin": 7, "preset": ["x"]}))
    again = pages.good(AppTest.from_function(all_forms).run())
    assert again.session_state[f"train.form.{NOTES}"] == [] and again.session_state[PRESET_PICK] is None


@pytest.mark.parametrize("before", [{"nope": 1, "train.output_dir": "a"}, ["x"], 7, None])
def test_a_draft_of_another_version_is_written_again(services: Services, before: Any) -> None:
    app = pages.good(AppTest.from_function(all_forms).run())
    done(app, "train", "save_draft")
    path = services.workspace.private / "draft-train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "baseline": before}))
    again = pages.good(AppTest.from_function(all_forms).run())
    done(again, "train", "save_draft")
    kept = json.loads(path.read_text())["baseline"]
    assert kept == ({"train.output_dir": "a"} if isinstance(before, dict) else {})


def test_two_browsers_do_not_find_each_others_drafts(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    def visit(who: str) -> AppTest:
        monkeypatch.setattr(draft, "browser", lambda: who)
        return pages.good(AppTest.from_function(all_forms).run())

    for who in ("anna", "ben"):
        done(visit(who), "train", "apply_fix", {"train.learning_rate": 0.1 if who == "anna" else 0.2})
    assert [visit(who).session_state["train.learning_rate"] for who in ("anna", "ben")] == ["0.1", "0.2"]
    carl = visit("carl")
    assert carl.session_state["train.learning_rate"] == "0.2"  # one without: what was written last
    notes = f"train.form.{NOTES}"
    assert carl.session_state[notes] == [("ui.draft_of_another", {})] and visit("ben").session_state[notes] == []
    assert visit("").session_state["train.learning_rate"] == "0.2"
