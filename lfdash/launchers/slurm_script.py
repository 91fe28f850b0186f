"""The batch script of a run: what is previewed is what sbatch gets. Pure."""

from __future__ import annotations

import hashlib
import posixpath
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from lfdash import supervisor
from lfdash.jobs.resources import COUNT, FITS, TARGET, VISIBLE, request_of
from lfdash.launchers.setup_lines import in_script
from lfdash.runs.paths import PRIVATE, RunPaths
from lfdash.runs.plan import ARGS_FILE, LaunchPlan
from lfdash.supervisor.nodes import EACH, FIRST
from lfdash.targets.target import Target

FILE = "batch.sh"  # in the run's folder
LOG = "shim.log"  # of the job, in its attempt's folder
PLAIN = re.compile(r"[A-Za-z0-9_./:@+,=%-]+")
DAY_S = 86400
# what LLaMA-Factory's launcher.py makes torchrun of on each node; NODE_RANK is of the node
TORCHRUN = (
    'export FORCE_TORCHRUN=1 NNODES="$SLURM_JOB_NUM_NODES" NPROC_PER_NODE="${SLURM_GPUS_ON_NODE:-1}"',
    'export MASTER_ADDR="${MASTER_ADDR:-$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)}"',
    "export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))",
)
OURS = (COUNT, FITS, TARGET)  # what only we read
GIVEN = (VISIBLE, "CUDA_DEVICE_ORDER")  # what Slurm sets itself for the GPUs that it gives


def supervisor_files() -> dict[str, bytes]:
    """The supervisor as a program that a node can run: path -> content. It lies in the workspace, since nothing else
    is surely seen there, and so that a job which waits for days is not changed by an update."""
    folder = Path(supervisor.__file__).resolve().parent
    files = {f"lfdash/supervisor/{path.name}": path.read_bytes() for path in sorted(folder.glob("*.py"))}
    return {"lfdash/__init__.py": b"", **files}


def supervisor_folder() -> str:
    """Where that lies in the workspace, by its content: relative."""
    digest = hashlib.sha256(repr(sorted(supervisor_files().items())).encode()).hexdigest()[:12]
    return f"{PRIVATE}/supervisor/{digest}"


def job_name(run_id: str, attempt: int) -> str:
    """What a job is called in Slurm; by it a job is found whose number nobody wrote down."""
    return f"lfdash-{run_id}-{attempt}"


def array_name(sweep_id: str) -> str:
    """What the array of a sweep's runs is called in Slurm."""
    return f"lfdash-sweep-{sweep_id}"


def task_name(array: str, task: int) -> str:
    """By what a job of an array is found whose number nobody wrote down."""
    return f"{array}_{task}"


def there(plan: LaunchPlan, target: Target, path: str) -> str:
    """A path (absolute, or relative to the workspace) as the nodes see it."""
    whole = posixpath.normpath(posixpath.join(plan.cwd, path))
    if target.workspace and (whole == plan.cwd or whole.startswith(plan.cwd.rstrip("/") + "/")):
        return posixpath.normpath(target.workspace + whole[len(plan.cwd.rstrip("/")) :])
    return whole


def attempt_folder(plan: LaunchPlan) -> str:
    """The attempt's folder, as it is seen here."""
    return str(RunPaths(Path(plan.cwd) / plan.output_dir).attempt(plan.attempt).root)


def command_of(plan: LaunchPlan, target: Target) -> list[str]:
    """What the supervisor starts there."""
    words = [target.cli or plan.argv[0], *plan.argv[1:]]
    if target.runner == "apptainer":
        here = there(plan, target, "")
        nv = ["--nv"] if gpus_of(plan, target) else []
        return ["apptainer", "exec", *nv, "--bind", here, "--pwd", here, target.container, *words]
    return words


