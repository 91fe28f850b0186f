"""Configurations saved under a name: plain YAML files in the workspace's configs folder."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

from lfdash.errors import WorkspaceGone
from lfdash.files import Unreadable, file_mark, look_mark, read_text_file, write_text_atomic
from lfdash.jobs.checks import is_invisible
from lfdash.outcomes import Refused, unchanged_by

SUFFIX = ".yaml"
NAME = re.compile(r"[^\x00-\x1f\x7f/\\]{1,100}")


class SavedConfigs:
    """Saved configurations of a workspace. folder: absolute, made when something is saved.

    A deleted or replaced file goes to `trash`, from where a person can take it back. check: raises WorkspaceGone (an
    OSError) when the workspace is not where it was; then nothing is changed, and the refusal is workspace_gone.
    """

    def __init__(self, folder: Path, trash: Path, check: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self.trash = trash
        self._check = check

    def names(self) -> list[str]:
        """The saved names, newest first."""
        marks = {path: file_mark(path) for path in self.folder.glob(f"*{SUFFIX}") if path.is_file()}
        files = {path: mark for path, mark in marks.items() if mark is not None and not path.is_symlink()}
        return [path.stem for path in sorted(files, key=lambda path: -files[path][0])]

    def load(self, name: str) -> str | Refused:
        """The text of a saved configuration."""
        missing = self._missing(name, "config_unreadable")
        if missing:
            return missing
        text = read_text_file(self._path(name))
        if isinstance(text, str):
            return text
        reason = text.reason if isinstance(text, Unreadable) else os.strerror(errno.ENOENT)
        return Refused("config_unreadable", {"name": name, "reason": reason})

    def save(self, name: str, text: str, *, replace: bool = False) -> Refused | None:
        """Saves a text under a name; an existing one is replaced only when that is said."""
        refused = check(name)
        if refused:
            return refused
        path = self._path(name)
        try:
            is_there = look_mark(path) is not None
            if is_there and not replace:
                return Refused("config_exists", {"name": name})
            self._check()
            self.folder.mkdir(exist_ok=True)
            if is_there:
                self._discard(path)
            write_text_atomic(path, text)
        except OSError as error:
            return unwritable(name, error)
        return None

    def rename(self, name: str, new: str) -> Refused | None:
        """Gives a configuration another name, unless that is taken. Whoever died between the two steps left both
        names; then it is finished."""
        refused = check(new) or self._missing(name, "config_unwritable")
        if refused:
            return refused
        try:
            self._check()
            if name == new or not is_same_file(self._path(name), self._path(new)):
                os.link(self._path(name), self._path(new))  # fails when the new name exists, unlike rename
            self._path(name).unlink()
        except FileExistsError:
            return Refused("config_exists", {"name": new})
        except OSError as error:
            return unwritable(name, error)
        return None

    def delete(self, name: str) -> Refused | None:
        """Moves a configuration to the trash."""
        missing = self._missing(name, "config_unwritable")
        if missing:
            return missing
        try:
            self._check()
            self._discard(self._path(name))
        except OSError as error:
            return unwritable(name, error)
        return None

    def _missing(self, name: str, code: str) -> Refused | None:
        """Why a name is none of the saved ones: `../x` is not, and neither is a link."""
        known = name in self.names()
        return None if known else Refused(code, {"name": name, "reason": os.strerror(errno.ENOENT)})

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    def _discard(self, path: Path) -> None:
        self.trash.parent.mkdir(exist_ok=True)
        self.trash.mkdir(exist_ok=True)
        number = 1
        while (target := self.trash / f"{path.stem}.{number}{SUFFIX}").exists():
            number += 1
        path.replace(target)


def unwritable(name: str, error: OSError) -> Refused:
    """Why a configuration could not be changed."""
    if isinstance(error, WorkspaceGone):
        return unchanged_by(error, Path())
    return Refused("config_unwritable", {"name": name, "reason": str(error)})


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two names are those of one file; False when the second is missing."""
    try:
        return not other.is_symlink() and os.path.samefile(one, other)
    except FileNotFoundError:
        return False


def check(name: str) -> Refused | None:
    """Why a name cannot be a file's; None when it can."""
    if NAME.fullmatch(name) and not is_invisible(name) and name == name.strip() and not name.startswith("."):
        return None
    return Refused("config_name", {"name": name})
