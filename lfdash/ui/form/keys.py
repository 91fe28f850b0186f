"""Session keys of a form beside those of its fields. The forms of all kinds of job lie side by side in a session."""

from __future__ import annotations

from lfdash.jobs.kinds import JobKind


def scoped(kind: JobKind, name: str) -> str:
    """The session key of something that each kind's form has for itself."""
    return f"{kind.name}.form.{name}"
