"""The name of a form's run: one is proposed, and kept fresh until somebody types their own."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import streamlit as st

from lfdash.engine.defaults import fresh_name
from lfdash.jobs.fields import BY_ID
from lfdash.ui.form import widgets
from lfdash.ui.form.held import HeldForm
from lfdash.ui.form.origin import PRESET

PROPOSED = "proposed"  # session key, through `HeldForm.key`: (run name, when, whether it is the plain one)
STAMP_S = 120.0  # how long a proposed name stands: it has the minute in it
# How a run name says what differs from its preset, where the plain one is taken; the first two count.
MARKS: Mapping[str, str] = {
    "learning_rate": "lr", "lora_rank": "r", "num_train_epochs": "ep", "batch_size": "bs", "lora_alpha": "a",
    "gradient_accumulation_steps": "ga", "max_steps": "steps", "cutoff_len": "len", "warmup_steps": "wu",
    "lora_dropout": "do", "pref_beta": "beta",
}


def propose(form: HeldForm) -> None:
    """Puts a fresh run name into the form."""
    preset = st.session_state.get(PRESET) if form.kind.starts_from == "preset" else None
    stem = preset or form.kind.stem
    name = fresh_name(form.services, stem, difference(form))
    plain = re.fullmatch(r"-\d{4}-\d{4}", name.removeprefix(stem)) is not None
    st.session_state[form.output] = name
    st.session_state[form.key(PROPOSED)] = [name, time.time(), plain]


def own(form: HeldForm) -> str:
    """The run name that the user typed; "" while it is the one that was proposed."""
    name = str(st.session_state.get(form.output) or "")
    return "" if name == (st.session_state.get(form.key(PROPOSED)) or [""])[0] else name


def refresh(form: HeldForm) -> None:
    """Proposes a run name anew when that of now is an old one; a typed name stays. For Start, and for each time
    the page is drawn."""
    proposed = st.session_state.get(form.key(PROPOSED))
    if proposed and not own(form) and time.time() - proposed[1] > STAMP_S:
        propose(form)


def difference(form: HeldForm) -> str:
    """What differs from the preset, for a run's name: "lr2e-5_r16"; "" when nothing does that has a mark."""
    changed = {BY_ID[field_id].name: st.session_state.get(field_id) for field_id in form.changed_ids()}
    parts = [f"{mark}{changed[name]}" for name, mark in MARKS.items() if widgets.is_given(changed.get(name))]
    return re.sub(r"[^\w.+-]", "", "_".join(parts[:2]))


def is_proposal(kept: Any) -> bool:
    """Whether a draft's note on its run name is one: the name, when it was proposed, whether it is the plain one."""
    return isinstance(kept, list) and [type(part) for part in kept] == [str, float, bool]
