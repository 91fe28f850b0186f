"""`lfdash preview FILE`: exactly what would be run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lfdash.cli.commands import command, file_argument, set_option, target_option
from lfdash.cli.jobs import notes_of, opened, problem_json, refused_target, tell
from lfdash.cli.terminal import FINE, REFUSED, Terminal
from lfdash.outcomes import Refused
from lfdash.runs.plan import ARGS_FILE


@command("preview", file_argument, set_option, target_option)
def preview(terminal: Terminal, file: str, changes: Mapping[str, Any], target: str | None) -> int:
    """The plan, also of a job with problems; these are told beside it. Where it is the target that is not known, there
    is none: this machine's would be another."""
    workspace, job = opened(terminal, file, changes, target)
    if isinstance(job, Refused):
        return terminal.refuse(job)
    problems = workspace.problems(job)
    nowhere = refused_target(problems)
    if nowhere:
        refused = Refused("problems", {"count": len(nowhere), "problems": nowhere})
        told = [problem_json(job.job, one) for one in nowhere]
        if not terminal.as_json:
            tell(terminal, job.job, nowhere, ())
        return terminal.refuse(refused, problems=told)
    plan = workspace.plan(job).plan
    tell(terminal, job.job, problems, notes_of(job))
    if terminal.as_json:
        yaml = plan.files[ARGS_FILE]
        script = {"script": str(plan)} if plan.script else {}
        terminal.give({"argv": plan.argv, "env": plan.env, "yaml": yaml, "output_dir": plan.output_dir, **script})
    else:
        terminal.say(str(plan))
    return REFUSED if any(problem.level == "error" for problem in problems) else FINE
