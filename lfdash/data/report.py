"""What LLaMA-Factory would make of a data file: its format, its entry, and how many of its rows could be used.

The rules are in converting.py (rows) and usable.py (entries); what is not known is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lfdash.data.attributes import FORMATTINGS, attributes
from lfdash.data.dataset_info import without_source
from lfdash.data.files import data_files
from lfdash.data.formats import Mapped, entry, recognise
from lfdash.data.json_text import as_text
from lfdash.data.preview import trouble
from lfdash.data.survey import Survey, survey
from lfdash.data.usable import LeftOut, Usable, check, entry_problems, refused
from lfdash.outcomes import Problem

USUAL_STAGE = {"text": "pt", "pairs": "dpo", "chat_pairs": "dpo", "kto": "kto", "chat_kto": "kto"}


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
    found = survey(data_files(path)) or Survey()
    if found.problem is not None:
        return DatasetReport(problems=(found.problem,))
    mapped = recognise(found)
    odd = tuple(oddities(path, mapped))
    if not mapped.format:
        columns = ", ".join(map(as_text, found.columns)) or "–"
        return DatasetReport(rows=found.rows, problems=(trouble("data_no_format", path, columns=columns), *odd))
    made = {"file_name": path.name, **entry(mapped, found)}
    report = counted(path, path.name, DatasetReport(mapped.format, made), usual_stage(mapped.format, stage))
    return replace(report, problems=(*report.problems, *odd))


def report_entry(path: Path | None, name: str, found: Mapping[str, Any], stage: str = "") -> DatasetReport:
    """A dataset of dataset_info.json. path: its file; None when it is none on this machine."""
    own = format_of(found)
    report = DatasetReport(own or None, dict(found))
    if path is None:
        source = without_source(name, found)
        none = (source,) if source else ()
        problems = (*none, *entry_problems(name, found), *refused(name, attributes(found), stage))
        return replace(report, problems=problems)
    return counted(path, name, report, usual_stage(own, stage))


def counted(path: Path, name: str, report: DatasetReport, stage: str) -> DatasetReport:
    """The report with what a look at all rows says."""
    found = check(data_files(path), name, report.entry or {}, stage) or Usable()
    return replace(
        report, rows=found.rows, usable=found.usable, left_out=found.left_out, problems=found.problems
    )


def oddities(path: Path, mapped: Mapped) -> list[Problem]:
    """Columns that hold something else than their names say, in words."""
    codes = {"kto_tag": "data_odd_mark", "chosen": "data_odd_pair", "rejected": "data_odd_pair"}
    columns: dict[tuple[str, str, str], list[str]] = {}
    for role, column, kind in mapped.odd:
        code = codes.get(role, "data_odd")
        columns.setdefault((code, "" if code == "data_odd_pair" else role, kind), []).append(as_text(column))
    return [
        replace(trouble(code, path, column=", ".join(names), kind=kind, role=role), level="warning")
        for (code, role, kind), names in columns.items()
    ]


def usual_stage(name: str, stage: str = "") -> str:
    """The stage that is asked for, else the one that data of a format are usually for."""
    return stage or USUAL_STAGE.get(name, "sft")


def format_of(found: Mapping[str, Any]) -> str:
    """The format that an entry says its rows are; "" for a `formatting` that is not known."""
    own = attributes(found)
    if own.formatting not in FORMATTINGS:
        return ""
    if own.ranking:
        return "chat_pairs" if own.chat else "pairs"
    if own.columns.get("kto_tag"):
        return "chat_kto" if own.chat else "kto"
    plain = own.columns.get("prompt") and not own.columns.get("response")
    return "sharegpt" if own.chat else "text" if plain else "alpaca"
