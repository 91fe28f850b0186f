"""What Ray is given for a run: what is previewed, as YAML, is what is sent, as JSON. Pure."""

from __future__ import annotations

import hashlib
import posixpath
import re
import shlex
from collections.abc import Iterator
from typing import Any

import yaml

from lfdash.jobs.resources import VISIBLE
from lfdash.launchers.setup_lines import by_bash, shown
from lfdash.launchers.slurm_script import (
    GIVEN,
    OURS,
    attempt_folder,
    command_of,
    gpus_of,
    python_of,
    supervisor_folder,
    there,
)
from lfdash.runs.plan import LaunchPlan
from lfdash.supervisor.nodes import EACH, FIRST
from lfdash.supervisor.remote import TICKET
from lfdash.targets.target import Target

FILE = "ray_job.yaml"  # in the run's folder
LOG = "shim.log"  # in the attempt's folder
TICKET_LENGTH = 12
GIVEN_TO_NODES = ("FORCE_TORCHRUN", "NNODES", "NODE_RANK", "NPROC_PER_NODE", "MASTER_PORT")  # by ray_nodes.py
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "": 1 << 20}  # as sbatch reads --mem
STOP_WAIT = "RAY_JOB_STOP_WAIT_TIME_S"  # between Ray's SIGTERM and its SIGKILL (job_supervisor.py); 3 without it


def job_id(plan: LaunchPlan, target: Target) -> str:
    """The submission id of a run's attempt: the same for the same plan, so that Ray takes it once."""
    return f"lfdash-{plan.run_id}-{plan.attempt}-{ticket_of(plan, target)}"


def ticket_of(plan: LaunchPlan, target: Target) -> str:
    """What tells a job from one of another plan, or of another workspace, with the same run id."""
    said = repr((sorted(settings(plan, target).items()), entrypoint(plan, target, "")))
    return hashlib.sha256(said.encode()).hexdigest()[:TICKET_LENGTH]


def settings(plan: LaunchPlan, target: Target) -> dict[str, Any]:
    """What Ray is to give the job.

    On several nodes the job itself is only who asks for them: it gets a core for that it runs on the head without.
    Never left out: a job that asks for nothing sees all GPUs, and reserves none (job_manager.py).
    """
    alone = target.nodes == 1
    found: dict[str, Any] = {
        "entrypoint_num_cpus": (target.cpus or 1) if alone else 0,
        "entrypoint_num_gpus": gpus_of(plan, target) if alone else 0,
    }
    if target.memory and alone:
        found["entrypoint_memory"] = memory_bytes(target.memory)
    return {**found, "runtime_env": {"env_vars": {STOP_WAIT: str(max(target.save_s, 10))}}}


def memory_bytes(text: str) -> int:
    """A memory as targets.toml has it (64G; MiB without a unit), in bytes."""
    return int(text.rstrip("KMGT")) * UNITS[re.sub(r"\d", "", text)]


def job_text(plan: LaunchPlan, target: Target) -> str:
    """All that Ray is sent, to be read by people."""
    body = {
        "submission_id": job_id(plan, target),
        "entrypoint": entrypoint(plan, target, ticket_of(plan, target)),
        **settings(plan, target),
    }
    return yaml.dump(body, Dumper=Readable, sort_keys=False, allow_unicode=True, width=10_000)


class Readable(yaml.SafeDumper):
    """Writes texts of several lines as such."""


def as_lines(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


Readable.add_representer(str, as_lines)


def entrypoint(plan: LaunchPlan, target: Target, ticket: str) -> str:
    """The shell text that Ray runs. Secrets are not in it: the supervisor takes them from a file that only this user
    can read. `exec` makes the supervisor the process that Ray watches."""
    return "\n".join(lines(plan, target, ticket)) + "\n"


def lines(plan: LaunchPlan, target: Target, ticket: str) -> Iterator[str]:
    """That text in parts. Ray runs it by /bin/sh, so a setup is run by a bash that takes the place of it. On several
    nodes each node's part has it, and what asks Ray for them has not: it needs the python3 that Ray was started
    with."""
    folder = there(plan, target, attempt_folder(plan))
    yield f"exec >>{shlex.quote(f'{folder}/{LOG}')} 2>&1"
    if target.nodes > 1:
        yield from [*unsets(plan), f"export {TICKET}={ticket}", nodes_command(plan, target)]
        return
    command = [shlex.join([*supervise(plan, target), "--"]), shlex.join(command_of(plan, target))]
    own = [*environment(plan, target, ticket), "exec " + " \\\n  ".join(command)]
    yield from [f"exec {shown(by_bash(target.setup, own))}"] if target.setup else own


def environment(plan: LaunchPlan, target: Target, ticket: str) -> list[str]:
    """The lines that make the environment of what is started."""
    path = path_of(plan, target)
    return [
        *unsets(plan), f"export {TICKET}={ticket}", *([f'export PATH={shlex.quote(path)}:"$PATH"'] if path else []),
        *(f"export {name}={shlex.quote(value)}" for name, value in variables(plan, target).items()),
    ]


def unsets(plan: LaunchPlan) -> list[str]:
    return [f"unset {' '.join(plan.unset)}"] if plan.unset else []


def path_of(plan: LaunchPlan, target: Target) -> str:
    """The folder that PATH begins with; "" for none."""
    cli = target.cli or plan.argv[0]
    return posixpath.dirname(cli) if posixpath.isabs(cli) else ""


def variables(plan: LaunchPlan, target: Target) -> dict[str, str]:
    """What the target and the job set."""
    env = {**target.env, **{name: value for name, value in plan.env.items() if name not in (*OURS, *GIVEN)}}
    if not gpus_of(plan, target):  # Ray hides none from a job that asked for none (RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO)
        env[VISIBLE] = ""
    return env


def supervise(plan: LaunchPlan, target: Target) -> list[str]:
    """What starts the supervisor of the attempt."""
    program = there(plan, target, f"{supervisor_folder()}/lfdash/supervisor/__main__.py")
    return [python_of(plan, target), "-I", "-S", program, there(plan, target, attempt_folder(plan))]


def nodes_command(plan: LaunchPlan, target: Target) -> str:
    """The line that starts a training on several nodes."""
    driver = there(plan, target, f"{supervisor_folder()}/lfdash/supervisor/ray_nodes.py")
    path = path_of(plan, target)
    wanted = [f"--folder={there(plan, target, attempt_folder(plan))}", f"--nodes={target.nodes}"]
    wanted += [f"--gpus={gpus_of(plan, target)}", f"--cpus={target.cpus or 1}"]
    wanted += [f"--memory={memory_bytes(target.memory)}"] if target.memory else []
    wanted += [f"--path={path}"] if path and not target.setup else []  # with a setup it is set behind that
    # each node's part has a process environment of its own
    parts = ["env", *(f"-u{name}" for name in plan.unset if name not in GIVEN_TO_NODES)]
    parts += [f"{name}={value}" for name, value in variables(plan, target).items()]
    each = [*parts, *supervise(plan, target), EACH, "--", *command_of(plan, target)]
    started = shlex.join(each)
    if target.setup:
        begins = [f'export PATH={shlex.quote(path)}:"$PATH"'] if path else []
        started = shown(by_bash(target.setup, [*begins, f"exec {started}"]))
    # the Python that has ray: the one that the cluster was started with
    first = [shlex.join([*supervise(plan, target), FIRST, "--"]), shlex.join(["python3", driver, *wanted, "--"])]
    return "exec " + " \\\n  ".join([*first, started])
