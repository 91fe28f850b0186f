"""Every visible text comes through `t`, from one TOML file a language."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

LOCALES = Path(__file__).resolve().parent.parent / "locales"
DEFAULT_LANGUAGE = "en"


@cache
def catalogue(language: str) -> dict[str, Any]:
    """The texts of a language: section -> key -> text (a field has `[label, help]`)."""
    return tomllib.loads((LOCALES / f"{language}.toml").read_text(encoding="utf-8"))


def lookup(section: str, key: str, language: str = DEFAULT_LANGUAGE) -> Any:
    """What a locale says under `section` and `key`; None when it says nothing."""
    return catalogue(language).get(section, {}).get(key)


def t(key: str, **params: object) -> str:
    """The text of `section.key` with `{params}` filled in.

    Raises KeyError for an unknown key: a missing text is a mistake of ours, and a test finds it.
    """
    section, name = key.split(".", 1)
    text = lookup(section, name)
    if not isinstance(text, str):
        raise KeyError(f"no text {key!r} in the locale {DEFAULT_LANGUAGE!r}")
    return text.format(**params) if params else text


def label(field_id: str) -> str:
    """The label of a form field; its name when the locale has none."""
    row = lookup("fields", field_id)
    return str(row[0]) if row else field_id.split(".", 1)[-1]


def help_text(field_id: str) -> str:
    """The help of a form field, "" when the locale has none."""
    row = lookup("fields", field_id)
    return str(row[1]) if row and len(row) > 1 else ""


def choice(field_id: str, value: object) -> str:
    """The word shown for a stored choice; the value itself when it is its own word."""
    return str(lookup("choices", f"{field_id}.{value}") or value)
