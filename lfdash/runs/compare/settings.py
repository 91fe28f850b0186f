"""The settings that differ among runs, in LLaMA-Factory's names. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lfdash.jobs.args import same
from lfdash.jobs.environment import ArgumentType
from lfdash.jobs.fields import FIELDS, arguments
from lfdash.jobs.yaml_format import SECTIONS, section_of
from lfdash.runs.given import GivenArguments
from lfdash.runs.metadata import last_part
from lfdash.runs.spreadsheet import harmless

ENVIRONMENT = "environment"  # the group of what is set there
GROUPS = (*SECTIONS, ENVIRONMENT)
OF_EACH_RUN = frozenset({"output_dir", "logging_dir", "run_name"})  # always another one, and tell nothing
# lists that LLaMA-Factory also takes as one text with commas (hparams: split_arg, and adapter_name_or_path)
LISTS = frozenset({
    "dataset", "eval_dataset", "adapter_name_or_path", "interleave_probs", "freeze_trainable_modules",
    "freeze_extra_modules", "lora_target", "oft_target", "additional_target", "galore_target", "apollo_target",
    "report_to",
})
ORDER = {name: place for place, name in enumerate(dict.fromkeys(name for row in FIELDS for name in arguments(row)))}
LONGEST = 44  # characters of a value in a table
MARK = "…"
MODEL = "model_name_or_path"  # of which a folder tells the last part alone
How = Literal["given", "folder", "default", "not_given", "not_known"]
VALUED = ("given", "folder", "default")  # what has a value


@dataclass(frozen=True)
class Cell:
    """A setting of one run. how: "given"; "folder" (known from the folder, where nothing says what was
    given); "default" (not given, and this is what LLaMA-Factory takes then); "not_given"
    (and what it takes is not known); "not_known" (nothing tells whether it was given)."""

    how: How
    value: Any = None


@dataclass(frozen=True)
class SettingRow:
    """A setting that differs. group: of GROUPS. cells: one a run. in_effect: whether the runs did different things;
    not where one says what is the default of the others."""

    name: str
    group: str
    cells: tuple[Cell, ...]
    in_effect: bool = True


def differing(
    runs: Sequence[GivenArguments], defaults: Mapping[str, ArgumentType] | None = None
) -> tuple[SettingRow, ...]:
    """The settings that are not the same in all runs, by group. defaults: what LLaMA-Factory's arguments are."""
    found = []
    args = [{**run.folder, **run.args} for run in runs]
    for group, mappings in ((None, args), (ENVIRONMENT, [run.env for run in runs])):
        names = dict.fromkeys(name for mapping in mappings for name in mapping)
        for name in names:
            if name in OF_EACH_RUN:
                continue
            types = {} if group else defaults or {}
            cells = [cell_of(name, run, mapping, types) for run, mapping in zip(runs, mappings, strict=True)]
            row = row_of(name, group or section_of(name), cells)
            if row is not None:
                found.append(row)
    return tuple(sorted(found, key=lambda row: (GROUPS.index(row.group), ORDER.get(row.name, len(ORDER)), row.name)))


def cell_of(
    name: str, run: GivenArguments, mapping: Mapping[str, Any], types: Mapping[str, ArgumentType]
) -> Cell:
    """What a run says of a setting."""
    if name in mapping:
        return Cell("folder" if name in run.folder and name not in run.args else "given", mapping[name])
    if not run.known:
        return Cell("not_known")
    return Cell("default", types[name].default) if name in types else Cell("not_given")


def row_of(name: str, group: str, cells: Sequence[Cell]) -> SettingRow | None:
    """The row of a setting; None when it is the same in all runs as far as that is known. A run of which nothing is
    known makes no difference by itself."""
    told = sorted((cell for cell in cells if cell.how != "not_known"), key=lambda cell: cell.how == "folder")
    if all(alike(name, told[0], cell) for cell in told[1:]):
        return None
    in_effect = not all(same_in_effect(name, told[0], cell) for cell in told[1:])
    return SettingRow(name, group, tuple(cells), in_effect)


def alike(name: str, a: Cell, b: Cell) -> bool:
    """Whether two runs say the same."""
    if "folder" in (a.how, b.how):
        return a.how in VALUED and b.how in VALUED and same_in_effect(name, a, b)
    return a.how == b.how and equal(name, a.value, b.value)