def python_of(plan: LaunchPlan, target: Target) -> str:
    """What runs the supervisor there: the Python beside llamafactory-cli, since a venv has one."""
    cli = target.cli or plan.argv[0]
    if target.python:
        return target.python
    return posixpath.join(posixpath.dirname(cli), "python") if posixpath.isabs(cli) and not target.container else (
        "python3" if target.cli else sys.executable)


def gpus_of(plan: LaunchPlan, target: Target) -> int:
    """How many GPUs a node is asked for: what the job says, else the target. One where neither does: to wait for it is
    seen, while days on the CPU may not be."""
    args = yaml.safe_load(plan.files.get(ARGS_FILE, "")) or {}
    request = request_of(args if isinstance(args, dict) else {}, {**plan.env, VISIBLE: plan.env[VISIBLE]}
                         if VISIBLE in plan.env else plan.env)
    if request.cpu:
        return 0
    return request.count or len(request.devices) or (1 if target.gpus is None else target.gpus)


def options(plan: LaunchPlan, target: Target) -> Iterator[str]:
    """The options of sbatch, each as a line says it."""
    yield option("job-name", job_name(plan.run_id, plan.attempt))
    yield option("chdir", there(plan, target, attempt_folder(plan)))
    # a name of a log is a pattern, and so is the folder that it lies in
    yield option("output", LOG if is_no_pattern(plan, target) else "/dev/null")
    yield "--open-mode=append"
    yield from asked_for(plan, target)


