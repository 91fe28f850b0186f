"""Whether a plan is one that this dashboard would make: a workspace's files may come from somebody else.

A queued job names its program, its environment and its files. Whoever can write to the workspace, or made it, could
name any; so a job is started only when all of that has the form that `runs.plan.make_plan` gives it here.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path

from lfdash.jobs.args import HUB, HUBS
from lfdash.jobs.fields import FIELDS
from lfdash.jobs.kinds import KINDS, PORT_VARIABLE, named
from lfdash.jobs.resources import COUNT, FITS, TARGET, VISIBLE
from lfdash.jobs.secret_arguments import VARIABLES
from lfdash.queue.turns import ORDER, PORT
from lfdash.runs.paths import RunPaths
from lfdash.runs.plan import ARGS_FILE, UNSET, LaunchPlan
from lfdash.runs.record import RunRecord
from lfdash.runs.view import Reason
from lfdash.targets.fields import NAME

ENABLED, WORKDIR, TORCHRUN = "LLAMABOARD_ENABLED", "LLAMABOARD_WORKDIR", "FORCE_TORCHRUN"
SWITCHES = frozenset({ENABLED, TORCHRUN, *(name for names in HUBS.values() for name in names)})
FIXED = {name: value for kind in KINDS for name, value in kind.env.items()}  # of one value wherever they stand
MADE = frozenset(name for kind in KINDS for name in kind.made_secrets)
ENVIRONMENT = frozenset({
    *SWITCHES, *FIXED, WORKDIR, VISIBLE, COUNT, FITS, ORDER, PORT, PORT_VARIABLE,
    *(row.env for row in FIELDS if row.env and row.env != HUB),
})
SECRETS = frozenset({*VARIABLES.values(), *(row.secret for row in FIELDS if row.secret), *MADE})
MOST_ATTEMPTS = 10_000


def why_not_ours(plan: LaunchPlan, record: RunRecord, workspace: Path, cli: str) -> Reason | None:
    """Why a plan must not be started by a dashboard on `workspace` (absolute) with the llamafactory-cli `cli`; None
    when it has the form of those that are made there. Pure; where its paths lead is asked by `check_paths`.

    Reasons (texts in `waits`): other_workspace (where it was made for), other_cli (which program it wants), odd_job
    (what it asks for that no plan of ours does).
    """
    if plan.cwd != str(workspace):
        return Reason("other_workspace", {"path": plan.cwd})
    odd = next(odd_things(plan, record), None)
    if odd is not None:
        return Reason("odd_job", {"what": odd})
    return None if plan.argv[0] == cli else Reason("other_cli", {"path": plan.argv[0]})


def odd_things(plan: LaunchPlan, record: RunRecord) -> Iterator[str]:
    """What a plan asks for that no plan of ours does, in words of the file."""
    program, *words = plan.argv or ("",)
    if not program or words != [named(record.kind).command, f"{plan.output_dir}/{ARGS_FILE}"]:
        yield "argv"
    if plan.path != posixpath.dirname(program):
        yield "path"
    if (record.run_id, record.last.number, record.last.argv) != (plan.run_id, plan.attempt, plan.argv):
        yield "record"
    if not 1 <= plan.attempt <= MOST_ATTEMPTS:
        yield "attempt"
    paths = RunPaths(Path())
    known = {paths.training_args.name, paths.llamaboard_config.name}
    yield from (f"files: {name}" for name in plan.files if name not in known)
    if ARGS_FILE not in plan.files:
        yield f"files: no {ARGS_FILE}"
    yield from (f"secrets: {name}" for name in plan.secrets if name not in SECRETS)
    yield from (f"unset: {name}" for name in plan.unset if name not in UNSET)
    yield from (f"env: {name}" for name in odd_variables(plan.env, plan.output_dir))
    always = {**named(record.kind).env, **dict.fromkeys(named(record.kind).made_secrets, "")}
    yield from (f"env: no {name}" for name in always if name not in plan.env and name not in plan.secrets)


def odd_variables(env: Mapping[str, str], output_dir: str) -> Iterator[str]:
    """The variables of a plan's environment that none of ours has, or not with that value."""
    for name, value in env.items():
        number = value.isascii() and value.isdigit()
        fixed = {WORKDIR: output_dir, ORDER: "PCI_BUS_ID", **dict.fromkeys(SWITCHES, "1"), **FIXED}.get(name, value)
        wrong = value != fixed or (name in (PORT, PORT_VARIABLE, COUNT) and not number)
        wrong |= name == FITS and value not in (str(True), str(False))
        wrong |= name == TARGET and not NAME.fullmatch(value)
        if name not in ENVIRONMENT or wrong or "\0" in value:
            yield name
