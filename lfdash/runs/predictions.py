"""The predictions of an evaluation: a file that is never held in memory, read page by page, and searched in stretches.

Rows are told by their number; of each, 8 bytes are kept: where it begins.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from array import array
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lfdash.data.json_text import Broken, as_text
from lfdash.data.json_text import parse as parse_json
from lfdash.files import is_shallow, open_plain
from lfdash.runs.spreadsheet import harmless

PREDICTIONS = "generated_predictions.jsonl"  # llamafactory/train/sft/trainer.py, save_predictions
COLUMNS = ("prompt", "label", "predict")
CHUNK = 1 << 20  # bytes read at once
LONGEST = 16 << 20  # bytes of a line; of a longer one only the beginning is shown
BEGINNING = 10_000  # characters of a line that is shown as it is
NEWLINE = 10


@dataclass(frozen=True)
class Prediction:
    """One row: its number from 1, what was asked, what the data say, what the model answered."""

    number: int
    prompt: str
    label: str
    predict: str


class Predictions:
    """The predictions of a run.

    A file that grew is read on; one that shrank or is another one is read anew, and `generation` grows.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.generation = 0
        self._forget(None)

    def _forget(self, inode: int | None) -> None:
        self._inode = inode
        self._ends = array("Q")  # of each whole line, the place behind its newline
        self._seen = 0  # bytes that were looked at for newlines

    def count(self) -> int:
        """How many whole rows there are now."""
        try:
            file = open_plain(self.path)
        except OSError:
            return 0
        with file:
            stat = os.fstat(file.fileno())
            if stat.st_size < self._seen or stat.st_ino != (self._inode or stat.st_ino):
                self.generation += 1
                self._forget(None)
            self._inode = stat.st_ino
            file.seek(self._seen)
            while chunk := file.read(min(CHUNK, stat.st_size - self._seen)):
                ends = np.flatnonzero(np.frombuffer(chunk, np.uint8) == NEWLINE) + (self._seen + 1)
                self._ends.frombytes(ends.astype(np.uint64).tobytes())
                self._seen += len(chunk)
        return len(self._ends)

    def __len__(self) -> int:
        """The whole rows that were counted."""
        return len(self._ends)

    def page(self, start: int, size: int) -> list[Prediction]:
        """Rows `start` (from 0) and so many after it."""
        return self.at(range(start, min(start + size, self.count())))

    def at(self, places: Iterable[int]) -> list[Prediction]:
        """The rows at these places (from 0), as `count` or a search found them."""
        try:
            with open_plain(self.path) as file:
                return [parse(place + 1, self._line(file, place)) for place in places]
        except OSError:
            return []

    def _line(self, file: BinaryIO, place: int) -> bytes:
        begin = self._begin(place)
        file.seek(begin)
        return file.read(min(self._ends[place] - begin, LONGEST))

    def _begin(self, place: int) -> int:
        return self._ends[place - 1] if place else 0

    def stretches(self, start: int) -> Generator[tuple[int, int, bytes], None, None]:
        """The lines from row `start` on, about CHUNK bytes at once: the place of the first, how many, and what they are
        without the last newline. OSError."""
        if start >= len(self):
            return
        with open_plain(self.path) as file:
            while start < len(self):
                begin = self._begin(start)
                last = max(start, bisect_right(self._ends, begin + CHUNK) - 1)
                file.seek(begin)
                data = self._line(file, start) if last == start else file.read(self._ends[last] - begin)
                yield start, last - start + 1, data.removesuffix(b"\n")
                start = last + 1

    def rows(self) -> Iterator[Prediction]:
        """All whole rows, one at a time."""
        self.count()
        try:
            for start, _, data in self.stretches(0):
                yield from (parse(number, line) for number, line in enumerate(data.split(b"\n"), start + 1))
        except OSError:
            return

    def csv(self) -> Iterator[str]:
        """All rows as CSV with a head, a line at a time; a cell that a spreadsheet would run as a formula gets a '."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        yield text.getvalue()
        for row in self.rows():
            text.seek(0)
            text.truncate()
            writer.writerow([harmless(cell) for cell in (row.prompt, row.label, row.predict)])
            yield text.getvalue()


def parse(number: int, line: bytes) -> Prediction:
    """A line of the file; one that cannot be read is shown as it is, in place of the prompt."""
    text = line.decode("utf-8", "replace").strip()
    row = parse_json(text) if len(line) < LONGEST else None
    if isinstance(row, Broken) or not isinstance(row, dict):
        return Prediction(number, text if len(text) <= BEGINNING else f"{text[:BEGINNING]}…", "", "")
    return Prediction(number, *(cell(row.get(name, "")) for name in COLUMNS))


def cell(value: object) -> str:
    """A value as text."""
    if isinstance(value, dict | list) and not is_shallow(value):
        return "…"
    return as_text(str(value))


# -- searching -----------------------------------------------------------------------------------------

# a row as LLaMA-Factory writes it, with no escape that has another, shorter form
STRING = r'"[^"\\\x00-\x1f]*(?:\\["\\bfnrt][^"\\\x00-\x1f]*)*"'
USUAL = re.compile(rf'\{{"prompt": {STRING}, "predict": {STRING}, "label": {STRING}\}}')
AROUND = '{"prompt": "", "predict": "", "label": ""}'
SHORT_ESCAPES = '"\\/bfnrt'
OTHER_ESCAPES = ("\\u", "\\/")  # a text has several forms then: only reading the row can tell


class Search:
    """Looks for a text in all columns, case aside, a stretch at a time: in the lines as they are written, which are
    read as JSON only where that leaves a doubt.

    hits: the places (from 0) of the rows that have it, among the first `looked` rows.
    """

    def __init__(self, rows: Predictions, text: str) -> None:
        self.rows = rows
        self.text = text
        self._wanted = text.casefold()
        self._written = json.dumps(self._wanted, ensure_ascii=False)[1:-1]
        self._around = AROUND.count(self._written)
        self._restart()

    def _restart(self) -> None:
        self._generation = self.rows.generation
        self.hits = array("Q")
        self.looked = 0

    @property
    def done(self) -> bool:
        """Whether all rows that were counted were looked at."""
        return self._generation == self.rows.generation and self.looked >= len(self.rows)

    def go_on(self, enough: Callable[[], bool]) -> None:
        """Looks on until all rows were looked at, or `enough` says so: it is asked after each stretch."""
        if self._generation != self.rows.generation:
            self._restart()
        try:
            with closing(self.rows.stretches(self.looked)) as stretches:
                for start, count, data in stretches:
                    self.hits.extend(start + place for place in self._found(data))
                    self.looked = start + count
                    if enough():
                        return
        except OSError:
            self.looked = len(self.rows)

    def _found(self, data: bytes) -> list[int]:
        """The places of the lines that have the text."""
        text = data.decode("utf-8", "replace").casefold()
        escaped = "\\" in text and any(escape in text for escape in OTHER_ESCAPES)
        doubtful = escaped or self._wanted != self._written or "\n" in self._wanted
        if not doubtful and self._wanted not in text:
            return []
        lines = data.split(b"\n")
        return [
            place for place, folded in enumerate(text.split("\n"))
            if (doubtful or self._wanted in folded) and self._has(folded, lines[place])
        ]

    def _has(self, folded: str, line: bytes) -> bool:
        """Whether a row has the text; folded: its line without case."""
        sure = "\\" not in folded or self._written[:1] not in SHORT_ESCAPES  # else it may begin within an escape
        if sure and "\n" not in self._wanted and USUAL.fullmatch(folded):
            return folded.count(self._written) > self._around
        row = parse(0, line)
        return self._wanted in f"{row.prompt}\n{row.label}\n{row.predict}".casefold()
