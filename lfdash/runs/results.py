"""What an evaluation leaves: its scores, and its predictions read page by page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lfdash.files import open_plain, read_plain
from lfdash.runs.console import tracker_link
from lfdash.runs.paths import RunPaths

PREDICTIONS = "generated_predictions.jsonl"  # llamafactory/train/sft/trainer.py, save_predictions
SCORES = ("all_results.json", "predict_results.json", "eval_results.json")
COLUMNS = ("prompt", "label", "predict")


def experiment_link(paths: RunPaths) -> str | None:
    """The web address at which a tracker (SwanLab, Weights & Biases) shows the run, where it has published one.

    LLaMA-Factory notes SwanLab's in a file, which newer versions of SwanLab leave empty; then the console says it.
    """
    try:
        link = json.loads(read_plain(paths.swanlab))["cloud"]["experiment_url"]
    except (OSError, ValueError, KeyError, TypeError):
        link = None
    if isinstance(link, str) and link.startswith(("https://", "http://")):
        return link
    return tracker_link(paths.console)


def read_scores(folder: Path) -> dict[str, float]:
    """The numbers of the run's result file, sorted by name; empty when there is none (yet)."""
    for name in SCORES:
        try:
            found = json.loads(read_plain(folder / name))
        except (OSError, ValueError):
            continue
        if isinstance(found, dict):
            numbers = {key: value for key, value in found.items() if isinstance(value, int | float)}
            return dict(sorted(numbers.items()))
    return {}


@dataclass(frozen=True)
class Prediction:
    """One row: its number from 1, what was asked, what the data say, what the model answered."""

    number: int
    prompt: str
    label: str
    predict: str


@dataclass
class Predictions:
    """The predictions of a run: the file is never held in memory as a whole.

    Offsets of lines are remembered once; a file that grew is read on, one that shrank is read anew.
    """

    path: Path

    def __post_init__(self) -> None:
        self._offsets: list[int] = []
        self._end = 0

    def count(self) -> int:
        """How many whole rows there are now."""
        try:
            file = open_plain(self.path)
        except OSError:
            return 0
        with file:
            if file.seek(0, 2) < self._end:
                self._offsets, self._end = [], 0
            file.seek(self._end)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # still being written
                self._offsets.append(self._end)
                self._end += len(line)
        return len(self._offsets)

    def page(self, start: int, size: int) -> list[Prediction]:
        """Rows `start` (from 0) and so many after it."""
        self.count()
        found: list[Prediction] = []
        if not self._offsets[start : start + size]:
            return found
        with open_plain(self.path) as file:
            for number, offset in enumerate(self._offsets[start : start + size], start + 1):
                file.seek(offset)
                found.append(parse(number, file.readline()))
        return found

    def search(self, text: str, start: int, size: int) -> tuple[list[Prediction], int]:
        """Rows that contain a text in any column (case aside): the page of them, and how many there are."""
        wanted = text.casefold()
        hits, total = [], 0
        for row in self.rows():
            if wanted in f"{row.prompt}\n{row.label}\n{row.predict}".casefold():
                if start <= total < start + size:
                    hits.append(row)
                total += 1
        return hits, total

    def rows(self) -> Iterator[Prediction]:
        """All whole rows, one at a time."""
        try:
            with open_plain(self.path) as file:
                for number, line in enumerate(file, 1):
                    if line.endswith(b"\n"):
                        yield parse(number, line)
        except OSError:
            return

    def to_csv(self) -> str:
        """All rows as CSV with a head; cells that a spreadsheet would run as a formula are quoted with '."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        for row in self.rows():
            writer.writerow([harmless(cell) for cell in (row.prompt, row.label, row.predict)])
        return text.getvalue()


def parse(number: int, line: bytes) -> Prediction:
    """A line of the file; one that cannot be read is shown as it is, in place of the prompt."""
    try:
        row = json.loads(line)
        return Prediction(number, *(str(row.get(name, "")) for name in COLUMNS))
    except (ValueError, AttributeError):
        return Prediction(number, line.decode("utf-8", "replace").strip(), "", "")


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
