"""Exceptions for the unexpected. Expected failures are values (`Problem`, `Refused`), not exceptions."""

from __future__ import annotations


class LfdashError(Exception):
    """Base of every exception of this project."""


class ConfigError(LfdashError):
    """A configuration text cannot be read. `line` is 1-based where known."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class RecordError(LfdashError):
    """A run's record cannot be read: broken, or written by a newer version."""
