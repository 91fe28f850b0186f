"""What is said of a run that its scheduler has ended."""

from __future__ import annotations

from lfdash.engine.resuming import look_standing, resumed_in
from lfdash.engine.services import Services
from lfdash.runs.view import RunView


def resumed_words(services: Services, code: str, view: RunView) -> str:
    """As the page says it."""
    return resumed_in(code, view, look_standing(services, view))
