"""JobConfig: the values that are given, as a frozen value; defaults, coercion and problems."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lfdash.jobs import converters
from lfdash.jobs.field import KIND, Field
from lfdash.jobs.fields import BY_ID, ROWS
from lfdash.jobs.kinds import DEFAULT
from lfdash.outcomes import Problem, Value

TARGET = "target"  # name of the field that says where a job runs, in each scope that has it


@dataclass(frozen=True)
class JobConfig:
    """A job: the name of its kind, the given values (field id -> value), and other arguments.

    Values of fields that do not apply are kept here and not sent.
    """

    kind: str = DEFAULT.name
    values: Mapping[str, Value] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def get(self, field_id: str) -> Value | None:
        """The effective value: the given one where the field applies, else what LLaMA-Factory takes."""
        if field_id == KIND:
            return self.kind
        row = BY_ID[field_id]
        found = self.values.get(field_id)
        if found is None or not row.when.holds(self.get):
            return row.absent
        return found

    def sends(self, row: Field) -> bool:
        """Whether a row is given and applies."""
        return self.values.get(row.id) is not None and row.when.holds(self.get)

    @property
    def model_name(self) -> str:
        """The model's name in the path of the run."""
        return converters.model_name(self.get)

    @property
    def run_name(self) -> str:
        """The name of the run's folder ("" when not given); a path stays one."""
        return str(self.values.get(f"{self.kind}.output_dir") or "")

    @property
    def target(self) -> str:
        """The name of the cluster that it is to run on; "" for this machine, and for kinds that run nowhere else."""
        field_id = f"{self.kind}.{TARGET}"
        return str(self.get(field_id) or "") if field_id in BY_ID else ""

    def on(self, target: str) -> JobConfig:
        """The same job on a target; "" for this machine. ValueError for a kind that runs nowhere else."""
        field_id = f"{self.kind}.{TARGET}"
        if field_id not in BY_ID:
            if target:
                raise ValueError(f"a job of kind {self.kind} runs on this machine only")
            return self
        kept = {name: value for name, value in self.values.items() if name != field_id}
        return replace(self, values={**kept, field_id: target} if target else kept)

    @property
    def folder(self) -> str:
        """The run's folder, relative to the workspace; "" without a name."""
        return converters.save_dir(self.get, self.run_name) if self.run_name else ""


def new_job(kind: str = DEFAULT.name) -> JobConfig:
    """A new form of a kind, by its name: LlamaBoard's defaults."""
    return JobConfig(kind, {row.id: row.default for row in ROWS[kind] if row.default is not None})


@dataclass(frozen=True)
class Coerced:
    """A value made fit for its field. changed: it had another type or shape; refused: see `problem`."""

    value: Value | None
    status: Literal["kept", "changed", "refused"]
    problem: Problem | None = None


def coerce(row: Field, raw: Any) -> Coerced:
    """Makes a value of a form or a file fit for a field; never changes a number or a word silently.

    "" and None and [] mean not given. Text becomes a number where it is one (`5e-5`). What cannot be the
    field's value (text for a number, out of range, not among closed choices) is refused with a Problem.
    """
    if raw is None or raw == "" or raw == []:
        return Coerced(None, "kept")
    value, code = PARSERS.get(row.kind, parse_text)(row, raw)
    code = code or check(row, value)
    if code:
        return Coerced(None, "refused", Problem(row.id, code, details(row, raw)))
    return Coerced(value, "kept" if type(value) is type(raw) and value == raw else "changed")


def details(row: Field, raw: Any) -> dict[str, Any]:
    """What the text of a refusal needs; a value too long to read is cut."""
    choices = ", ".join(row.choices) if isinstance(row.choices, tuple) else ""
    value = f"{raw[:80]}…" if isinstance(raw, str) and len(raw) > 80 else raw
    if isinstance(raw, int) and abs(raw) > LARGEST:
        value = f"{'-' if raw < 0 else ''}2^{abs(raw).bit_length() - 1}…"  # Python refuses to write thousands of digits
    return {"value": value, "min": bound(row.min), "max": bound(row.max), "choices": choices}


def bound(number: float | None) -> str:
    """A limit in words; the infinity sign where there is none."""
    return "∞" if number is None else f"{number:g}" if abs(number) < 1e6 else f"{number:.0f}"


LARGEST = 2**63 - 1  # what torch and every file format take; also keeps int() away from endless digits
DIGITS = 19
UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def parse_int(_row: Field, raw: Any) -> tuple[Value | None, str]:
    if isinstance(raw, bool):
        return None, "not_integer"
    if isinstance(raw, int):
        return raw, ""
    if isinstance(raw, float):
        return (int(raw), "") if raw.is_integer() else (None, "not_integer")
    if isinstance(raw, str) and re.fullmatch(rf"\s*[+-]?\d{{1,{DIGITS}}}(\.0*)?\s*", raw):
        return int(raw.strip().partition(".")[0]), ""
    return None, "not_integer"


def parse_float(_row: Field, raw: Any) -> tuple[Value | None, str]:
    if isinstance(raw, bool):
        return None, "not_number"
    if isinstance(raw, int | float):
        return raw, ""
    if isinstance(raw, str) and re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", raw):
        text = raw.strip()
        return (int(text) if re.fullmatch(rf"[+-]?\d{{1,{DIGITS}}}", text) else float(text)), ""
    return None, "not_number"


def parse_bool(_row: Field, raw: Any) -> tuple[Value | None, str]:
    if isinstance(raw, bool):
        return raw, ""
    word = raw.strip().lower() if isinstance(raw, str) else None
    return (word == "true", "") if word in ("true", "false") else (None, "not_bool")


def parse_text(_row: Field, raw: Any) -> tuple[Value | None, str]:
    return (raw, "") if isinstance(raw, str) else (None, "not_text")


def parse_list(_row: Field, raw: Any) -> tuple[Value | None, str]:
    if isinstance(raw, str):
        return [part.strip() for part in raw.split(",") if part.strip()], ""
    if isinstance(raw, list) and all(isinstance(item, str) for item in raw):
        return list(raw), ""
    return None, "not_list"


PARSERS = {
    "int": parse_int,
    "float": parse_float,
    "bool": parse_bool,
    "choices": parse_list,
    "text": parse_text,
    "choice": parse_text,
}


def check(row: Field, value: Value | None) -> str:
    """The code of what is wrong with a value of the right type; "" when nothing is."""
    if isinstance(value, float) and not math.isfinite(value):
        return "not_number"
    if isinstance(value, int) and abs(value) > LARGEST:
        return "not_number"
    if any(UNSEEN.search(text) for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)):
        return "not_visible"
    if isinstance(value, int | float) and not isinstance(value, bool):
        low = row.min is not None and value < row.min
        high = row.max is not None and value > row.max
        return "out_of_range" if low or high else ""
    if row.kind == "choice" and isinstance(row.choices, tuple) and not row.open and value not in row.choices:
        return "not_a_choice"
    if row.id.endswith("_pixels") and isinstance(value, str):
        try:
            converters.pixels(value)
        except ValueError:
            return "not_pixels"
    return ""
