"""What people write about a run: a note and tags, in `notes.json` in the run's own folder.

There they go along when the folder is moved, copied or renamed. Runs of the plain CLI can have them too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lfdash.files import Absent, Unreadable, only_writer, read_json_file, write_text_atomic
from lfdash.outcomes import Refused, unchanged_by
from lfdash.runs.paths import RunPaths

VERSION = 1
LONGEST_NOTE = 20_000  # characters
LONGEST_TAG = 40
MOST_TAGS = 20
LARGEST_FILE = 1 << 18  # bytes; whatever is larger was not written here
KEYS = {"version", "note", "tags"}
# what no text field can make, and what would turn a line round or hide it
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@dataclass(frozen=True)
class Notes:
    """note: plain text of several lines. tags: in the order they were given."""

    note: str = ""
    tags: tuple[str, ...] = ()


NONE = Notes()


def read(path: Path | str) -> Notes:
    """The notes in a file; empty when it is missing, broken, somebody else's, or may not be read. OSError when reading
    failed for another reason, so that nothing is known. Never waits."""
    try:
        found = load(path)
    except PermissionError:  # it stays so: the run is shown all the same
        return NONE
    return found if isinstance(found, Notes) else NONE


def load(path: Path | str) -> Notes | Refused | None:
    """The notes in a file, None when there is none, Refused("notes_foreign") when it is not ours. OSError when it
    cannot be read."""
    data = read_json_file(path, limit=LARGEST_FILE)
    if isinstance(data, Absent):
        return None
    if isinstance(data, Unreadable) and data.failure is not None:
        raise OSError(data.failure, data.reason, str(path))
    if isinstance(data, dict) and data.keys() <= KEYS:
        note, tags = data.get("note"), data.get("tags")
        if isinstance(note, str) and isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
            return Notes(clean_note(note)[:LONGEST_NOTE], clean_tags(tags)[:MOST_TAGS])
    return Refused("notes_foreign", {"path": str(path)})


def clean_note(text: str) -> str:
    """A note without what cannot be seen; line ends as \\n, nothing at its end."""
    return UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).rstrip()


def clean_tags(raw: Iterable[str]) -> tuple[str, ...]:
    """Tags without blanks around them, each once whatever its case; a comma separates two."""
    found: dict[str, str] = {}
    for text in raw:
        for part in text.split(","):
            tag = " ".join(UNSEEN.sub("", part).split())
            if tag:
                found.setdefault(tag.casefold(), tag)
    return tuple(found.values())


def save(paths: RunPaths, notes: Notes, before: Notes | None = None) -> Refused | None:
    """Writes the notes of a run; empty ones remove the file.

    before: what the writer had seen, None = does not matter. Refused: no_folder, notes_long, tag_long, tags_many,
    notes_changed (somebody else wrote meanwhile), notes_foreign (the file is not ours), readonly, disk_kept,
    failed; then nothing has changed.
    """
    wanted = Notes(clean_note(notes.note), clean_tags(notes.tags))
    refused = check(wanted)
    if refused is not None:
        return refused
    if not paths.root.is_dir():
        return Refused("no_folder", {"path": str(paths.root)})
    try:
        with only_writer(paths.root):
            return replace(paths.notes, wanted, before)
    except BlockingIOError:
        return Refused("notes_changed")
    except OSError as error:
        return unchanged_by(error, paths.notes)


def replace(path: Path, wanted: Notes, before: Notes | None) -> Refused | None:
    """Writes the notes if they are such as the writer had seen. OSError when reading or writing failed."""
    held = load(path)
    if isinstance(held, Refused):
        return held
    if before is not None and (held or NONE) != before:
        return Refused("notes_changed")
    if wanted != NONE:
        data = {"version": VERSION, "note": wanted.note, "tags": list(wanted.tags)}
        write_text_atomic(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    else:
        path.unlink(missing_ok=True)
    return None


def check(notes: Notes) -> Refused | None:
    """Why notes are too large to be kept; None when they are not."""
    if len(notes.note) > LONGEST_NOTE:
        return Refused("notes_long", {"max": LONGEST_NOTE})
    if len(notes.tags) > MOST_TAGS:
        return Refused("tags_many", {"max": MOST_TAGS})
    long = next((tag for tag in notes.tags if len(tag) > LONGEST_TAG), None)
    return None if long is None else Refused("tag_long", {"value": long[:80], "max": LONGEST_TAG})
