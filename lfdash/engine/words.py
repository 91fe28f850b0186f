"""How a job stands in the queue, in a sentence of any language."""

from __future__ import annotations

from collections.abc import Callable

from lfdash.locales import in_language
from lfdash.runs.view import Reason, Waiting

REFUSED = "refused_"  # start of a reason that is a refusal of the launcher


def reason_in(code: str, reason: Reason, safe: Callable[[str], str] = str) -> str:
    """Why a job waits or is held. safe: makes a value fit for where it is shown."""
    params = {name: safe(value) for name, value in reason.params.items()}
    if reason.code.startswith(REFUSED):
        return in_language(code, f"outcomes.{reason.code.removeprefix(REFUSED)}", **params).rstrip(".。")
    return in_language(code, f"waits.{reason.code}", **params)


def waiting_in(code: str, waiting: Waiting, safe: Callable[[str], str] = str) -> str:
    """How a job stands, in one sentence."""
    if waiting.held is not None:
        return in_language(code, "ui.queue_held", why=reason_in(code, waiting.held, safe))
    if waiting.waits is not None:
        return in_language(code, "ui.queue_waits", position=waiting.position, why=reason_in(code, waiting.waits, safe))
    return in_language(code, "ui.queue_next", position=waiting.position)
