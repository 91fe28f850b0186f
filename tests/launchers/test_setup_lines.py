"""The setup of a target: what a shell makes of its lines, on Slurm and on Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lfdash.launchers.ray_job import job_text
from lfdash.launchers.ray_probe import job_of
from lfdash.launchers.scheduled import write_supervisor
from lfdash.launchers.setup_lines import FAILED, by_bash, in_script
from lfdash.launchers.slurm_probe import probe_script
from lfdash.launchers.slurm_script import batch_script
from lfdash.launchers.target_probe import named_probe
from lfdash.runs.paths import RunPaths
from lfdash.runs.plan import LaunchPlan, make_plan
from lfdash.supervisor.target_probe import MOST_SETUP, SETUP
from lfdash.targets.target import Kind, Target
from tests.support.runs import fake_cli

SHOW = "import json, os, sys\nprint(json.dumps([os.getpid(), sys.argv, dict(os.environ)]))\n"
Job = Callable[..., tuple[int, str, int]]  # its setup, env and cli: exit code, what it has printed, its process


@pytest.fixture
def plan(tmp_path: Path) -> LaunchPlan:
    made = make_plan(
        run_id="abc", args={"stage": "sft"}, env={"A": "of the job"}, secrets=(), files={},
        cli=str(tmp_path / "b in" / "llamafactory-cli"), cwd=str(tmp_path / "it's"), output_dir="saves/x",
    )
    RunPaths(Path(made.cwd) / made.output_dir).attempt(1).root.mkdir(parents=True)
    return made


@pytest.fixture(params=["slurm", "ray"])
def job(request: pytest.FixtureRequest, plan: LaunchPlan, tmp_path: Path) -> Job:
    """Runs a job's text as its scheduler does, with a program in the place of the supervisor's Python."""
    kind: Kind = request.param
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\n{SHOW}")
    python.chmod(0o755)

    def run(*setup: str, **more: object) -> tuple[int, str, int]:
        target = replace(Target("lab", kind, python=str(python), setup=setup), **more)
        folder = RunPaths(Path(plan.cwd) / plan.output_dir).attempt(1).root
        if kind == "slurm":
            script = tmp_path / "batch.sh"
            script.write_text(batch_script(plan, target))
            words = ["bash", str(script)]
        else:
            words = ["/bin/sh", "-c", yaml.safe_load(job_text(plan, target))["entrypoint"]]
        log = folder / "shim.log"
        with log.open("a") as out:
            env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
            process = subprocess.Popen(words, env=env, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        return process.wait(60), log.read_text(), process.pid

    return run


def test_what_lines_set_is_what_the_program_gets(job: Job, tmp_path: Path) -> None:
    (tmp_path / "env.sh").write_text(
        'export SOURCED="$# arguments" PATH="/of/env:$PATH"\nactivate() { export ACTIVE="$1"; }\nfalse\ntrue\n'
    )
    code, said, pid = job(
        "source ~/env.sh # what it has", "activate lf", "true && export B=2", "false || export C='it''s $HOME'",
        "export A=lost D=kept", "ulimit -n 200", "set -- a b", "# none", 'export LIMIT="$(ulimit -n)"', "cd /",
        env={"D": "of the target"},
    )
    assert code == 0, said
    found, argv, env = json.loads(said.splitlines()[-1])
    assert found == pid and argv[1:3] == ["-I", "-S"], "the supervisor is the process that the scheduler knows"
    assert (env["SOURCED"], env["ACTIVE"], env["B"], env["LIMIT"]) == ("0 arguments", "lf", "2", "200")
    assert (env["A"], env["C"], env["D"]) == ("of the job", "its $HOME", "of the target")
    assert env["PATH"].startswith(f"{tmp_path}/b in:/of/env:") and "LFDASH_SETUP" not in env


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("no-such-program a 'b'", 127), ("source /no/such/file", 1), ("true && false", 1), ('echo "open', 2),
        ("if true; then", 2), ("fi", 2), ("(exit 7) # why", 7), ("return 5", 2), ("echo $(", 2), ("cat < /no/file", 1),
    ],
)
def test_a_line_that_fails_ends_the_job_and_is_named(job: Job, line: str, code: int) -> None:
    ended, said, _ = job("export A=1", line, "echo too late")
    assert ended == 1 and said.splitlines()[-1] == f"{FAILED} (exit code {code}): {line}"
    assert "too late" not in said


def test_without_a_setup_nothing_is_changed(plan: LaunchPlan) -> None:
    assert in_script(()) == []
    assert "LFDASH_SETUP" not in batch_script(plan, Target("lab", "slurm"))
    assert "bash" not in job_text(plan, Target("lab", "ray", nodes=2)) + job_text(plan, Target("lab", "ray"))


def test_bash_sees_lines_as_they_are() -> None:
    """Also those that look like options."""
    words = by_bash(["-c() { export A=\"$1\"; }", "-c x"], ["echo $A $#"])
    assert subprocess.run(words, capture_output=True, text=True, timeout=20).stdout == "x 0\n"


def test_on_several_nodes_of_ray_each_part_has_it(plan: LaunchPlan, tmp_path: Path) -> None:
    """And who asks for the nodes has not: it needs the python3 of Ray."""
    driver = tmp_path / "bin" / "python3"
    driver.parent.mkdir()
    driver.write_text(f"#!{sys.executable}\nimport os, sys\nprint(os.environ.get('ENV_SEEN'), flush=True)\n"
                      "os.execvp(sys.argv[1], sys.argv[1:])\n")
    driver.chmod(0o755)
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\nimport json, os, sys\n"
                      "at = sys.argv.index('--')\n"
                      "if '--node' in sys.argv:\n    print(json.dumps([sys.argv, dict(os.environ)]))\n"
                      "else:\n    words = sys.argv[at + 1:]\n    print([w for w in words if w.startswith('--path')])\n"
                      "    words = words[words.index('--') + 1:]\n    sys.stdout.flush()\n"
                      f"    os.execv('{driver}', ['{driver}', *words])\n")
    python.chmod(0o755)
    target = Target("lab", "ray", python=str(python), nodes=2, gpus=0, env={"D": "x y"}, setup=(
        "export ENV_SEEN='it'\"'s\"", "export A=lost PATH=/of/env:$PATH"))
    text = yaml.safe_load(job_text(plan, target))["entrypoint"]
    log = RunPaths(Path(plan.cwd) / plan.output_dir).attempt(1).root / "shim.log"
    env = {"PATH": "/usr/bin:/bin", "RANK": "7"}
    assert subprocess.run(["/bin/sh", "-c", text], env=env, timeout=60).returncode == 0, log.read_text()
    path, first, part = log.read_text().splitlines()
    argv, env = json.loads(part)
    assert path == "[]" and first == "None" and argv[-3:] == list(plan.argv)
    assert (env["ENV_SEEN"], env["A"], env["D"], env.get("RANK")) == ("it's", "of the job", "x y", None)
    assert env["PATH"].startswith(f"{tmp_path}/b in:/of/env:")


@pytest.mark.parametrize("kind", ["slurm", "ray"])
@pytest.mark.parametrize("place", [0, 1, MOST_SETUP - 1])
def test_a_test_says_by_its_exit_code_which_line_fails(
    workspace: Path, tmp_path: Path, kind: Kind, place: int
) -> None:
    lines = ["true"] * MOST_SETUP
    lines[place] = "echo why; (exit 3)"
    target = Target("lab", kind, python=sys.executable, setup=tuple(lines))
    probe = named_probe(workspace, target, fake_cli(tmp_path), "test-0123456789ab")
    os.close(probe.make())
    write_supervisor(workspace)
    if kind == "slurm":
        words = ["bash", "-c", probe_script(probe)]
    else:
        words = ["/bin/sh", "-c", str(job_of(probe, "x")["entrypoint"])]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == SETUP + place < 126
    assert (probe.folder / "shim.log").read_text().splitlines()[0] == "why"
