"""Exceptions for the unexpected. Expected failures are values (`Problem`, `Refused`), not exceptions."""

from __future__ import annotations

import errno
from pathlib import Path


class LfdashError(Exception):
    """Base of every exception of this project."""


class ConfigError(LfdashError):
    """A configuration text cannot be read.

    code: its text in the locales' [config], which params fill. message: the same in English, for a terminal.
    line: 1-based, where known.
    """

    def __init__(self, code: str, message: str, line: int | None = None, **params: object) -> None:
        super().__init__(message.format(line=line, **params))
        self.code = code
        self.line = line
        self.params = params


class RecordError(LfdashError):
    """A run's record cannot be read: broken, or written by a newer version."""


class NewerRecord(RecordError):
    """It was written by a newer version: what it says is not known here."""


class RunGone(LfdashError):
    """The folder of a run that was looked at before is not there any more."""


class WorkspaceGone(LfdashError, OSError):
    """The workspace that was opened is not at its path any more: nothing may be written there."""

    def __init__(self, root: Path) -> None:
        OSError.__init__(self, errno.ENOENT, "the workspace no longer exists", str(root))
