"""The form as it is kept between sessions: raw values in the workspace, without secrets."""

from __future__ import annotations

from typing import Any

import streamlit as st

from lfdash.engine.defaults import Note
from lfdash.jobs import secret_arguments
from lfdash.jobs.field import Field
from lfdash.jobs.fields import BY_ID
from lfdash.jobs.secret_arguments import looks_secret
from lfdash.ui.form import origin, run_name, widgets
from lfdash.ui.form.held import BASELINE, HeldForm
from lfdash.ui.shared.browser import browser
from lfdash.ui.shared.text import t
from lfdash.workspace.memo import Memo

ANOTHERS = "ui.draft_of_another"  # the text that a draft is somebody else's; said once, and not kept with it


def places(form: HeldForm) -> list[Memo]:
    """Where the form is kept between sessions: for this browser, and for one that has no draft of its own. Two
    people on one dashboard do not find each other's."""
    private, identity = form.services.workspace.private, form.services.registry.identity
    names = [f"draft-{form.kind.name}-{who}.json" for who in [browser()] if who]
    return [Memo(private / name, identity.is_here) for name in (*names, f"draft-{form.kind.name}.json")]


def save(form: HeldForm) -> None:
    """Keeps the form for the next session: raw values, so that a half-typed number survives. No secrets."""
    raws = {row.id: st.session_state.get(row.id) for row in form.rows if not row.secret}
    draft = {
        "values": {k: raw for k, raw in raws.items() if widgets.is_given(raw) and not looks_secret(raw)},
        "more": without_secrets(form.extra.state()),
        "preset": st.session_state.get(origin.PRESET),
        "origin": st.session_state.get(origin.ORIGIN),
        "notes": [
            [text, params] for text, params in form.notes if text != ANOTHERS and fits_note([text, params])
        ],
        "baseline": {key: value for key, value in form.baseline.items() if not BY_ID[key].secret},
        "proposed": st.session_state.get(form.key(run_name.PROPOSED)),
    }
    for memo in places(form):
        memo.save(draft)


def restore(form: HeldForm) -> bool:
    """Fills the form from the kept draft. False when there is none that can be used."""
    drafts = [memo.load() for memo in places(form)]
    kept = next(filter(None, drafts), {})
    values = kept.get("values")
    if not isinstance(values, dict) or not values:
        return False
    for row in form.rows:
        raw = values.get(row.id)
        st.session_state[row.id] = raw if fits(row, raw) else widgets.to_raw(row, None)
    form.extra.restore(kept.get("more"))
    origin.show_kept(form, kept.get("preset"), kept.get("origin"))
    before = kept.get("baseline")
    st.session_state[form.key(BASELINE)] = known(before)
    proposed = kept.get("proposed")
    st.session_state[form.key(run_name.PROPOSED)] = proposed if run_name.is_proposal(proposed) else None
    if not st.session_state.get(form.output):
        run_name.propose(form)
    told = kept.get("notes")
    notes: list[Note] = [(text, params) for text, params in filter(fits_note, told if isinstance(told, list) else [])]
    form.set_notes(notes if drafts[0] else [(ANOTHERS, {})])
    return True


def known(values: object) -> dict[str, Any]:
    """The values of fields that there are: a draft may be of another version."""
    return {key: value for key, value in values.items() if key in BY_ID} if isinstance(values, dict) else {}


def without_secrets(state: dict[str, Any]) -> dict[str, Any]:
    """What `more` keeps, without arguments that are or hold a secret."""
    given: dict[str, Any] = state["values"]
    bad = {name for name, value in given.items() if secret_arguments.is_secret(name) or looks_secret(value)}
    raw = state["raw"] or ""
    return {
        "names": [name for name in state["names"] if name not in bad],
        "values": {name: value for name, value in given.items() if name not in bad},
        "raw": raw if secret_arguments.hide(raw) == raw else "",
    }


def fits_note(kept: Any) -> bool:
    """Whether a kept note is one that can be told: the key of a text that there is, what fills it in, and no secret."""
    if not isinstance(kept, list) or [type(part) for part in kept] != [str, dict]:
        return False
    text, params = kept
    if any(not isinstance(value, str | int | float) or looks_secret(value) for value in params.values()):
        return False
    try:
        return bool(t(text, **params))
    except (KeyError, IndexError, ValueError, TypeError):
        return False


def fits(row: Field, raw: Any) -> bool:
    """Whether a kept raw value has the type that the field's widget holds."""
    if row.kind == "bool":
        return isinstance(raw, bool)
    if row.kind == "choices":
        return isinstance(raw, list) and all(isinstance(item, str) for item in raw)
    return isinstance(raw, str)
