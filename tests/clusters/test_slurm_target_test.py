"""*Test this target* on a real Slurm: what is found, what is said where nothing can be, and nothing stays behind."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfdash.engine import target_tests
from lfdash.engine.target_facts import TargetResult
from lfdash.engine.target_tests import TargetTests
from lfdash.launchers import slurm_probe
from lfdash.launchers.asking import CallError
from lfdash.launchers.slurm_calls import Calls
from lfdash.launchers.target_probe import FOLDER, named_probe
from lfdash.supervisor.target_probe import LOCK
from lfdash.targets.target import Target
from tests.support.clusters.slurm import SlurmCluster, until
from tests.support.runs import fake_cli

pytestmark = pytest.mark.clusters


@pytest.fixture
def tests(workspace: Path, tmp_path: Path) -> Iterator[TargetTests]:
    made = TargetTests(workspace, lambda: fake_cli(tmp_path))
    yield made
    made.close()


def target_on(cluster: SlurmCluster, **more: Any) -> Target:
    lab = Target("lab", "slurm", slurm_conf=str(cluster.conf), python=sys.executable, gpus=0, memory="200M")
    return replace(lab, **more)


def finished(tests: TargetTests, target: Target, seconds: float = 60) -> TargetResult:
    """The result of a test that is begun now."""
    tests.files.forget(target.name)
    tests.start(target)
    assert until(lambda: tests.going(target.name) is None and tests.last(target.name), seconds), tests.going("lab")
    result = tests.last(target.name)
    assert result is not None
    return result


def nothing_stays(workspace: Path, cluster: SlurmCluster) -> bool:
    live = cluster.jobs("-t", "pending,running,suspended,configuring")
    return not (workspace / FOLDER).exists() and not [name for _, _, name in live if name.startswith("lfdash-test-")]


def test_what_is_there_is_found(tests: TargetTests, cluster: SlurmCluster, workspace: Path) -> None:
    target = target_on(cluster, cpus=2)
    result = finished(tests, target)
    facts = result.facts
    assert facts is not None and result.failure is None and result.is_of(target), result.failure
    assert facts.packages is not None and {"llamafactory", "torch", "transformers"} <= set(facts.packages)
    assert facts.error == "" and facts.gpus == () and facts.bf16 is None and facts.python.startswith("3.")
    assert facts.locks == "seen" and facts.memory == 200 << 20 and facts.disk > 1 << 20 and facts.host
    assert facts.clock is not None and facts.clock[0] <= 0 <= facts.clock[1]
    assert tests.facts(target) == facts and tests.facts(replace(target, partition="short")) is None
    assert until(lambda: nothing_stays(workspace, cluster), 20)


@pytest.mark.parametrize(("more", "code"), [
    ({"workspace": "/nowhere/else"}, "unseen"),
    ({"python": "/no/such/python"}, "python"),
    ({"modules": ("no-such-module",)}, "modules"),
    ({"setup": ("true", "echo no env >&2; false")}, "setup"),
    ({"partition": "none"}, "not_begun"),
])
def test_what_is_wrong_is_told(
    tests: TargetTests, cluster: SlurmCluster, workspace: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any],
    code: str,
) -> None:
    monkeypatch.setattr(target_tests, "SETTLE_S", 1.0)
    result = finished(tests, target_on(cluster, **more))
    assert result.facts is None and result.failure is not None and result.failure.code == code, result
    assert until(lambda: nothing_stays(workspace, cluster), 20)


def test_a_line_of_the_setup_that_fails_is_named(
    tests: TargetTests, cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target_tests, "SETTLE_S", 1.0)
    result = finished(tests, target_on(cluster, setup=("true", "echo no lf >&2; conda_activate lf")))
    assert result.failure is not None and result.failure.code == "setup"
    assert result.failure.params["line"] == "echo no lf >&2; conda_activate lf"
    assert "conda_activate: command not found" in result.failure.params["reason"]


def test_a_cli_is_found_by_what_the_setup_makes_of_path(
    tests: TargetTests, cluster: SlurmCluster, tmp_path: Path
) -> None:
    """As `conda activate` does."""
    folder = Path(fake_cli(tmp_path)).parent
    (tmp_path / "env.sh").write_text(f'activate() {{ export PATH="{folder}:$PATH"; }}\n')
    target = target_on(cluster, cli="llamafactory-cli", setup=(f"source {tmp_path}/env.sh", "activate"))
    facts = finished(tests, target).facts
    assert facts is not None and facts.cli == str(folder / "llamafactory-cli")
    assert tests.facts(target) == facts and tests.facts(replace(target, setup=("true",))) is None


def test_a_cli_that_is_not_there_is_told_beside_what_is(tests: TargetTests, cluster: SlurmCluster) -> None:
    facts = finished(tests, target_on(cluster, cli="no-such-cli", python=sys.executable)).facts
    assert facts is not None and facts.cli == "" and "no-such-cli" in facts.error and facts.packages is None


def test_one_that_waits_says_why_and_is_called_off(
    tests: TargetTests, cluster: SlurmCluster, workspace: Path
) -> None:
    for name in ("n1", "n2"):
        cluster.call("scontrol", "update", f"nodename={name}", "state=drain", "reason=test")
    target = target_on(cluster)
    tests.start(target)

    def waits() -> bool:
        going = tests.going("lab")
        return going is not None and going[1].name == "wait" and going[1].seen.word == "PENDING" and bool(
            going[1].seen.reason)

    assert until(waits, 30), tests.going("lab")
    tests.cancel("lab")
    assert tests.going("lab") is None
    assert until(lambda: nothing_stays(workspace, cluster), 30)
    assert tests.last("lab") is None


def test_one_that_waits_too_long_ends_with_a_word(
    tests: TargetTests, cluster: SlurmCluster, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target_tests, "WAIT_S", 4.0)
    for name in ("n1", "n2"):
        cluster.call("scontrol", "update", f"nodename={name}", "state=drain", "reason=test")
    result = finished(tests, target_on(cluster))
    assert result.failure is not None and result.failure.code == "waited" and result.failure.params["reason"] != "?"
    assert nothing_stays(workspace, cluster)


def test_what_a_dashboard_left_is_tidied_up(tests: TargetTests, cluster: SlurmCluster, workspace: Path) -> None:
    """Killed between the submission and the end of its test: here its folder and its job, and nobody who waits."""
    for name in ("n1", "n2"):
        cluster.call("scontrol", "update", f"nodename={name}", "state=drain", "reason=test")
    target = target_on(cluster)
    left = named_probe(workspace, target, "llamafactory-cli", "test-0123456789ab")
    os.close(left.make())
    slurm_probe.SlurmProbe(left).submit()
    assert (left.folder / LOCK).exists() and not nothing_stays(workspace, cluster)
    tests.start(target)
    assert until(lambda: not left.root.exists(), 30)
    assert "lfdash-test-0123456789ab-1" not in [name for _, state, name in cluster.jobs() if state == "PENDING"]


def test_a_submission_without_an_answer_leaves_no_job(
    tests: TargetTests, cluster: SlurmCluster, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sbatch has taken the job, and its answer is lost."""
    submit = Calls.submit

    def lost(calls: Calls, script: str, comment: str, more: dict[str, str], seconds: float = 20) -> str:
        submit(calls, script, comment, more, seconds)
        raise CallError("sbatch did not answer within 20 s", silent=True)

    monkeypatch.setattr(Calls, "submit", lost)
    for name in ("n1", "n2"):
        cluster.call("scontrol", "update", f"nodename={name}", "state=drain", "reason=test")
    result = finished(tests, target_on(cluster))
    assert result.failure is not None and result.failure.code == "not_begun"
    assert until(lambda: nothing_stays(workspace, cluster), 20) and shutil.which("sbatch")
