"""The targets of a workspace: read when the file changed, and changed without losing what people wrote beside them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from lfdash.files import Absent, FileMark, Unreadable, file_mark, only_writer, read_text_file, write_text_atomic
from lfdash.outcomes import Refused, unchanged_by
from lfdash.targets.fields import NAME
from lfdash.targets.reading import FILE, TABLE, Lines, Targets, parse, read
from lfdash.targets.target import LOCAL, Target

PLAIN = {  # what a row says that says nothing
    field.name: {} if field.default is MISSING else field.default for field in fields(Target)
}


class TargetStore:
    """The targets in a folder (absolute), which is made when one is written. check: raises an OSError when the
    workspace is not where it was; then nothing is changed."""

    def __init__(self, folder: Path, check: Callable[[], None] = lambda: None) -> None:
        self.path = folder / FILE
        self._check = check
        self._lock = threading.Lock()
        self._seen: tuple[FileMark | None, Targets] | None = None

    def read(self) -> Targets:
        """The targets as they are now; one stat where the file has not changed. Never raises."""
        with self._lock:
            mark = file_mark(self.path)
            if self._seen is None or mark is None or self._seen[0] != mark or self._seen[1].unread:
                self._seen = (mark, read(self.path))
            return self._seen[1]

    def get(self, name: str) -> Target | Refused:
        """A target. Refused: target_unknown, target_broken (its row, or the file, cannot be read: why)."""
        targets = self.read()
        if name in targets.rows:
            return targets.rows[name]
        if targets.unread or name in targets.broken:
            return Refused("target_broken", {"name": name, "file": str(self.path)})
        return Refused("target_unknown", {"name": name, "file": str(self.path)})

    def put(self, target: Target, before: Target | None) -> Refused | None:
        """Adds a target, or changes the one of that name; the rest of the file stays as it is.

        before: the row that was shown when it was changed, None for a new one. Refused: target_exists, target_changed
        (somebody else changed, or removed, it meanwhile), target_invalid (a value that cannot be read back),
        target_broken, and what the disk says.
        """
        if not NAME.fullmatch(target.name) or target.name == LOCAL:
            return Refused("target_invalid", {"name": target.name})

        def change(text: str, rows: Targets) -> str | Refused:
            there = target.name in rows.rows or target.name in rows.broken
            if before is None and there:
                return Refused("target_exists", {"name": target.name})
            if before is not None and rows.rows.get(target.name) != before:
                return Refused("target_changed", {"name": target.name})
            changed = with_row(text, target, before)
            after = parse(changed, str(self.path))
            good = after.rows == {**rows.rows, target.name: target} and not after.unread
            return changed if good else Refused("target_invalid", {"name": target.name})

        return self._changed(change)

    def remove(self, name: str, before: Target | None) -> Refused | None:
        """Takes a target out, with the comments in its table. before: the row that was shown, None for a broken one.
        Refused: target_unknown, and as `put`."""

        def change(text: str, rows: Targets) -> str | Refused:
            if name not in rows.rows and name not in rows.broken:
                return Refused("target_unknown", {"name": name, "file": str(self.path)})
            if rows.rows.get(name) != before:  # also a broken one that was corrected
                return Refused("target_changed", {"name": name})
            return without(text, name, self.path)

        return self._changed(change)

    def _changed(self, change: Callable[[str, Targets], str | Refused]) -> Refused | None:
        """Reads, changes and replaces the file, while no other dashboard does."""
        try:
            self._check()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with only_writer(self.path.parent):
                text = read_text_file(self.path)
                text = "" if isinstance(text, Absent) else text
                found = Targets(unread=True) if isinstance(text, Unreadable) else parse(text, str(self.path))
                if isinstance(text, Unreadable) or found.unread:
                    return Refused("target_broken", {"name": FILE, "file": str(self.path)})
                changed = change(text, found)
                if isinstance(changed, Refused):
                    return changed
                write_text_atomic(self.path, changed)
        except OSError as error:
            return unchanged_by(error, self.path)
        return None


def with_row(text: str, target: Target, before: Target | None) -> str:
    """A TOML text with a target. Of one that is there only what differs is touched, so that comments stay."""
    import tomlkit  # only where somebody changes a target

    document = tomlkit.parse(text)
    tables: Any = document.get(TABLE)
    if tables is None:
        tables = document[TABLE] = tomlkit.table(is_super_table=True)
    table: Any = tables.get(target.name)
    if table is None:
        tables[target.name] = tomlkit.table()
        table = tables[target.name]
    body = table.value.body
    last = max((place for place, (key, _) in enumerate(body) if key is not None), default=len(body) - 1)
    behind, body[last + 1 :] = body[last + 1 :], []  # comments above the next table, to stay there
    for name, plain in PLAIN.items():
        value = getattr(target, name)
        if name == "name" or (before is not None and value == getattr(before, name)):
            continue
        if value == plain or value is None:
            table.pop(name, None)
        else:
            table[name] = list(value) if isinstance(value, tuple) else inline(value)
    body.extend(behind)
    return document.as_string()


def inline(value: Any) -> Any:
    """A value as it is written into its row: a mapping in one line, so that it ends no table."""
    import tomlkit

    if not isinstance(value, Mapping):
        return value
    table = tomlkit.inline_table()
    table.update(value)
    return table


def without(text: str, name: str, path: Path) -> str:
    """A TOML text without a target; comments above the next one stay. Where its table is written in an unusual way,
    those may go with it."""
    import tomlkit

    lines = text.splitlines(keepends=True)
    begin = int(Lines(text).of(f"{TABLE}.{name}")) - 1
    end = next((place for place in range(begin + 1, len(lines)) if lines[place].lstrip().startswith("[")), len(lines))
    while end > begin + 1 and end < len(lines) and (not lines[end - 1].strip() or lines[end - 1].lstrip()[0] == "#"):
        end -= 1
    changed = "".join([*lines[:begin], *lines[end:]])
    rows, after = parse(text, str(path)), parse(changed, str(path))
    kept = {other: row for other, row in rows.rows.items() if other != name}
    if (after.rows, set(after.broken)) == (kept, set(rows.broken) - {name}) and not after.unread:
        return changed
    document = tomlkit.parse(text)
    tables: Any = document[TABLE]
    del tables[name]
    return document.as_string()
