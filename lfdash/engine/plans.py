"""From a job to what will be run: the plan that is previewed and submitted, and the files to download."""

from __future__ import annotations

from lfdash.jobs import llamaboard_format, yaml_format
from lfdash.jobs.args import build_args, build_env, secret_names
from lfdash.jobs.job import JobConfig
from lfdash.runs.plan import LaunchPlan, make_plan
from lfdash.ui.shared.session import Services
from lfdash.ui.shared.text import t


def make(services: Services, job: JobConfig, run_id: str) -> LaunchPlan:
    """The plan of a job: what the preview shows and what Start runs."""
    args = build_args(job)
    env = build_env(job)
    files = {
        "training_args.yaml": document(job, with_output=True),
        "llamaboard_config.yaml": llamaboard_format.dump_state(job),
    }
    return make_plan(
        run_id=run_id,
        args=args,
        env=env,
        secrets=secret_names(job),
        files=files,
        cli=services.cli_path,
        cwd=str(services.workspace.root),
        output_dir=job.folder,
        command="export" if job.kind == "export" else "train",
    )


def document(job: JobConfig, *, with_output: bool) -> str:
    """The job as a YAML file that `llamafactory-cli train` takes, with a comment that says how to run it.

    Without the output folder it is the job to share; with it, exactly this run.
    """
    args = build_args(job)
    if not with_output:
        args.pop("output_dir", None)
    return yaml_format.dump(args, header=[t("ui.yaml_header")], env=build_env(job))
