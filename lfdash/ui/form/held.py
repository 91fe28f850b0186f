"""What every part of a form asks of it: its fields and the session's keys, and what differs from what it was filled
with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from lfdash.engine.context import MODEL, PATH
from lfdash.engine.defaults import MULTIMODAL, Note
from lfdash.engine.services import Services
from lfdash.jobs.field import Field
from lfdash.jobs.fields import BY_ID, ROWS
from lfdash.jobs.job import TARGET
from lfdash.jobs.kinds import JobKind
from lfdash.outcomes import Value
from lfdash.ui.form import widgets
from lfdash.ui.form.extra_arguments import ExtraArguments
from lfdash.ui.form.keys import scoped

# session keys that each form has for itself, through `HeldForm.key`
CHECKED = "checked"  # Start was pressed: show what is missing, not only what is wrong
BASELINE = "baseline"  # field id -> value of the preset, to mark what differs
NOTES = "notes"  # what loading changed, as (text key, params)


@dataclass(frozen=True)
class HeldForm:
    """The form of one kind of job. It holds nothing itself: its values are the session's, under the ids of its fields,
    so that a callback may have a form among its arguments.

    services: of the workspace. kind: what the form's job is.
    """

    services: Services
    kind: JobKind

    @property
    def rows(self) -> tuple[Field, ...]:
        """Its rows of the table of fields."""
        return ROWS[self.kind.name]

    @property
    def output(self) -> str:
        """The id of the field that holds the run's name."""
        return f"{self.kind.name}.output_dir"

    @property
    def target_key(self) -> str:
        """The id of the field that says where its job runs; a kind that runs on this machine only has no such field."""
        return f"{self.kind.name}.{TARGET}"

    @property
    def extra(self) -> ExtraArguments:
        """Its arguments without a field."""
        return ExtraArguments(self.kind)

    @property
    def page(self) -> str:
        """What the widgets of its page are told apart by from those of other pages with the same key."""
        return self.kind.name

    def key(self, name: str) -> str:
        """The session key of something that each form has for itself."""
        return scoped(self.kind, name)

    @property
    def checked(self) -> bool:
        """Whether Start was pressed since the form was filled."""
        return bool(st.session_state.get(self.key(CHECKED)))

    def check(self, on: bool) -> None:
        """Shows, or no longer shows, what is missing."""
        st.session_state[self.key(CHECKED)] = on

    @property
    def baseline(self) -> Mapping[str, Value]:
        """What the form was filled with."""
        found: Mapping[str, Value] = st.session_state.get(self.key(BASELINE), {})
        return found

    @property
    def notes(self) -> list[Note]:
        """What loading changed, to be told."""
        notes: list[Note] = st.session_state.get(self.key(NOTES), [])
        return notes

    def set_notes(self, notes: list[Note]) -> None:
        """Replaces what is told about what was loaded."""
        st.session_state[self.key(NOTES)] = notes

    @property
    def filled(self) -> bool:
        """Whether the session has the form."""
        return self.key(BASELINE) in st.session_state

    def changed_ids(self) -> list[str]:
        """Fields whose value differs from the preset (or the new form) that was loaded; run name left out. Name and
        path of the model are one, the path's."""
        before = self.baseline
        return [
            row.id
            for row in self.rows
            if row.id not in (self.output, MODEL, MULTIMODAL)
            and (differs(row, before) or (row.id == PATH and differs(BY_ID[MODEL], before)))
            and (widgets.is_given(st.session_state.get(row.id)) or before.get(row.id) is not None or row.id == PATH)
        ]


def differs(row: Field, before: Mapping[str, Value]) -> bool:
    """Whether a field holds something else than before."""
    return bool(st.session_state.get(row.id) != widgets.to_raw(row, before.get(row.id)))
