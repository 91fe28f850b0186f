"""A run that is over, as the beginning of the next: its next attempt, or a new run from its weights."""

from __future__ import annotations

from typing import Any

from lfdash.engine.plans import Prepared
from lfdash.engine.services import Services
from lfdash.errors import ConfigError
from lfdash.files import is_absent, read_plain
from lfdash.jobs import yaml_format
from lfdash.jobs.converters import model_name, saved_name
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import PORT_VARIABLE, named
from lfdash.jobs.resources import TARGET, request_of
from lfdash.jobs.secret_arguments import without
from lfdash.outcomes import Refused, Value
from lfdash.queue.genuine import ENVIRONMENT
from lfdash.queue.turns import ORDER, PORT
from lfdash.runs.plan import make_plan
from lfdash.runs.record import TERMINAL, RunRecord, RunState
from lfdash.runs.view import RunView

GIVEN = frozenset({ORDER, PORT, PORT_VARIABLE})  # with the devices, for each attempt anew


def stored(view: RunView) -> yaml_format.Document | None:
    """The configuration that a run was started with; None when it cannot be read."""
    try:
        return look_stored(view)
    except OSError:
        return None


def look_stored(view: RunView) -> yaml_format.Document | None:
    """The same; None where there is none. OSError when reading failed, so that nothing is known."""
    try:
        return yaml_format.load(read_plain(view.paths.training_args))
    except OSError as error:
        if is_absent(error):
            return None
        raise
    except (UnicodeDecodeError, ConfigError):
        return None


def why_not_resumed(view: RunView) -> Refused | None:
    """Why a run cannot be resumed; None when it can."""
    if view.record is None:
        return Refused("resume_plain")
    if view.state not in TERMINAL:
        return Refused("resume_alive")
    if view.state is RunState.SUCCEEDED:  # LLaMA-Factory would train a step more, and overwrite what it has saved
        return Refused("resume_finished")
    if not view.saved.checkpoints:
        return Refused("resume_never_began" if view.never_began else "resume_no_checkpoint")
    return None if stored(view) else Refused("no_configuration")


def inherited(
    services: Services, record: RunRecord, document: yaml_format.Document
) -> tuple[dict[str, Any], dict[str, str], tuple[str, ...]]:
    """What follows a run takes of it: arguments, environment (only what a job of ours may set: the file may be
    somebody else's), and the names of its secrets; a secret that stands in the file is kept in memory alone."""
    args, secrets = without(document.args)
    for name, value in secrets.items():
        services.registry.set_secret(name, value)
    env = {name: value for name, value in document.env.items() if name in ENVIRONMENT and name not in GIVEN}
    env.pop(TARGET, None)
    target = record.launcher.partition(":")[2]
    if target:  # what started it, whatever became of its file
        env[TARGET] = target
    return args, env, tuple(dict.fromkeys([*record.secrets, *secrets]))


def prepare_resume(services: Services, view: RunView, step: int, header: str) -> Prepared | None:
    """The next attempt of a run: its own arguments, from one of its checkpoints, in the folder where it lies now
    (it may have been renamed since they were written). None when its configuration cannot be read. Of the environment
    in its file only what a job of ours may set: the file may be somebody else's.

    `overwrite_output_dir` is left out: LLaMA-Factory would delete the run's log
    (train/callbacks.py, LogCallback).
    """
    document = stored(view)
    if document is None or view.record is None:
        return None
    args, env, secrets = inherited(services, view.record, document)
    args.pop("overwrite_output_dir", None)
    args["output_dir"] = view.output_dir
    args["resume_from_checkpoint"] = f"{view.output_dir}/checkpoint-{step}"
    launcher = services.registry.launchers.get(view.record.launcher)
    plan = launcher.plan(make_plan(
        run_id=view.run_id,
        attempt=view.paths.next_attempt(),
        args=args,
        env=env,
        secrets=secrets,
        files={view.paths.training_args.name: yaml_format.dump(args, [header], env)},
        cli=services.cli_path,
        cwd=str(services.workspace.root),
        output_dir=view.output_dir,
        command=named(view.kind).command,
    ))
    return Prepared(plan, view.record.resumed(plan), request_of(document.args, env))


def weights_of(view: RunView, job: JobConfig, folder: str = "") -> dict[str, Value]:
    """What a job gives to start from a run's weights. folder: where they lie; "" the run's own.

    An OFT adapter is loaded while the method is called LoRA: LLaMA-Factory takes adapters there only, and the
    adapter says itself what it is.
    """
    folder = folder or view.output_dir
    method = view.record.method if view.record else str(job.get("top.finetuning_type"))
    if method == "oft":
        return {"top.finetuning_type": "lora", "top.checkpoint_path": [folder]}
    return {"top.checkpoint_path": [saved_name(folder, method, model_name(job.get).replace(" ", ""))]}
