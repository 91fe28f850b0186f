"""`lfdash sees FILE`: what the model sees of the first rows of a training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from lfdash.cli.commands import command, file_argument, set_option
from lfdash.cli.jobs import notes_of, opened
from lfdash.cli.terminal import FINE, Terminal
from lfdash.cli.texts import t
from lfdash.llamafactory.sees import MOST, ROWS, Sample, Seen, Side
from lfdash.outcomes import Refused

MARKS = {"trained": ("[", "]"), "masked": ("", ""), "cut": ("~", "~")}  # around what is in a state


def rows_option() -> click.Option:
    """--rows N."""
    return click.Option(
        ["--rows"], type=click.IntRange(1, MOST), default=ROWS, metavar="N", help=t("cli.opt_rows", count=ROWS)
    )


@command("sees", file_argument, set_option, rows_option)
def sees(terminal: Terminal, file: str, changes: Mapping[str, Any], rows: int) -> int:
    """The first samples, token by token; waits for LLaMA-Factory."""
    workspace, job = opened(terminal, file, changes)
    if isinstance(job, Refused):
        return terminal.refuse(job)
    asker = workspace.services.sees
    found = asker.now(asker.question(job.job, rows=rows))
    if isinstance(found, Refused):
        return terminal.refuse(found)
    if terminal.as_json:
        terminal.give(found)
    else:
        for note in notes_of(job):
            terminal.note(note)
        terminal.say("\n".join(lines(found)))
    return FINE


def lines(found: Seen) -> Iterator[str]:
    """The answer for a person."""
    yield t("cli.sees_marks")
    for number, sample in enumerate(found.samples, 1):
        yield from sample_lines(number, sample)
    yield from (t(f"sees.left_{why}", row=row + 1, cutoff=found.cutoff) for row, why in found.left_out)
    yield from (t("sees.large", row=row + 1, count=f"{length:,}") for row, length in found.large)
    if found.few:
        yield t("sees.few", rows=found.looked, count=f"{found.few:,}")
    if found.tail:
        yield t("sees.tail", count=found.tail)
    if not found.samples and not found.large:
        yield t("sees.nothing")


def sample_lines(number: int, sample: Sample) -> Iterator[str]:
    """One sample."""
    rows = ", ".join(str(row + 1) for row in sample.rows)
    yield f"\n# {t('sees.sample_of', number=number, rows=rows) if rows else t('sees.sample', number=number)}"
    if sample.desired is not None:
        yield t("sees.desired" if sample.desired else "sees.undesired")
    for side in sample.sides:
        counts = {state: side.count(state) for state in MARKS}
        name = [t(f"sees.side_{side.name}")] if side.name else []
        media = [
            t(f"sees.{kind}_unknown") if count is None else t(f"sees.{kind}_tokens", count=count)
            for kind, count in side.media.items()
        ]
        yield " · ".join([*name, t("sees.counts", total=len(side.ids), **counts), *media])
        yield from (f"! {t(f'sees.{code}', **numbers)}" for code, numbers in side.findings)
        yield marked(side)


def marked(side: Side) -> str:
    """The text of a sequence, with marks around what is trained on and what was cut off."""
    text, last = "", "masked"
    for token in side.tokens:
        if token.state != last:
            text += MARKS[last][1] + MARKS[token.state][0]
            last = token.state
        text += token.text
    return text + MARKS[last][1]
