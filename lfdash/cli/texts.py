"""Every text of the command line, in the language that the terminal asks for (LC_ALL, LC_MESSAGES, LANG)."""

from __future__ import annotations

import os

from lfdash.locales import from_environment, in_language


def language() -> str:
    """The terminal's language."""
    return from_environment(os.environ)


def t(key: str, /, **params: object) -> str:
    """The text of `section.key` with `{params}` filled in. KeyError as `in_language`."""
    return in_language(language(), key, **params)
