"""What replaces a form's content can be taken back as long as the page is open.

A form puts what it held before a preset, a file, a run's settings, a Fix or a reset on a stack of its own in the
session. Nobody who fills a form has to think of it: the methods of `Form` that replace values do it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import streamlit as st

from lfdash.engine.context import MODEL
from lfdash.engine.defaults import MULTIMODAL, Note
from lfdash.jobs.field import Field
from lfdash.ui.form import widgets
from lfdash.ui.form.extra_arguments import ExtraArguments

STACK, AGAIN = "undo", "redo"  # session keys, through `Form.key`
DEEPEST = 20  # replacements that can be taken back


class Form(Protocol):
    """What is asked of a form (`state.Form`)."""

    @property
    def rows(self) -> tuple[Field, ...]:
        """Its fields."""

    @property
    def extra(self) -> ExtraArguments:
        """Its arguments without a field."""

    @property
    def output(self) -> str:
        """The id of the field that holds the run's name."""

    @property
    def filled(self) -> bool:
        """Whether the session has it."""

    def key(self, name: str) -> str:
        """The session key of something that each form has for itself."""

    def own_keys(self) -> list[str]:
        """The session keys beside those of its fields."""

    def save_draft(self) -> None:
        """Keeps it for the next session."""


@dataclass(frozen=True)
class Replaced:
    """A replacement. what: who did it, as a text with its parameters; count: values that it changed; before: the form
    as it was; changed: what it changed, by session key; told: whether the page has shown it, so that the next one is
    another."""

    what: Note
    count: int
    before: Mapping[str, Any]
    changed: frozenset[str]
    told: bool = False


def snapshot(form: Form) -> dict[str, Any]:
    """All that makes a form what it is, by session key, of those that are there; the arguments without a field under
    ""."""
    return {"": form.extra.state(), **{key: st.session_state[key] for key in keys(form) if key in st.session_state}}


def keys(form: Form) -> list[str]:
    """The session keys of a form."""
    return [row.id for row in form.rows] + form.own_keys()


def restore(form: Form, kept: Mapping[str, Any], changed: frozenset[str]) -> None:
    """Makes a form what it was, in what was changed: what was typed since in other fields stays."""
    if "" in changed:
        form.extra.restore(kept[""])
    for key in changed.intersection(keys(form)):
        if key in kept:
            st.session_state[key] = kept[key]
        elif key in st.session_state:
            del st.session_state[key]
    form.save_draft()


def difference(form: Form, before: Mapping[str, Any], after: Mapping[str, Any]) -> int:
    """How many values differ; the run's name is not counted, nor what goes with the model."""
    ids = [row.id for row in form.rows if row.id != form.output and not row.hidden]
    pairs = [(before.get(key), after.get(key)) for key in ids]
    changed = sum(old != new and (widgets.is_given(old) or widgets.is_given(new)) for old, new in pairs)
    return changed + (before[""] != after[""])


@contextmanager
def replacing(form: Form, what: Note) -> Iterator[None]:
    """Notes what the form held before, if what is done inside changes any of it. what: who does it.

    Two replacements of one click are one: the form as it was before the first, and who was the first.
    """
    if not form.filled:
        yield
        return
    before: Mapping[str, Any] = snapshot(form)
    yield
    stack = stacked(form)
    if stack and not stack[-1].told:
        before, what = stack[-1].before, stack[-1].what
        stack = stack[:-1]
    after = snapshot(form)
    count = difference(form, before, after)
    if count:
        changed = frozenset(key for key in {*before, *after} if before.get(key) != after.get(key))
        st.session_state[form.key(STACK)] = [*stack, Replaced(what, count, before, changed)][-DEEPEST:]
        st.session_state[form.key(AGAIN)] = None


def stacked(form: Form) -> list[Replaced]:
    """What can be taken back, the last at the end."""
    return list(st.session_state.get(form.key(STACK)) or [])


def last(form: Form) -> Replaced | None:
    """What was replaced last, to be shown."""
    stack = stacked(form)
    if not stack:
        return None
    stack[-1] = replace(stack[-1], told=True)
    st.session_state[form.key(STACK)] = stack
    return stack[-1]


def take_back(form: Form) -> None:
    """Takes the last replacement back, which can be taken back in turn."""
    stack = stacked(form)
    if stack:
        st.session_state[form.key(AGAIN)] = [*taken_back(form), replace(stack[-1], before=snapshot(form))]
        st.session_state[form.key(STACK)] = stack[:-1]
        restore(form, stack[-1].before, stack[-1].changed)


def taken_back(form: Form) -> list[Replaced]:
    """What was taken back while nothing was replaced since, the last at the end."""
    return list(st.session_state.get(form.key(AGAIN)) or [])


def changes(form: Form, found: Replaced) -> list[tuple[Field, Any, Any]]:
    """What a replacement has changed, as it is now: field, raw value before, raw value of now; as `difference` counts.
    The model is its path alone."""
    pairs = [(row, found.before.get(row.id), st.session_state.get(row.id)) for row in form.rows
             if row.id in found.changed and row.id not in (form.output, MODEL, MULTIMODAL) and not row.hidden]
    return [(row, old, new) for row, old, new in pairs
            if old != new and (widgets.is_given(old) or widgets.is_given(new))]


def undone(form: Form) -> Replaced | None:
    """The replacement that was taken back last, while nothing was replaced since."""
    found = taken_back(form)
    return found[-1] if found else None


def again(form: Form) -> None:
    """Does the replacement again that was taken back last."""
    found = undone(form)
    if found is not None:
        now = snapshot(form)
        restore(form, found.before, found.changed)
        st.session_state[form.key(AGAIN)] = taken_back(form)[:-1]
        st.session_state[form.key(STACK)] = [*stacked(form), replace(found, before=now)][-DEEPEST:]
