"""`lfdash check FILE`: what is wrong with a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lfdash.cli.commands import command, file_argument, set_option, target_option
from lfdash.cli.jobs import notes_of, opened, problem_json, problem_line
from lfdash.cli.terminal import FINE, REFUSED, Terminal
from lfdash.cli.texts import language, t
from lfdash.engine.facade import Workspace
from lfdash.engine.opening import Opened
from lfdash.jobs.args import build_args, build_env
from lfdash.locales import refusal_in
from lfdash.outcomes import Problem, Refused


@command("check", file_argument, set_option, target_option)
def check(terminal: Terminal, file: str, changes: Mapping[str, Any], target: str | None) -> int:
    """Problems and notes; REFUSED when one is an error, or when FILE could not be opened."""
    workspace, job = opened(terminal, file, changes, target)
    if isinstance(job, Refused):
        return not_opened(terminal, job)
    problems = workspace.problems(job)
    notes = [*notes_of(job), *unasked_words(workspace, job)]
    if terminal.as_json:
        terminal.give(answer(job, problems, notes))
    else:
        lines = [*notes, *(problem_line(job.job, problem) for problem in problems)]
        terminal.say("\n".join(lines if problems else [*lines, t("cli.no_problem")]))
    return REFUSED if any(problem.level == "error" for problem in problems) else FINE


def unasked_words(workspace: Workspace, job: Opened) -> list[str]:
    """That the packages which the job needs were not looked for, and why."""
    found = workspace.unasked(job)
    if found is None:
        return []
    return [t("cli.packages_unasked", names=", ".join(found[1]), why=refusal_in(language(), found[0]))]


def answer(job: Opened, problems: tuple[Problem, ...], notes: list[str]) -> dict[str, Any]:
    """The answer for a program. args: what would be run, before any fix."""
    return {
        "kind": job.job.kind,
        "opened": True,
        "args": build_args(job.job),
        "env": build_env(job.job),
        "problems": [problem_json(job.job, problem) for problem in problems],
        "notes": notes,
    }


def not_opened(terminal: Terminal, refused: Refused) -> int:
    """The same shape for a file that cannot be opened; its problem is why."""
    if not terminal.as_json:
        return terminal.refuse(refused)
    code = refused.params.get("cause", refused.code)
    why = {"argument": None, "level": "error", "code": code, "message": refusal_in(language(), refused), "fix": None}
    terminal.give({"kind": None, "opened": False, "args": {}, "env": {}, "problems": [why], "notes": []})
    return REFUSED
