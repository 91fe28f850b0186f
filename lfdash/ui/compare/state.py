"""What the Compare page shows: held by the session, and all of it in the address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import streamlit as st

from lfdash.runs.compare import address
from lfdash.runs.compare.address import Comparison
from lfdash.runs.view import RunView
from lfdash.ui.curves.draw import SETTINGS, settings_of
from lfdash.ui.curves.settings import FIELDS, CurveSettings, from_query, query
from lfdash.ui.shared.address import ids_by_word

STATE = "compare.state"
ADDRESS = "compare.address"  # our part of it at the last drawing: another one is a link that was followed


def take(views: Iterable[RunView]) -> None:
    """Takes what the address says, where it was not the page that wrote it. One without runs means those of before: it
    is that of the link in the frame. What the curves write into it by themselves is theirs. views: the runs that there
    are: a name stands for the id of the one run that has it."""
    said = dict(st.query_params)
    if STATE in st.session_state and (not said.get("runs") or ours(said) == st.session_state.get(ADDRESS)):
        return
    ids = ids_by_word(views)
    named: dict[str, str] = {name: ids_for(said[name], ids) for name in ("runs", "base", "pair") if name in said}
    st.session_state[STATE] = address.read({**said, **named})
    if any(name in said for name in FIELDS):
        st.session_state[SETTINGS] = (group(), from_query(said))


def ids_for(said: str, ids: Mapping[str, Sequence[str]]) -> str:
    """A list of ids and names as a list of ids. What means no run, or several, stays as it is. ids: of each word."""
    found = ((part, ids.get(part, ())) for part in said.split(","))
    return ",".join(meant[0] if len(meant) == 1 else part for part, meant in found)


def publish() -> None:
    """Puts all into the address."""
    said = {**address.write(current()), **(query(curves()) if current().ids else {})}
    if dict(st.query_params) != said:
        st.query_params.from_dict(said)
    st.session_state[ADDRESS] = ours(said)


def ours(said: Mapping[str, str]) -> dict[str, str]:
    """The part of an address that says which runs are compared, and what of them is shown."""
    return {name: said[name] for name in address.FIELDS if name in said}


def current() -> Comparison:
    """Which runs are compared, and what of them is shown."""
    found: Comparison = st.session_state.get(STATE) or Comparison()
    return found


def group() -> str:
    """What a zoom of the curves belongs to."""
    return f"compare.{','.join(sorted(current().ids))}"


def curves() -> CurveSettings:
    """How the curves are drawn."""
    return settings_of(group())


def change(**changes: Any) -> None:
    """Shows something else of the same runs."""
    st.session_state[STATE] = replace(current(), **changes)


def add(*run_ids: str) -> None:
    """Compares more runs."""
    wanted = current()
    for run_id in run_ids:
        wanted = wanted.with_run(run_id)
    st.session_state[STATE] = wanted


def drop(run_id: str) -> None:
    """Compares one run less."""
    st.session_state[STATE] = current().without_run(run_id)


def clear() -> None:
    """Compares nothing."""
    st.session_state[STATE] = Comparison()


def rebase(run_id: str) -> None:
    """Measures the others by this run."""
    change(base=run_id)