def same_in_effect(name: str, a: Cell, b: Cell) -> bool:
    """Whether two runs do the same; one that is not given, with a default that is not known, may do anything."""
    if "not_given" in (a.how, b.how):
        return a.how == b.how
    if "folder" in (a.how, b.how) and name == MODEL:
        return last_part(a.value).casefold() == last_part(b.value).casefold()
    return equal(name, a.value, b.value)


def equal(name: str, a: Any, b: Any) -> bool:
    """Whether two values are the same for LLaMA-Factory: 1 and 1.0, "1e-4" and 0.0001, a list and its text."""
    if name in LISTS and all(isinstance(value, str | list) for value in (a, b)):
        a, b = as_list(a), as_list(b)
    elif isinstance(a, str) != isinstance(b, str):
        a, b = as_number(a), as_number(b)
    return same(a, b) or (a != a and b != b)


def as_list(value: str | list[Any]) -> Any:
    """A text with commas as the list that it is."""
    parts = value.split(",") if isinstance(value, str) else value
    return [as_number(part.strip() if isinstance(part, str) else part) for part in parts] if parts else value


def as_number(value: Any) -> Any:
    """A text that is a number as that number."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


# -- words ----------------------------------------------------------------------------------------------


def plain_text(value: Any) -> str:
    """A value as it stands in a configuration, on one line."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list | dict):
        if isinstance(value, list) and all(isinstance(part, str | int | float) for part in value):
            return ", ".join(map(plain_text, value))
        return json.dumps(value, ensure_ascii=False, default=str)
    return " ".join(str(value).split()) or '""'


def shortened(texts: Sequence[str], longest: int = LONGEST) -> list[str]:
    """Texts of at most about `longest` characters, of which no two that differ look the same: of long ones the
    beginning and the end, else the part in which they differ."""
    short = [cut_middle(text, longest) for text in texts]
    if len(set(short)) == len(set(texts)):
        return short
    start = like_beginning(texts)
    short = [cut_around(text, start, longest) for text in texts]
    return short if len(set(short)) == len(set(texts)) else list(texts)


def like_beginning(texts: Sequence[str]) -> int:
    """How many characters all texts begin with alike."""
    first, last = min(texts), max(texts)
    places = range(min(len(first), len(last)))
    return next((place for place in places if first[place] != last[place]), len(places))


def cut_middle(text: str, longest: int) -> str:
    """The beginning and the end of a long text."""
    if len(text) <= longest:
        return text
    tail = (longest - len(MARK)) * 2 // 3
    return f"{text[: longest - len(MARK) - tail]}{MARK}{text[-tail:]}"


def cut_around(text: str, place: int, longest: int) -> str:
    """A long text from a little before `place` on."""
    if len(text) <= longest:
        return text
    start = min(max(0, place - longest // 4), len(text) - longest)
    end = start + longest
    return f"{MARK if start else ''}{text[start:end]}{MARK if end < len(text) else ''}"


# -- files ----------------------------------------------------------------------------------------------

Word = Callable[[Cell], str]


def words_in_file(cell: Cell) -> str:
    """A cell in a file, whose words are stable: nothing where nothing was given."""
    if cell.how in ("given", "folder"):
        return plain_text(cell.value)
    return f"({plain_text(cell.value)})" if cell.how == "default" else ""


def to_csv(rows: Sequence[SettingRow], names: Sequence[str], redact: Callable[[str], str] = str) -> str:
    """The rows as CSV: group, setting, a column a run; a default in brackets."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([harmless(cell) for cell in ("group", "setting", *names)])
    for row in rows:
        cells = (row.group, row.name, *map(words_in_file, row.cells))
        writer.writerow([harmless(redact(cell)) for cell in cells])
    return text.getvalue()


def to_markdown(rows: Sequence[SettingRow], names: Sequence[str], redact: Callable[[str], str] = str) -> str:
    """The same as a Markdown table, to be pasted where runs are talked about."""
    lines = [["setting", *map(in_cell, names)], ["---"] * (len(names) + 1)]
    lines += [[f"`{row.name}`", *(in_cell(redact(words_in_file(cell))) for cell in row.cells)] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def in_cell(text: str) -> str:
    """A text that ends no cell of a Markdown table and is no markup in it."""
    escaped = "".join(f"\\{letter}" if letter in "\\`*_{}[]<>|#~" else letter for letter in text)
    return " ".join(escaped.split())
