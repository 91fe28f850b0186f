"""What the commands that take a configuration share: the text of FILE, problems and notes in words and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from lfdash.cli.runs import give_run
from lfdash.cli.terminal import FINE, Terminal
from lfdash.cli.texts import language, t
from lfdash.engine.facade import Run, Workspace
from lfdash.engine.opening import NAMED, Config, Opened
from lfdash.engine.submit import How
from lfdash.jobs.changes import argument_of, fix_arguments
from lfdash.jobs.job import TARGET, JobConfig
from lfdash.jobs.yaml_format import MAX_BYTES
from lfdash.locales import in_language, problem_in
from lfdash.outcomes import Problem, Refused


def config_of(file: str) -> Config:
    """The configuration that FILE names; what comes by standard input is YAML text."""
    return sys.stdin.read(MAX_BYTES + 1) + "\n" if file == "-" else Path(file)


def opened(
    terminal: Terminal, file: str, changes: Mapping[str, Any], target: str | None = None, *, create: bool = False
) -> tuple[Workspace, Opened | Refused]:
    """The workspace, and the job that FILE means in it. target: where it is to run; None = where FILE says."""
    workspace = terminal.open(create=create)
    return workspace, workspace.read(config_of(file), changes, target)


def notes_of(job: Opened, left_out: Collection[str] = ()) -> list[str]:
    """What was filled in, moved or left out, in sentences. left_out: keys of notes that are not wanted."""
    return [in_language(language(), key, **params) for key, params in job.notes if key not in left_out]


def problem_json(job: JobConfig, problem: Problem) -> dict[str, Any]:
    """A problem for a program."""
    return {
        "argument": argument_of(job, problem),
        "level": problem.level,
        "code": problem.code,
        "message": problem_in(language(), problem),
        "fix": fix_arguments(job, problem.fix),
    }


def problem_line(job: JobConfig, problem: Problem) -> str:
    """A problem for a person: one line."""
    name, fix = argument_of(job, problem), fix_arguments(job, problem.fix)
    cure = f" ({t('cli.fix', changes=changes_words(fix))})" if fix else ""
    where = f"{name}: " if name else ""
    return f"{t(f'cli.{problem.level}')}: {where}{problem_in(language(), problem)}{cure}"


def changes_words(changes: Mapping[str, Any]) -> str:
    """Changes of arguments as --set takes them."""
    return " ".join(f"{name}={word(value)}" for name, value in changes.items())


def word(value: Any) -> str:
    """A value as it stands in a YAML file."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def tell(terminal: Terminal, job: JobConfig, problems: Iterable[Problem], notes: Iterable[str]) -> None:
    """Says notes and problems beside an answer."""
    for text in (*notes, *(problem_line(job, problem) for problem in problems)):
        terminal.note(text)


def hand_over(
    terminal: Terminal, file: str, changes: Mapping[str, Any], how: How, target: str | None = None
) -> int:
    """Starts the job of FILE or puts it into the queue, and says which run it is."""
    workspace, job = opened(terminal, file, changes, target, create=True)
    if isinstance(job, Refused):
        return terminal.refuse(job)
    warned = () if terminal.as_json else workspace.problems(job)  # before: the run itself takes the name
    try:
        outcome = workspace.submit(job, how)
    except KeyboardInterrupt:  # a scheduler may take it all the same
        terminal.note(t("cli.start_interrupted"))
        raise
    problems = outcome.params.get("problems", ()) if isinstance(outcome, Refused) else warned
    if isinstance(outcome, Refused) and terminal.as_json:
        more = {"problems": [problem_json(job.job, problem) for problem in problems]} if problems else {}
        return terminal.refuse(outcome, **more)
    if not terminal.as_json:
        made = () if isinstance(outcome, Refused) else (NAMED,)  # the run that is told next has the name
        tell(terminal, job.job, problems, notes_of(job, made))
    if isinstance(outcome, Refused):
        return terminal.refuse(outcome)
    give_run(terminal, outcome, with_place=how == "queue")
    if how == "queue" and not terminal.as_json:
        tell_starter(terminal, outcome)
    return FINE


def tell_starter(terminal: Terminal, run: Run) -> None:
    """What starts a job that was queued. Whether a dashboard is there cannot be seen from here."""
    view = run.view
    given = bool(view.target) and view.waiting is None
    terminal.note(t("cli.queue_given", target=view.target) if given else t("cli.queue_who"))


def refused_target(problems: Iterable[Problem]) -> list[Problem]:
    """The errors of the target that a job names: nobody knows what would be run there."""
    return [one for one in problems if one.level == "error" and str(one.field).rpartition(".")[2] == TARGET]
