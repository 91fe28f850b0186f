"""The next attempt of a chat that is over: the same configuration in the same folder, under a new port and key."""

from __future__ import annotations

from pathlib import Path

from lfdash.errors import ConfigError
from lfdash.files import read_plain
from lfdash.jobs import yaml_format
from lfdash.jobs.kinds import PORT_VARIABLE, named
from lfdash.jobs.model_words import short_name
from lfdash.jobs.resources import ResourceRequest, request_of
from lfdash.jobs.rules import listed
from lfdash.queue.genuine import ENVIRONMENT
from lfdash.queue.turns import ORDER, PORT
from lfdash.runs.plan import LaunchPlan, make_plan
from lfdash.runs.record import RunRecord
from lfdash.runs.view import RunView

GIVEN = frozenset({ORDER, PORT, PORT_VARIABLE})  # with the devices, for each attempt anew


def prepare_again(view: RunView, cli: str, workspace: Path) -> tuple[LaunchPlan, RunRecord, ResourceRequest] | None:
    """The plan, the record and the devices of a chat's next attempt; None when its configuration cannot be read.

    cli: the llamafactory-cli to start. Of the environment in its file only what a job of ours may set: the file may be
    somebody else's.
    """
    if view.record is None:
        return None
    found = configuration(view)
    try:
        attempt = view.paths.next_attempt()
    except OSError:
        return None
    if found is None:
        return None
    text, document = found
    kind = named(view.kind)
    env = {name: value for name, value in document.env.items() if name in ENVIRONMENT and name not in GIVEN}
    plan = make_plan(
        run_id=view.run_id, attempt=attempt, args=document.args, env={**env, **kind.env},
        secrets=tuple(dict.fromkeys([*view.record.secrets, *kind.made_secrets])),
        files={view.paths.training_args.name: text}, cli=cli, cwd=str(workspace), output_dir=view.output_dir,
        command=kind.command,
    )
    return plan, view.record.resumed(plan), request_of(document.args, env)


def configuration(view: RunView) -> tuple[str, yaml_format.Document] | None:
    """The configuration that a run was started with, as text and read; None when it cannot be read."""
    try:
        text = read_plain(view.paths.training_args)
        return text, yaml_format.load(text)
    except (OSError, UnicodeDecodeError, ConfigError):
        return None


def loaded_words(view: RunView) -> str:
    """What a chat has loaded, in no language: its model, and the adapters on it; "" when that cannot be read."""
    found = configuration(view)
    return words_of(found[0]) if found is not None else ""


def words_of(text: str) -> str:
    """The same of a configuration."""
    try:
        args = yaml_format.load(text).args
    except ConfigError:
        return ""
    parts = [str(args.get("model_name_or_path", "")), *listed(args.get("adapter_name_or_path"))]
    return " + ".join(short_name(part) for part in parts if part)