def asked_for(plan: LaunchPlan, target: Target) -> Iterator[str]:
    """The options that say what a job gets, where and how long: the same for all jobs of an array."""
    yield "--no-requeue"  # who was killed may run on: a second start beside it would spoil both
    save_s = min(target.save_s, limit_s(target) // 2)
    if save_s:
        yield f"--signal=B:USR1@{save_s}"  # to the supervisor alone
    yield f"--nodes={target.nodes}"
    yield "--ntasks-per-node=1"
    gpus = gpus_of(plan, target)
    kind = f"{target.gpu_type}:" if target.gpu_type else ""
    for name, value in (
        ("cpus-per-task", target.cpus), ("mem", target.memory), ("gres", f"gpu:{kind}{gpus}" if gpus else ""),
        ("time", target.time_limit), ("partition", target.partition), ("account", target.account),
        ("qos", target.qos), ("constraint", target.constraint),
    ):
        if value:
            yield option(name, str(value))
    if target.runner == "pyxis":
        here = there(plan, target, "")
        yield option("container-image", target.container)
        yield option("container-mounts", f"{here}:{here}")
    yield from target.extra


def limit_s(target: Target) -> int:
    """A target's time limit in seconds, as sbatch reads it: M, M:S, H:M:S, D-H, D-H:M or D-H:M:S. A day where it has
    none: what the partition says is not known."""
    days, dash, rest = target.time_limit.rpartition("-")
    numbers = [int(part) for part in rest.split(":") if part]
    if not numbers:
        return DAY_S
    units = (3600, 60, 1) if dash or len(numbers) == 3 else (60, 1)
    return int(days or 0) * DAY_S + sum(number * unit for number, unit in zip(numbers, units, strict=False))


def is_no_pattern(plan: LaunchPlan, target: Target) -> bool:
    """Whether sbatch takes the attempt's folder for what it is: % and \\ mean something in it."""
    return not set("%\\") & set(there(plan, target, attempt_folder(plan)))


def option(name: str, value: str) -> str:
    """--NAME=VALUE as sbatch reads it in a script: with quotes where a value has other than plain characters."""
    if PLAIN.fullmatch(value):
        return f"--{name}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'--{name}="{escaped}"'


def array_script(plans: Sequence[LaunchPlan], target: Target, name: str, at_once: int) -> str:
    """The script of an array: a job each for runs that ask for the same, each of which runs the script in its own
    folder. name: of the array. at_once: how many of them go on at a time.

    `exec` as in `batch_script`. Neither the shell's log nor the scheduler's is in a folder that the script does not
    know yet.
    """
    first = plans[0]
    options = [
        option("job-name", name), f"--array=0-{len(plans) - 1}%{at_once}", option("chdir", there(first, target, "")),
        option("output", "/dev/null"), *asked_for(first, target),
    ]
    folders = [there(plan, target, attempt_folder(plan)) for plan in plans]
    lines = ["#!/bin/bash", *(f"#SBATCH {one}" for one in options)]
    lines += ["runs=(", *(f"  {shlex.quote(folder)}" for folder in folders), ")"]
    lines += ['cd "${runs[SLURM_ARRAY_TASK_ID]}" || exit 1']
    lines += [f"exec bash{login_of(first, target)} ../../{FILE} >>{LOG} 2>&1"]
    return "\n".join(lines) + "\n"


def login_of(plan: LaunchPlan, target: Target) -> str:
    """How bash is told to be a login shell, which defines `module` and PATH, where a script needs that."""
    return " -l" if target.modules or target.setup or not posixpath.isabs(target.cli or plan.argv[0]) else ""


def beginning(plan: LaunchPlan, target: Target, ends: str = "1") -> list[str]:
    """What a script begins with: what Slurm is asked for, and the environment of what is started. ends: its exit code
    where a line of the setup fails (see `setup_lines.judged`)."""
    cli = target.cli or plan.argv[0]
    folder = there(plan, target, attempt_folder(plan))
    lines = [f"#!/bin/bash{login_of(plan, target)}", *(f"#SBATCH {one}" for one in options(plan, target))]
    lines += [] if is_no_pattern(plan, target) else [f"exec >>{shlex.quote(f'{folder}/{LOG}')} 2>&1"]
    lines += [f"module load {shlex.join(target.modules)} || exit 1"] if target.modules else []
    lines += in_script(target.setup, ends)
    lines += [f"unset {' '.join(plan.unset)}"] if plan.unset else []
    if posixpath.isabs(cli):
        lines.append(f'export PATH={shlex.quote(posixpath.dirname(cli))}:"$PATH"')
    env = {**target.env, **{name: value for name, value in plan.env.items() if name not in (*OURS, *GIVEN)}}
    lines += [f"export {name}={shlex.quote(value)}" for name, value in env.items()]
    return lines


def batch_script(plan: LaunchPlan, target: Target) -> str:
    """The script of a job. Secrets are not in it: the supervisor takes them from a file that only this user can read.

    `exec` makes the supervisor the batch process itself, which Slurm's signals reach (`--signal=B:`, `scancel
    --batch`).
    """
    lines = beginning(plan, target)
    folder = there(plan, target, attempt_folder(plan))
    program = there(plan, target, f"{supervisor_folder()}/lfdash/supervisor/__main__.py")
    supervise = [python_of(plan, target), "-I", "-S", program, folder]
    command = command_of(plan, target)
    if target.nodes > 1:
        lines += TORCHRUN
        # a node that is done does not end those that still save; one that fails ends all
        cpus = [f"--cpus-per-task={target.cpus}"] if target.cpus else []  # srun does not take sbatch's
        command = ["srun", "--kill-on-bad-exit=1", "--wait=0", *cpus, *supervise, EACH, "--", *command]
        supervise = [*supervise, FIRST]
    lines.append(f"exec {shlex.join([*supervise, '--'])} \\\n  {shlex.join(command)}")
    return "\n".join(lines) + "\n"


def unfit(plan: LaunchPlan, target: Target) -> str | None:
    """What of a plan no script can hold: a path or a value with a line break (in a line of sbatch) or a NUL."""
    texts = [plan.cwd, plan.output_dir, *plan.argv, *plan.env.values()]
    odd = next((text for text in texts if "\0" in text), None)
    return odd or next((text for text in (plan.cwd, plan.output_dir) if re.search(r"[\r\n]", text)), None)
