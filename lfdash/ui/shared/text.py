"""Every visible text comes through `t`, from one TOML file a language."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import streamlit as st

from lfdash import locales
from lfdash.errors import ConfigError
from lfdash.locales import DEFAULT_LANGUAGE, available, in_language
from lfdash.outcomes import Problem
from lfdash.ui.shared.streamlit_private import in_session

LANGUAGE = "page.language"  # session key of the chosen language
COMMAND = "command"  # name of a problem's parameter: a line for a shell
PLACE = "\ue000"  # stands for it while the sentence around it is made safe; no text has it


def language() -> str:
    """The session's language: the one chosen, else the browser's, else English (also outside of a session)."""
    if not in_session():
        return DEFAULT_LANGUAGE
    chosen = st.session_state.get(LANGUAGE) or (st.context.locale or "").split("-")[0]
    return chosen if chosen in available() else DEFAULT_LANGUAGE


def lookup(section: str, key: str) -> Any:
    """What the session's language says under `section` and `key`, else what English says, else None."""
    return locales.lookup(language(), section, key)


def t(key: str, /, **params: object) -> str:
    """The text of `section.key` with `{params}` filled in.

    Raises KeyError for an unknown key: a missing text is a mistake of ours, and a test finds it.
    """
    words = {
        name: isolated(value) if isinstance(value, str) and name != COMMAND else value for name, value in params.items()
    }
    return in_language(language(), key, **words)


# letters that are written from right to left, and characters that turn what follows them around
TURNING = re.compile(
    "[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff"
    "\U0001e800-\U0001efff]"
)
ISOLATE, END = "\u2068", "\u2069"  # between them stands what turns nothing around it
ENDS = re.compile(r"[\u2066-\u2069\n]")


def isolated(text: str) -> str:
    """Text of a user for the middle of a line: what it has of the other direction stays within it. The same text
    where it has none."""
    if text.isascii() or not TURNING.search(text):
        return text
    depth, parts, done = 0, [], 0
    for found in ENDS.finditer(text):
        parts.append(text[done : found.start()])
        done = found.end()
        if found[0] == "\n":  # a paragraph ends all that was begun
            parts.append(f"{END * (depth + 1)}\n{ISOLATE}")
            depth = 0
        elif found[0] != END or depth:  # one end too many would end ours
            depth += -1 if found[0] == END else 1
            parts.append(found[0])
    return f"{ISOLATE}{''.join(parts)}{text[done:]}{END * (depth + 1)}"


def listed(items: Iterable[str]) -> str:
    """Words one after the other, as the session's language separates them."""
    return locales.list_in(language(), items)


def several(parts: Iterable[str]) -> str:
    """Longer parts one after the other."""
    return locales.parts_in(language(), parts)


def pair(name: str, value: str) -> str:
    """A name and what it is."""
    return locales.pair_in(language(), name, value)


def heading(name: str) -> str:
    """A name before what stands in a part of its own: "a:"."""
    return f"{name}{t('language.colon')}".rstrip()


def problem_words(problem: Problem) -> str:
    """What is wrong, in a sentence."""
    return locales.problem_in(language(), problem)


def problem_markdown(problem: Problem, *, below: bool = False) -> str:
    """What is wrong, in a sentence, as Markdown. A line for a shell stands in it letter by letter, so that it can be
    copied; below: not in it, since it stands below the sentence."""
    command = str(problem.params.get(COMMAND) or "")
    if not command:
        return markdown_safe(problem_words(problem))
    words = markdown_safe(problem_words(replace(problem, params={**problem.params, COMMAND: PLACE})))
    if below:
        return words.removesuffix(PLACE).rstrip().replace(PLACE, "↓")
    return words.replace(PLACE, f"`{command}`")


def left_out_words(part: locales.LeftOut) -> str:
    """Why rows are left out, without which."""
    return locales.left_out_in(language(), part)


def config_error(error: ConfigError) -> str:
    """Why a configuration text cannot be read."""
    return locales.config_error_in(language(), error)


def label(field_id: str) -> str:
    """The label of a form field; its name when the locale has none."""
    return locales.label_in(language(), field_id)


def help_text(field_id: str) -> str:
    """The help of a form field, "" when the locale has none."""
    row = lookup("fields", field_id)
    return str(row[1]) if row and len(row) > 1 else ""


def choice(field_id: str, value: object) -> str:
    """The word shown for a stored choice; the value itself when it is its own word."""
    return locales.choice_in(language(), field_id, value)


MARKUP = re.compile(r"([\\`*_{}\[\]<>#$:|~&])")
LISTS = re.compile(r"^(\s*)([-+=]|\d+(?=[.)]))", re.MULTILINE)  # at the beginning of a line
# what Streamlit makes links, dashes and arrows of, wherever it stands and however it is escaped
BOUND = re.compile(r"(?<=://)|(?<=\bwww)(?=\.)|(?=@)|(?<=-)(?=[->])|(?<=[<>=~!])(?=[-=])", re.IGNORECASE)
JOINER = "\u2060"  # has no width and breaks no line


def markdown_safe(text: str) -> str:
    """Text that Streamlit's Markdown shows as it is: no markup, no link, no icon, no formula, no typography,
    and nothing that turns the rest of the line around."""
    text = MARKUP.sub(r"\\\1", BOUND.sub(JOINER, text)).replace("\\:material/", "\\:material\\/")
    return isolated(LISTS.sub(lambda found: f"{found[1]}{JOINER}{found[2]}", text))
