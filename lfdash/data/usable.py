"""How many rows of a dataset a stage is trained on, which are left out and why, and what is wrong with its entry:
for entries that anybody wrote. Every row is looked at, in bounded memory."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lfdash.data.attributes import COLUMNS, FORMATTINGS, IGNORED, KEYS, PAIR, TAGS, Attributes, attributes
from lfdash.data.column_types import Types
from lfdash.data.converting import Converter, Verdict
from lfdash.data.files import DataFile, data_files
from lfdash.data.json_text import as_text
from lfdash.data.preview import opened, trouble
from lfdash.data.rows import JSON_BATCH, Rows
from lfdash.data.survey import told_of
from lfdash.jobs.stages import BY_CODE, RANKED
from lfdash.outcomes import Problem

ROWS_NAMED = 10  # rows that are named of those left out for one reason
KTO_BATCH = 1000  # rows that LLaMA-Factory preprocesses together (preprocessing_batch_size)
TOLD_EVERY = 500  # rows
WHOLE = "train"  # the split that a file is
SOME_ROWS = ("num_samples", "subset", "folder")  # keys of an entry that take a part of the data
# what people call the roles and keys that LLaMA-Factory calls otherwise
MEANT: Mapping[str, str] = {
    "format": "formatting", "file": "file_name", "filename": "file_name", "path": "file_name", "type": "formatting",
    "instruction": "prompt", "question": "prompt", "text": "prompt", "input": "query", "context": "query",
    "output": "response", "answer": "response", "completion": "response", "conversations": "messages",
    "conversation": "messages", "label": "kto_tag", "image": "images", "role": "role_tag", "content": "content_tag",
    "user": "user_tag", "assistant": "assistant_tag", "tool_tag": "observation_tag", "human_tag": "user_tag",
    "gpt_tag": "assistant_tag",
}


@dataclass(frozen=True)
class LeftOut:
    """Rows that LLaMA-Factory drops. reason: a word that stays the same in all languages (`left.<reason>` is its
    text); rows: the numbers of the first of them, 1 is the first row; what: the word or type that it is about."""

    reason: str
    count: int
    rows: tuple[int, ...]
    what: str = ""


@dataclass(frozen=True)
class Usable:
    """What a look at a dataset found. rows: those of its file; usable: those that are trained on; None where that is
    not known. left_out: the others by reason, the most frequent first. problems: what is wrong, errors are certain
    failures; the first names the rows that are left out."""

    rows: int | None = None
    usable: int | None = None
    left_out: tuple[LeftOut, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def fails(self) -> bool:
        """Whether LLaMA-Factory would end with an error."""
        return any(problem.level == "error" for problem in self.problems)


def check(
    files: Sequence[DataFile] | Problem, name: str, entry: Mapping[str, Any], stage: str, limit: int | None = None,
    told: Callable[[int, int], bool] = lambda _taken, _size: True,
) -> Usable | None:
    """What LLaMA-Factory makes of a dataset in a stage. None when `told` said to stop.

    files: those of the dataset; name: as it is told. limit: rows that are taken of it at most (max_samples).
    told: called now and then with the bytes that were read and those that there are; False = stop.
    """
    found = attributes(entry)
    problems = [*entry_problems(name, entry), *refused(name, found, stage)]
    if isinstance(files, Problem):
        return Usable(problems=(files, *problems))
    look = Look(found, stage, limit)
    size = sum(file.size for file in files)
    before = 0
    for file in files:
        went_on, problem = look_through(file, look, partial(told_of, told, before, size))
        if not went_on:
            return None
        if problem is not None:
            return Usable(problems=(problem, *problems))
        before += file.size
    problems += look.ignored(name)
    if not any(problem.level == "error" for problem in problems):
        problems = [*look.failures(name, files), *problems]
    return counted(look, name, entry, tuple(problems))


def look_through(file: DataFile, look: Look, told: Callable[[int], bool]) -> tuple[bool, Problem | None]:
    """Shows every row of a file to `look`, one at a time. Gives whether `told` let it go on, and why the file cannot be
    read to its end, if so."""
    later_file = look.count > 0
    source = opened(file.path, file.content)
    if isinstance(source, Problem):
        return True, source
    with source:
        try:
            rows = Rows(source, file.path)
        except OSError as error:
            return True, trouble("data_unreadable", file.path, reason=str(error))
        for row in rows:
            look.take(row, later_file or rows.batch > 0)
            if look.count % TOLD_EVERY == 0 and not told(rows.taken):
                return False, None
    return True, rows.problem


def counted(look: Look, name: str, entry: Mapping[str, Any], problems: tuple[Problem, ...]) -> Usable:
    """The answer, once all rows were seen."""
    if any(problem.level == "error" for problem in problems):
        return Usable(look.count, 0, (), problems)
    usable: int | None = look.looked - look.dropped.total()
    part = next((key for key in SOME_ROWS if entry.get(key) is not None), "")
    part = part or ("split" if entry.get("split") not in (None, WHOLE) else "")
    if part:
        whole = look.dropped.total() == 0 and part == "num_samples"
        usable = int(entry["num_samples"]) if whole and str(entry["num_samples"]).isdigit() else None
        return Usable(look.count, usable, look.left_out, problems)
    if look.left_out:
        told = {"value": as_text(name), "rows": look.looked, "usable": usable, "left_out": look.left_out}
        some = Problem(None, "data_left_out", told, "warning")
        problems = (some if usable else Problem(None, "data_none_usable", told), *problems)
    return Usable(look.count, usable, look.left_out, problems)


def entry_problems(name: str, entry: Mapping[str, Any]) -> Iterator[Problem]:
    """What an entry says that LLaMA-Factory does not know, or that it lacks. Nothing of the file is looked at."""
    found = attributes(entry)
    if found.formatting not in FORMATTINGS:
        told = {"value": as_text(name), "formatting": as_text(found.formatting), "known": ", ".join(FORMATTINGS)}
        yield Problem(None, "data_formatting", told)
        return
    yield from unknown_keys(name, "", entry, (*KEYS, *IGNORED), KEYS)
    for part, known in (("columns", tuple(COLUMNS)), ("tags", tuple(TAGS))):
        if isinstance(entry.get(part), Mapping):
            yield from unknown_keys(name, part, entry[part], known, known)
    for part, key in lacking(found):
        yield Problem(None, "data_entry_lacks", {"value": as_text(name), "part": part, "key": key})
    for role in found.unread if "columns" in entry else ():
        told = {"value": as_text(name), "key": role, "formatting": found.formatting}
        yield Problem(None, "data_unread", told, "warning")


def unknown_keys(
    name: str, part: str, given: Mapping[str, Any], known: Sequence[str], offered: Sequence[str]
) -> Iterator[Problem]:
    """The keys of a part of an entry that LLaMA-Factory does not look at, with what may be meant."""
    for key in given:
        if key in known:
            continue
        near = MEANT.get(key, "")
        if near not in offered:
            near = next(iter(difflib.get_close_matches(key, offered, 1, 0.75)), "")
        told = {"value": as_text(name), "key": as_text(f"{part}.{key}" if part else key)}
        if near:
            yield Problem(None, "data_key_near", {**told, "near": f"{part}.{near}" if part else near}, "warning")
        else:
            yield Problem(None, "data_key", told, "warning")


def lacking(found: Attributes) -> Iterator[tuple[str, str]]:
    """What LLaMA-Factory asks an entry for and ends with a KeyError without: (part, key)."""
    needed = ("messages",) if found.chat else ()
    for role in (*needed, *(PAIR if found.ranking else ())):
        if not found.columns.get(role):
            yield "columns", role
    for tag in ("role_tag", "content_tag") if found.chat else ():
        if not found.tags.get(tag):
            yield "tags", tag


def refused(name: str, found: Attributes, stage: str) -> Iterator[Problem]:
    """Data that LLaMA-Factory refuses in a stage as a whole."""
    if stage in BY_CODE and BY_CODE[stage].ranked != found.ranking:
        code, told = ("dataset_ranked", {"stages": RANKED}) if found.ranking else ("dataset_unranked", {})
        yield Problem(None, code, {"value": as_text(name), **told})


@dataclass
class Look:
    """Takes the rows of a dataset one by one. limit: of these many rows at most the values count; the types of all.
    count: rows seen; looked: those within the limit; dropped: reason -> how many are left out for it; stops: reason ->
    at how many of them LLaMA-Factory would end."""

    entry: Attributes
    stage: str
    limit: int | None = None
    count: int = 0
    dropped: Counter[Verdict] = field(default_factory=Counter)
    stops: Counter[Verdict] = field(default_factory=Counter)
    types: Types = field(default_factory=Types)
    _named: dict[Verdict, list[int]] = field(default_factory=dict)
    _converter: Converter | None = None

    @property
    def looked(self) -> int:
        """Rows that are converted."""
        return self.count if self.limit is None else min(self.count, self.limit)

    def take(self, row: Mapping[str, Any], late: bool = False) -> None:
        """Looks at the next row. late: as in `Types.take`."""
        self.count += 1
        self.types.take(row, self.count, late)
        if self.limit is None or self.count <= self.limit:
            self.judge(row)

    def judge(self, row: Mapping[str, Any]) -> None:
        """Whether the row is trained on."""
        if self._converter is None or (self.count - 1) % KTO_BATCH == 0:
            self.close()
            self._converter = Converter(self.entry, self.stage)
        self.note(self._converter.reason(row))

    def note(self, reason: Verdict | None) -> None:
        """What became of the row of now."""
        if reason is None:
            return
        counted = self.stops if reason.stops else self.dropped
        counted[reason] += 1
        if counted[reason] <= ROWS_NAMED:
            self._named.setdefault(reason, []).append(self.count)

    def close(self) -> None:
        """Ends a batch."""
        self.note(self._converter.closing() if self._converter is not None else None)

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The rows that are dropped, by reason, the most frequent first."""
        return self._parts(self.dropped)

    def _parts(self, counted: Counter[Verdict]) -> tuple[LeftOut, ...]:
        return tuple(
            LeftOut(reason.code, count, tuple(self._named[reason]), as_text(reason.what))
            for reason, count in counted.most_common()
        )

    def ignored(self, name: str) -> Iterator[Problem]:
        """What LLaMA-Factory passes over in silence."""
        column = self.entry.columns.get("history") or ""
        if not self.entry.chat and self.types.type(column) not in ("", "list"):
            told = {"value": as_text(name), "column": as_text(column), "kind": self.types.type(column)}
            yield Problem(None, "data_history", told, "warning")

    def failures(self, name: str, files: Sequence[DataFile]) -> Iterator[Problem]:
        """What LLaMA-Factory certainly ends at; the first only, since the others never come to be."""
        self.close()
        found = next(self._failures(name, files[0].path), None)
        if found is not None:
            yield found

    def _failures(self, name: str, path: Path) -> Iterator[Problem]:
        if not self.count:
            yield trouble("data_empty", path)
        clash = self.types.clash
        if clash is not None and path.suffix in (".json", ".jsonl"):
            told = {"column": as_text(clash.place), "row": clash.row}
            if clash.first:
                yield trouble("data_types", path, **told, first=clash.first, second=clash.second)
            else:
                yield trouble("data_late", path, **told, mb=JSON_BATCH >> 20)
        for role in self.entry.read:
            column = self.entry.columns[role] or ""
            if column not in self.types.columns():
                yield trouble("data_no_column", path, column=as_text(column), role=role)
        yield from self._turn_keys(path)
        if self.stops:
            yield Problem(None, "data_stops", {"value": as_text(name), "left_out": self._parts(self.stops)})

    def _turn_keys(self, path: Path) -> Iterator[Problem]:
        """Keys that the tags name and that no turn has."""
        keys = self.types.keys(self.entry.columns.get("messages") or "") if self.entry.chat else frozenset()
        for tag in ("role_tag", "content_tag"):
            word = self.entry.tags.get(tag)
            if keys and word not in keys:
                told = {"tag": tag, "key": as_text(str(word)), "keys": ", ".join(map(as_text, sorted(keys)))}
                yield trouble("data_no_turn_key", path, **told)


def check_path(path: Path, name: str, entry: Mapping[str, Any], stage: str, limit: int | None = None) -> Usable:
    """`check` of the dataset that lies at a path, to its end."""
    return check(data_files(path), name, entry, stage, limit) or Usable()
