"""Every visible text comes through `t`, from one TOML file a language."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from lfdash.errors import ConfigError
from lfdash.jobs.field import Problem
from lfdash.llamafactory.deep_check import CheckFailed
from lfdash.llamafactory.token_lengths import NotCounted

LOCALES = Path(__file__).resolve().parents[2] / "locales"
LANGUAGES = {"en": "English", "zh": "简体中文", "ja": "日本語", "ko": "한국어", "ru": "Русский"}
DEFAULT_LANGUAGE = "en"
LANGUAGE = "ui.language"  # session key of the chosen language


def available() -> list[str]:
    """The languages that there is a file for, in the order of LANGUAGES."""
    return [code for code in LANGUAGES if (LOCALES / f"{code}.toml").exists()]


def language() -> str:
    """The session's language: the one chosen, else the browser's, else English (also outside of a session)."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return DEFAULT_LANGUAGE
    chosen = st.session_state.get(LANGUAGE) or (st.context.locale or "").split("-")[0]
    return chosen if chosen in available() else DEFAULT_LANGUAGE


@cache
def catalogue(code: str) -> dict[str, Any]:
    """The texts of a language: section -> key -> text (a field has `[label, help]`)."""
    return tomllib.loads((LOCALES / f"{code}.toml").read_text(encoding="utf-8"))


def lookup(section: str, key: str, code: str | None = None) -> Any:
    """What a language (the session's) says under `section` and `key`, else what English says, else None."""
    found = catalogue(code or language()).get(section, {}).get(key)
    return catalogue(DEFAULT_LANGUAGE).get(section, {}).get(key) if found is None else found


def t(key: str, /, **params: object) -> str:
    """The text of `section.key` with `{params}` filled in.

    Raises KeyError for an unknown key: a missing text is a mistake of ours, and a test finds it.
    """
    return in_language(language(), key, **params)


def in_language(code: str, key: str, /, **params: object) -> str:
    """`t` in a language that is said, where there is no session."""
    section, name = key.split(".", 1)
    text = lookup(section, name, code)
    if not isinstance(text, str):
        raise KeyError(f"no text {key!r} in the locale {DEFAULT_LANGUAGE!r}")
    return text.format(**params) if params else text


def problem_words(found: Problem) -> str:
    """What is wrong, in a sentence. A parameter `field` is a field's id and told as its label."""
    params = dict(found.params)
    if "field" in params:
        params["field"] = label(str(params["field"]))
    return t(f"problems.{found.code}", **params)


def config_error(error: ConfigError) -> str:
    """Why a configuration text cannot be read."""
    return t(f"config.{error.code}", line=error.line, **error.params)


def not_answered(found: CheckFailed | NotCounted, redact: Callable[[str], str]) -> str:
    """Why LLaMA-Factory, asked in a process of its own, gave no answer. redact: takes secrets out of a text."""
    return t(f"ui.asked_{found.code}", reason=redact(found.reason))


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
