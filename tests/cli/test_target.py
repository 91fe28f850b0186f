"""`--target NAME`: the commands that take a configuration give its job to a cluster."""

from __future__ import annotations

from pathlib import Path

from lfdash.targets.store import TargetStore
from lfdash.targets.target import Target
from tests.cli.test_check import job
from tests.support.terminal import DEMO, lfdash


def test_the_preview_is_the_batch_script_and_a_file_can_be_taken_back_to_this_machine(
    workspace: Path, tmp_path: Path
) -> None:
    assert TargetStore(workspace / ".lfdash").put(Target("lab", "slurm", partition="gpu"), None) is None
    said = lfdash("preview", job(tmp_path), "--target", "lab")
    assert said.code == 0 and "#SBATCH --partition=gpu" in said.out
    assert "#SBATCH --partition=gpu" in lfdash("preview", job(tmp_path), "--target", "lab", "--json").json["script"]
    file = tmp_path / "on_lab.yaml"
    file.write_text("# environment: LFDASH_TARGET=lab\n\n" + job(tmp_path).read_text())
    assert "#SBATCH" in lfdash("preview", file).out
    assert "#SBATCH" not in lfdash("preview", file, "--target", "").out


def test_a_target_that_is_not_there_is_a_problem(workspace: Path) -> None:
    said = lfdash("check", DEMO, "--target", "gone", "--json")
    (problem,) = [one for one in said.json["problems"] if one["code"] == "target_gone"]
    assert said.code == 1 and problem["argument"] == "LFDASH_TARGET" and "gone" in problem["message"]
    for command in ("start", "queue"):
        assert lfdash(command, DEMO, "--target", "gone", "--json").json["refused"] == "problems"
    assert not (workspace / "saves").exists() or not list((workspace / "saves").iterdir())
