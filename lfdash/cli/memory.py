"""`lfdash memory FILE`: how much GPU memory a training will take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from lfdash.cli.commands import command, file_argument, set_option
from lfdash.cli.jobs import config_of, notes_of, problem_json, problem_line
from lfdash.cli.terminal import FINE, Terminal, pairs
from lfdash.cli.texts import t
from lfdash.engine.memory import Foretold, as_json, measure, of_job
from lfdash.engine.past_runs import learn
from lfdash.machine.sample import Sample
from lfdash.memory.cards import fits_on
from lfdash.memory.estimate import GIB
from lfdash.outcomes import Refused

# what is computed with a default, since LLaMA-Factory does not know the argument, or not by this name
PASSED_OVER = ("argument_unknown", "argument_renamed", "argument_of_other")


def architecture_option() -> click.Option:
    """--architecture FILE: a config.json in place of the model's own."""
    kind = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.Option(["--architecture"], type=kind, metavar="FILE", help=t("cli.opt_architecture"))


def world_option() -> click.Option:
    """--world-size N."""
    kind = click.IntRange(1, 100_000)
    return click.Option(["--world-size", "world"], type=kind, metavar="N", help=t("cli.opt_world_size"))


def dry_run_option() -> click.Option:
    """--dry-run."""
    return click.Option(["--dry-run", "dry_run"], is_flag=True, help=t("cli.opt_dry_run"))


@command("memory", file_argument, set_option, architecture_option, world_option, dry_run_option)
def memory(
    terminal: Terminal, file: str, changes: Mapping[str, Any], architecture: Path | None, world: int | None,
    dry_run: bool,
) -> int:
    """Memory of each GPU, by what takes it. Needs no workspace and no GPU; trains nothing."""
    workspace = terminal.open(needed=False)
    job = workspace.read(config_of(file), changes)
    if isinstance(job, Refused):
        return terminal.refuse(job)
    workspace.services.machine.look(keep=False)
    foretold = of_job(workspace.services, job.job, world=world, config=architecture)
    if not isinstance(foretold, Refused):
        foretold = learn(workspace.services, foretold, cards(workspace.services.machine.seen), wait=True)
    if dry_run and not isinstance(foretold, Refused):
        foretold = measure(workspace.services, foretold)
    if isinstance(foretold, Refused):
        return terminal.refuse(foretold)
    passed_over = [found for found in workspace.problems(job) if found.code.startswith(PASSED_OVER)]
    if terminal.as_json:
        problems = [problem_json(job.job, problem) for problem in passed_over]
        terminal.give({**as_json(foretold), "problems": problems})
    else:
        for note in (*notes_of(job), *(problem_line(job.job, problem) for problem in passed_over)):
            terminal.note(note)
        terminal.say(words(foretold))
    return FINE


def cards(seen: Sample) -> set[tuple[str, int]]:
    """This machine's GPUs, each its driver's name and its memory in bytes, of those that tell it."""
    return {(device.name, device.memory_total) for device in seen.devices if device.memory_total}


def words(foretold: Foretold) -> str:
    """The answer for a person."""
    found = foretold.estimate
    terms = [(t(f"memory.term_{name}"), gib(size)) for name, size in found.terms.items() if size]
    source = foretold.model.architecture.source
    sums = [(t(f"memory.{name}"), gib(getattr(found, name))) for name in ("allocated", "reserved", "driver")]
    known = [t("memory.for_gpus", count=foretold.subject.world_size)]
    known += [t("memory.measured")] if foretold.measured else []
    known += [t(f"memory.from_{source}", found=foretold.model.found), t("memory.band", share=f"{found.band:.0%}")]
    learned = foretold.subject.learned
    known += [t("memory.as_run", run=learned.run)] if learned and not learned.differs else []
    known += [t(f"memory.compared_{learned.compared}")] if learned else []
    fits: dict[str, list[str]] = {}
    for card, answer in fits_on(found).items():
        fits.setdefault(answer, []).append(card)
    cards = [(t(f"memory.{answer}"), ", ".join(names)) for answer, names in fits.items()]
    here = [(device, t(f"memory.{answer}")) for device, answer in (foretold.devices or {}).items()]
    unknown = [f"- {t(f'memory.unknown_{code}')}" for code in found.unknown]
    parts = [pairs(terms), pairs(sums), "\n".join(known), pairs([*cards, *here]), "\n".join(unknown)]
    return "\n\n".join(part for part in parts if part)


def gib(size: int) -> str:
    """Bytes for a person."""
    return f"{size / GIB:8.2f} GiB"
