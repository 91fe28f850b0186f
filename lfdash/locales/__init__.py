"""Every visible text, from one TOML file a language, for those who have no browser session too.

A language is a file here, named by its code; it says its own name and how it counts. Where it lacks a text, English
stands in (`make texts` lists those). A text that counts may be a list of its plural forms; `{count}` says which it is.
"""

from __future__ import annotations

import gettext
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from lfdash.errors import ConfigError
from lfdash.outcomes import Problem, Refused

FOLDER = Path(__file__).resolve().parent
DEFAULT_LANGUAGE = "en"


@cache
def available() -> tuple[str, ...]:
    """The codes of the languages that there is a file for: English, then the others by code."""
    codes = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return tuple(sorted(codes, key=lambda code: code != DEFAULT_LANGUAGE))


@cache
def name_of(code: str) -> str:
    """What a language calls itself; its code where its file does not say. Only the file's head is parsed: the page
    shows all names at once, and needs the texts of one language."""
    text = (FOLDER / f"{code}.toml").read_text(encoding="utf-8")
    head = re.split(r"^\[(?!language\])", text, maxsplit=1, flags=re.MULTILINE)[0]
    return str(tomllib.loads(head).get("language", {}).get("name", code))


def from_environment(env: Mapping[str, str]) -> str:
    """The language that a terminal asks for (LC_ALL, LC_MESSAGES, LANG), else English."""
    wanted = next((env[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if env.get(name)), "")
    code = wanted.split("_")[0].split(".")[0].lower()
    return code if code in available() else DEFAULT_LANGUAGE


@cache
def catalogue(code: str) -> dict[str, Any]:
    """The texts of a language: section -> key -> text (a field has `[label, help]`)."""
    return tomllib.loads((FOLDER / f"{code}.toml").read_text(encoding="utf-8"))


@cache
def plural(code: str) -> Callable[[int], int]:
    """Which form of a text a language takes for a number. Its file says so in C, as gettext's catalogues do
    (`[language] plural`); without that it has one form."""
    rule = catalogue(code).get("language", {}).get("plural")
    return gettext.c2py(rule) if rule else lambda _count: 0


def lookup(code: str, section: str, key: str) -> Any:
    """What a language says under `section` and `key`, else what English says, else None."""
    text = catalogue(code).get(section, {}).get(key)
    return catalogue(DEFAULT_LANGUAGE).get(section, {}).get(key) if text is None else text


def in_language(code: str, key: str, /, **params: object) -> str:
    """The text of `section.key` with `{params}` filled in.

    Raises KeyError for an unknown key: a missing text is a mistake of ours, and a test finds it.
    """
    section, name = key.split(".", 1)
    said = catalogue(code).get(section, {}).get(name)
    source = code if said is not None else DEFAULT_LANGUAGE
    text = lookup(source, section, name)
    if isinstance(text, list) and isinstance(params.get("count"), int):
        text = text[plural(source)(abs(params["count"]))]  # type: ignore[arg-type]
    if not isinstance(text, str):
        raise KeyError(f"no text {key!r} in the locale {DEFAULT_LANGUAGE!r}")
    return text.format(**params) if params else text


def list_in(code: str, items: Iterable[str]) -> str:
    """Words one after the other, as the language separates them: "a, b"."""
    return in_language(code, "language.list").join(items)


def parts_in(code: str, items: Iterable[str]) -> str:
    """Longer parts one after the other: "a, b; c"."""
    return in_language(code, "language.parts").join(items)


def pair_in(code: str, name: str, value: str) -> str:
    """A name and what it is: "a: b"; the name alone where nothing is known of it."""
    return name if not value else f"{name}{in_language(code, 'language.colon')}{value}"


def label_in(code: str, field_id: str) -> str:
    """The label of a form field; its name when the locale has none."""
    row = lookup(code, "fields", field_id)
    return str(row[0]) if row else field_id.split(".", 1)[-1]


def choice_in(code: str, field_id: str, value: object) -> str:
    """The word shown for a stored choice; the value itself when it is its own word."""
    return str(lookup(code, "choices", f"{field_id}.{value}") or value)


def problem_in(code: str, problem: Problem) -> str:
    """What is wrong, in a sentence. Of its parameters `field` is a field's id and told as its label, `stages` are
    codes of stages and `role` one of a column, told as their words, `left_out` are rows by reason, `near` may be
    several names, and kind, first and second are what a value is.
    """
    params = dict(problem.params)
    if "left_out" in params:
        params["left_out"] = parts_in(code, (part_in(code, part) for part in params["left_out"]))
    for name in ("kind", "first", "second"):
        if name in params and problem.code.startswith("data"):
            params[name] = lookup(code, "kinds", str(params[name])) or params[name]
    if "role" in params:
        params["role"] = choice_in(code, "roles", str(params["role"]))
    if "field" in params:
        params["field"] = label_in(code, str(params["field"]))
    if isinstance(params.get("near"), tuple):
        params["near"] = list_in(code, params["near"])
    if "stages" in params:
        params["stages"] = list_in(code, (choice_in(code, "train.training_stage", stage) for stage in params["stages"]))
    return in_language(code, f"problems.{problem.code}", **params)


class LeftOut(Protocol):
    """Rows that LLaMA-Factory leaves out for one reason."""

    @property
    def reason(self) -> str:
        """The key of its text."""

    @property
    def what(self) -> str:
        """The word or type that it is about."""

    @property
    def count(self) -> int:
        """How many rows."""

    @property
    def rows(self) -> tuple[int, ...]:
        """The numbers of the first of them."""


def left_out_in(code: str, part: LeftOut) -> str:
    """Why rows are left out, without which."""
    what = lookup(code, "kinds", part.what) if part.reason.endswith(("_text", "_shape", "no_turns")) else None
    return in_language(code, f"left.{part.reason}", what=what or part.what)


def part_in(code: str, part: LeftOut) -> str:
    """Why rows are left out, and which."""
    numbers = list_in(code, [*map(str, part.rows), *(["…"] if part.count > len(part.rows) else [])])
    return in_language(code, "left.part", why=left_out_in(code, part), count=part.count, rows=numbers)


def refusal_in(code: str, refused: Refused) -> str:
    """Why something was refused, in a sentence."""
    params = dict(refused.params)
    if refused.code == "not_opened":
        why = in_language(code, f"config.{params['cause']}", **params["params"])
        return in_language(code, "outcomes.not_opened", name=params["name"], why=why)
    if refused.code in ("busy", "never", "chat_no_room"):
        return in_language(
            code, f"outcomes.{refused.code}", why=in_language(code, f"waits.{params.pop('code')}", **params)
        )
    if refused.code == "unsound":
        why = in_language(code, f"problems.{params.pop('code')}", **params)
        return in_language(code, "outcomes.unsound", why=why)
    return in_language(code, f"outcomes.{refused.code}", **params)


def config_error_in(code: str, error: ConfigError) -> str:
    """Why a configuration text cannot be read."""
    return in_language(code, f"config.{error.code}", line=error.line, **error.params)
