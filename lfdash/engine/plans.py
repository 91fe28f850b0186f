"""From a job to what will be run: the plan that is previewed and submitted, its record, and the files to download."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lfdash.engine.services import Services
from lfdash.jobs import llamaboard_format, yaml_format
from lfdash.jobs.args import build_args, build_env, secret_names
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import named
from lfdash.jobs.resources import ResourceRequest, request_of
from lfdash.runs.paths import RunPaths
from lfdash.runs.plan import LaunchPlan, make_plan
from lfdash.runs.record import RunRecord


@dataclass(frozen=True)
class Prepared:
    """A job made ready: what is previewed is what is submitted. request: the devices that it wants."""

    plan: LaunchPlan
    record: RunRecord
    request: ResourceRequest


def prepare(services: Services, job: JobConfig, header: str, run_id: str = "") -> Prepared:
    """The plan, the record and the devices of a job.

    header: the comment at the top of its YAML file. run_id: a new one when it is "". A target that is not there, or
    cannot be read, is refused when the plan is submitted.
    """
    args = build_args(job)
    env = build_env(job, args)
    launcher = services.launcher_on(job.target)
    paths = RunPaths(services.workspace.root / job.folder)
    plan = launcher.plan(make_plan(
        run_id=run_id or uuid.uuid4().hex[:12],
        args=args,
        env=env,
        secrets=secret_names(job),
        files={
            paths.training_args.name: yaml_format.dump(args, [header], env),
            paths.llamaboard_config.name: llamaboard_format.dump_state(
                job, services.upstream.defaults, services.board_lacks
            ),
        },
        cli=services.cli_path,
        cwd=str(services.workspace.root),
        output_dir=job.folder,
        command=named(job.kind).command,
    ))
    return Prepared(plan, record_of(job, args, plan, launcher.name), request_of(args, env))


def record_of(job: JobConfig, args: Mapping[str, Any], plan: LaunchPlan, launcher: str) -> RunRecord:
    """The record that the run's folder will carry. launcher: its name in the table."""
    return RunRecord.new(
        plan,
        kind=job.kind,
        name=job.run_name,
        model=job.model_name,
        stage=str(args.get("stage", "sft")),
        method=str(job.get("top.finetuning_type")),
        launcher=launcher,
    )


def document(job: JobConfig, header: str, *, with_output: bool) -> str:
    """The job as a YAML file that `llamafactory-cli` takes, with a comment at its top.

    Without the output folder it is the job to share; with it, exactly this run.
    """
    args = build_args(job)
    env = build_env(job, args)
    if not with_output:
        args.pop("output_dir", None)
    return yaml_format.dump(args, [header], env)
