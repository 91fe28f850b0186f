"""What is answered instead: problems of a job, and refusals. Expected failures are values, not exceptions."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lfdash.errors import WorkspaceGone

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


@dataclass(frozen=True)
class Refused:
    """Nothing was started or changed. The text of `code` is in the locales' [outcomes]; `params` fill it."""

    code: str
    params: Mapping[str, Any] = field(default_factory=dict)


def refused_by(error: OSError, path: Path) -> Refused:
    """The outcome for a failure of the file system: workspace_gone, disk, readonly, exists, no_locks or
    start_failed."""
    if isinstance(error, WorkspaceGone):
        return Refused("workspace_gone", {"path": error.filename})
    for code, numbers in (("disk", DISK_FULL), ("readonly", NOT_WRITABLE), ("exists", TAKEN), ("no_locks", NO_LOCKS)):
        if error.errno in numbers:
            return Refused(code, {"path": str(path)})
    return Refused("start_failed", {"reason": f"{type(error).__name__}: {error}"})


def unchanged_by(error: OSError, path: Path) -> Refused:
    """The outcome of something else than a start that the file system did not let be: workspace_gone, readonly,
    disk_kept, failed."""
    if isinstance(error, WorkspaceGone):
        return Refused("workspace_gone", {"path": error.filename})
    if error.errno in DISK_FULL:
        return Refused("disk_kept", {"path": str(path)})
    if error.errno in NOT_WRITABLE:
        return Refused("readonly", {"path": str(path)})
    return Refused("failed", {"reason": f"{type(error).__name__}: {error}"})


Value = bool | int | float | str | list[Any] | dict[str, Any]  # None stands for "not given"
Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """What is wrong with a job, as a value.

    field: id of the field it belongs to, None for the whole job. code: the text is `problems.<code>` of the
    locale, filled with params. fix: field id -> value that cures it (None = not given), where that is certain.
    """

    field: str | None
    code: str
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    level: Level = "error"
    fix: Mapping[str, Value | None] | None = None
