"""What LLaMA-Factory would make of a data file: its format, its entry, and how many of its rows could be used.

Rows are counted by a look at every one, and only where the rules are certain: data in columns (not in turns) of a
file whose values have types (not CSV). What is not known is None. Source of the rules: the converters and processors
in llamafactory/data (converter.py, processor/), and its loader, which refuses data of another stage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lfdash.data.formats import BY_NAME, Mapped, entry, recognise
from lfdash.data.json_text import as_text
from lfdash.data.preview import count_rows, opened, preview, trouble
from lfdash.data.rows import Rows
from lfdash.jobs.stages import BY_CODE, RANKED
from lfdash.outcomes import Problem

ROWS_NAMED = 10  # rows that are named of those left out for one reason
# what LLaMA-Factory takes when an entry names no columns (data/parser.py, DatasetAttr)
USUAL_COLUMNS: Mapping[bool, Mapping[str, str]] = {
    False: {"prompt": "instruction", "query": "input", "response": "output"},
    True: {"messages": "conversations"},
}
SOME_ROWS = ("num_samples", "split", "subset", "folder")  # keys of an entry that take a part of the data
USUAL_STAGE = {"text": "pt", "pairs": "dpo", "chat_pairs": "dpo", "kto": "kto", "chat_kto": "kto"}
ONE_ANSWER, TWO_ANSWERS = ("sft",), ("rm", "dpo", "kto")  # what a stage takes; the others need none


@dataclass(frozen=True)
class LeftOut:
    """Rows that LLaMA-Factory drops. reason: a word that stays the same in all languages (`cli.left_<reason>` is its
    text); rows: the numbers of the first of them, 1 is the first row."""

    reason: str
    count: int
    rows: tuple[int, ...]


@dataclass(frozen=True)
class DatasetReport:
    """A dataset as LLaMA-Factory would read it.

    format: one of formats.FORMATS, None when none fits. entry: the one in dataset_info.json, or the one that would be
    written. rows, usable: None where they were not counted.
    """

    format: str | None = None
    entry: Mapping[str, Any] | None = None
    rows: int | None = None
    usable: int | None = None
    left_out: tuple[LeftOut, ...] = ()
    problems: tuple[Problem, ...] = ()


def report_file(path: Path, stage: str = "") -> DatasetReport:
    """A file that has no entry yet. stage: what it shall be used for; "" = what its format is usually for."""
    start = preview(path)
    if start.problem is not None:
        return DatasetReport(problems=(start.problem,))
    mapped = recognise(start.columns)
    if not mapped.format:
        columns = ", ".join(map(as_text, start.columns)) or "–"
        problem = trouble("data_no_format", path, columns=columns)
        return with_count(path, DatasetReport(rows=start.count, problems=(problem,)))
    made = {"file_name": path.name, **entry(mapped, start.rows[0] if start.rows else {})}
    return counted(path, path.name, DatasetReport(mapped.format, made, start.count), mapped, stage)


def report_entry(path: Path | None, name: str, found: Mapping[str, Any], stage: str = "") -> DatasetReport:
    """A dataset of dataset_info.json. path: its file; None when it is none on this machine."""
    mapped = mapped_by(found)
    report = DatasetReport(mapped.format or None, dict(found))
    if path is None:
        return replace(report, problems=tuple(unfit(name, mapped, stage)))
    start = preview(path)
    if start.problem is not None:
        return replace(report, problems=(start.problem, *unfit(name, mapped, stage)))
    return counted(path, name, replace(report, rows=start.count), mapped, stage)


def mapped_by(found: Mapping[str, Any]) -> Mapped:
    """What an entry says its columns are. format "" for a `formatting` that is not known."""
    formatting = found.get("formatting", "alpaca")
    if formatting not in ("alpaca", "sharegpt", "openai"):
        return Mapped()
    chat = formatting != "alpaca"
    named = found.get("columns")
    columns = {role: name for role, name in named.items() if name} if isinstance(named, dict) else USUAL_COLUMNS[chat]
    own = "sharegpt" if chat else "alpaca" if columns.get("response") else "text"
    if found.get("ranking"):
        own = "chat_pairs" if chat else "pairs"
    elif columns.get("kto_tag"):
        own = "chat_kto" if chat else "kto"
    roles = BY_NAME[own].roles
    return Mapped(own, {role: str(name) for role, name in columns.items() if role in roles})


def unfit(name: str, mapped: Mapped, stage: str) -> Iterator[Problem]:
    """Data that LLaMA-Factory refuses in a stage as a whole."""
    if not mapped.format or not stage:
        return
    ranked = BY_NAME[mapped.format].ranking
    if BY_CODE[stage].ranked != ranked:
        code, told = ("dataset_ranked", {"stages": RANKED}) if ranked else ("dataset_unranked", {})
        yield Problem(None, code, {"value": name, **told})


def counted(path: Path, name: str, report: DatasetReport, mapped: Mapped, stage: str) -> DatasetReport:
    """The report with what a look at all rows says."""
    refused = tuple(unfit(name, mapped, stage))
    if path.suffix == ".csv" or not mapped.format:
        return with_count(path, replace(report, problems=refused))
    look = Look(mapped, stage or USUAL_STAGE.get(mapped.format, "sft"))
    problem = look_through(path, look)
    if problem is not None:
        return replace(report, rows=None, problems=(problem, *refused))
    absent = tuple(trouble("data_no_column", path, column=as_text(column)) for column in look.absent)
    report = replace(report, rows=look.count, problems=(*absent, *refused))
    if refused:
        return without_any(report, look.count)
    a_part = any((report.entry or {}).get(key) is not None for key in SOME_ROWS)
    if absent or a_part or not look.certain:
        return report
    return replace(report, usable=look.count - look.dropped.total(), left_out=look.left_out)


def with_count(path: Path, report: DatasetReport) -> DatasetReport:
    """The report with the number of rows, of a file that may be too large for a preview to know it."""
    found = None if report.rows is not None else count_rows(path)
    if found is None:
        return report
    return replace(report, rows=found.rows, problems=(*([found.problem] if found.problem else []), *report.problems))


def look_through(path: Path, look: Look) -> Problem | None:
    """Shows every row of a file to `look`, one at a time; why it cannot be read to its end, if so."""
    file = opened(path)
    if isinstance(file, Problem):
        return file
    with file:
        try:
            rows = Rows(file, path)
        except OSError as error:
            return trouble("data_unreadable", path, reason=str(error))
        for row in rows:
            look.take(row)
    return rows.problem


def without_any(report: DatasetReport, count: int) -> DatasetReport:
    """The report of data that LLaMA-Factory refuses as a whole."""
    numbers = tuple(range(1, min(count, ROWS_NAMED) + 1))
    return replace(report, usable=0, left_out=(LeftOut("stage", count, numbers),) if count else ())


@dataclass
class Look:
    """Takes the rows of a file one by one. dropped: reason -> how many rows LLaMA-Factory drops for it."""

    mapped: Mapped
    stage: str
    count: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    _named: dict[str, list[int]] = field(default_factory=dict)
    _columns: set[str] = field(default_factory=set)
    _types: dict[str, set[type]] = field(default_factory=dict)

    def take(self, row: Mapping[str, Any]) -> None:
        """Looks at the next row."""
        self.count += 1
        self._columns |= self.mapped.columns.values() & row.keys()
        for role in ("prompt", "response", "chosen", "rejected", "kto_tag"):
            value = self.value(row, role)
            if value is not None:
                self._types.setdefault(role, set()).add(type(value))
        reason = self.reason(row)
        if reason:
            self.dropped[reason] += 1
            if self.dropped[reason] <= ROWS_NAMED:
                self._named.setdefault(reason, []).append(self.count)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The rows that are dropped, by reason, the most frequent first."""
        return tuple(LeftOut(reason, count, tuple(self._named[reason])) for reason, count in self.dropped.most_common())

    def value(self, row: Mapping[str, Any], role: str) -> Any:
        """What a row has in a role."""
        return row.get(self.mapped.columns.get(role, ""))

    def reason(self, row: Mapping[str, Any]) -> str:
        """Why LLaMA-Factory drops a row; "" when it takes it."""
        answers = self.answers(row)
        if self.stage in ONE_ANSWER and answers != 1:
            return "no_response" if answers == 0 else "two_answers"
        if self.stage in TWO_ANSWERS and answers < 2:
            return "no_mark" if self.stage == "kto" else "no_pair"
        return ""

    def answers(self, row: Mapping[str, Any]) -> int:
        """How many answers AlpacaDatasetConverter makes of a row."""
        if isinstance(self.value(row, "kto_tag"), bool):
            return 2
        pair = self.value(row, "chosen"), self.value(row, "rejected")
        if self.mapped.format == "pairs" and all(isinstance(text, str) for text in pair):
            return 2
        return int(isinstance(self.value(row, "response"), str))

    @property
    def absent(self) -> list[str]:
        """Columns that are named and that no row has: LLaMA-Factory ends with a KeyError."""
        return [name for name in self.mapped.columns.values() if self.count and name not in self._columns]

    @property
    def certain(self) -> bool:
        """Whether the rules above hold: no turns, text where a question is asked, one type a column."""
        if BY_NAME[self.mapped.format].chat or any(len(kinds) > 1 for kinds in self._types.values()):
            return False
        return self._types.get("prompt", set()) <= {str}
