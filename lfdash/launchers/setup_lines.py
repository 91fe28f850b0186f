"""A target's `setup`: the lines of bash that each of its jobs begins with, and what is said where one fails. Pure.

A line is run by `eval`: so it is what a shell makes of it in a script (a function, `source`, `a && b`, a comment), and
one with an open quotation mark fails alone, and spoils no line of ours. All are run in the job's own shell, outside of
any function, so that what they set stays.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

FAILED = "lfdash: setup line failed"  # what is printed then begins with it: runs/signatures.toml


def judged(ends: str = "1") -> list[str]:
    """What runs the lines in the array LFDASH_SETUP. ends: the exit code where one fails, as bash reads it, which
    knows the line's place as LFDASH_LINE."""
    return [
        'for LFDASH_LINE in "${!LFDASH_SETUP[@]}"; do',
        '  eval -- "${LFDASH_SETUP[LFDASH_LINE]}" || {',
        f'    printf "\\n{FAILED} (exit code %s): %s\\n" "$?" "${{LFDASH_SETUP[LFDASH_LINE]}}" >&2',
        f"    exit {ends}",
        "  }",
        "done",
    ]


def in_script(setup: Sequence[str], ends: str = "1") -> list[str]:
    """Lines of a script of bash that run a setup."""
    if not setup:
        return []
    return ["LFDASH_SETUP=(", *(f"  {shlex.quote(line)}" for line in setup), ")", *judged(ends)]


def by_bash(setup: Sequence[str], rest: Sequence[str], ends: str = "1") -> list[str]:
    """The words that run a setup and then lines of a shell, by bash. The setup is given as arguments, so that each line
    can be read as it is; it sees none of them, since a file that is read by `source` would take them for its own."""
    text = "\n".join(["", 'LFDASH_SETUP=("$@")', "set --", *judged(ends), *rest, ""])
    return ["bash", "-c", text, "bash", *setup]


def shown(words: Sequence[str]) -> str:
    """These words as a line of a shell, a line of the setup in each line."""
    return " \\\n  ".join([shlex.join(words[:4]), *map(shlex.quote, words[4:])])
