"""Configurations saved under a name: plain YAML files in the workspace's configs folder."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from lfdash.files import write_text_atomic
from lfdash.outcomes import Refused

SUFFIX = ".yaml"
NAME = re.compile(r"[^\x00-\x1f\x7f/\\]{1,100}")


class SavedConfigs:
    """Saved configurations of a workspace. folder: absolute, made when something is saved.

    A deleted or replaced file goes to `trash`, from where a person can take it back.
    """

    def __init__(self, folder: Path, trash: Path) -> None:
        self.folder = folder
        self.trash = trash

    def names(self) -> list[str]:
        """The saved names, newest first."""
        files = [path for path in self.folder.glob(f"*{SUFFIX}") if path.is_file() and not path.is_symlink()]
        return [path.stem for path in sorted(files, key=lambda path: -path.stat().st_mtime_ns)]

    def load(self, name: str) -> str | Refused:
        """The text of a saved configuration."""
        missing = self._missing(name, "config_unreadable")
        if missing:
            return missing
        try:
            return self._path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            return Refused("config_unreadable", {"name": name, "reason": str(error)})

    def save(self, name: str, text: str, *, replace: bool = False) -> Refused | None:
        """Saves a text under a name; an existing one is replaced only when that is said."""
        refused = check(name)
        if refused:
            return refused
        path = self._path(name)
        if path.exists() and not replace:
            return Refused("config_exists", {"name": name})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if path.exists():
                self._discard(path)
            write_text_atomic(path, text)
        except OSError as error:
            return Refused("config_unwritable", {"name": name, "reason": str(error)})
        return None

    def rename(self, name: str, new: str) -> Refused | None:
        """Gives a configuration another name, unless that is taken."""
        refused = check(new) or self._missing(name, "config_unwritable")
        if refused:
            return refused
        try:
            os.link(self._path(name), self._path(new))  # fails when the new name exists, unlike rename
            self._path(name).unlink()
        except FileExistsError:
            return Refused("config_exists", {"name": new})
        except OSError as error:
            return Refused("config_unwritable", {"name": name, "reason": str(error)})
        return None

    def delete(self, name: str) -> Refused | None:
        """Moves a configuration to the trash."""
        missing = self._missing(name, "config_unwritable")
        if missing:
            return missing
        try:
            self._discard(self._path(name))
        except OSError as error:
            return Refused("config_unwritable", {"name": name, "reason": str(error)})
        return None

    def _missing(self, name: str, code: str) -> Refused | None:
        """Why a name is none of the saved ones: `../x` is not, and neither is a link."""
        known = name in self.names()
        return None if known else Refused(code, {"name": name, "reason": os.strerror(errno.ENOENT)})

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    def _discard(self, path: Path) -> None:
        self.trash.mkdir(parents=True, exist_ok=True)
        number = 1
        while (target := self.trash / f"{path.stem}.{number}{SUFFIX}").exists():
            number += 1
        path.replace(target)


def check(name: str) -> Refused | None:
    """Why a name cannot be a file's; None when it can."""
    if NAME.fullmatch(name) and name == name.strip() and not name.startswith("."):
        return None
    return Refused("config_name", {"name": name})
