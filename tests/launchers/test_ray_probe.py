"""What Ray is sent for *Test this target*, and what is made of its answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lfdash.launchers.ray_calls import Calls, Job
from lfdash.launchers.ray_jobs import RayJobs, Snapshot
from lfdash.launchers.ray_probe import RayProbe, job_of
from lfdash.launchers.scheduled import write_supervisor
from lfdash.launchers.target_probe import Probe, Seen, named_probe
from lfdash.supervisor.target_probe import PYTHON, REPORT, UNSEEN
from lfdash.targets import allowed
from lfdash.targets.target import Target
from tests.support.runs import fake_cli

POOL = Target("pool", "ray", address="http://head:8265", python=sys.executable)
NAME = "test-0123456789ab"


def probe_of(workspace: Path, **more: Any) -> Probe:
    return named_probe(workspace, Target("pool", "ray", **{"address": "http://head:8265", **more}), "cli", NAME)


def test_it_asks_for_what_the_jobs_of_the_target_get(tmp_path: Path) -> None:
    """On one node, and never for nothing: what asks for no GPU sees all."""
    plain = job_of(probe_of(tmp_path), "x")
    assert (plain["entrypoint_num_cpus"], plain["entrypoint_num_gpus"]) == (1, 1)
    whole = job_of(probe_of(tmp_path, cpus=8, gpus=4, memory="2G", nodes=3, save_s=600, env={"A": "b c"}), "x")
    assert whole["submission_id"] == "x" and (whole["entrypoint_num_cpus"], whole["entrypoint_num_gpus"]) == (8, 4)
    assert whole["entrypoint_memory"] == 2 << 30
    assert whole["runtime_env"]["env_vars"] == {"RAY_JOB_STOP_WAIT_TIME_S": "10"}
    assert "export A='b c'\n" in whole["entrypoint"] and "ray_nodes" not in whole["entrypoint"]
    none = job_of(probe_of(tmp_path, gpus=0), "x")
    assert none["entrypoint_num_gpus"] == 0 and "export CUDA_VISIBLE_DEVICES=''\n" in none["entrypoint"]


def ended(text: str) -> int:
    """The exit code of a shell text, as Ray runs it."""
    return subprocess.run(["/bin/sh", "-c", text], stdin=subprocess.DEVNULL, timeout=60, check=False).returncode


def test_its_shell_says_what_is_missing(workspace: Path, tmp_path: Path) -> None:
    cli = fake_cli(tmp_path)
    probe = named_probe(workspace, POOL, cli, NAME)
    assert ended(str(job_of(probe, "x")["entrypoint"])) == UNSEEN
    descriptor = probe.make()
    write_supervisor(workspace)
    try:
        wrong = named_probe(workspace, Target("pool", "ray", address="http://h", python="/no/python"), cli, NAME)
        assert ended(str(job_of(wrong, "x")["entrypoint"])) == PYTHON
        (probe.folder / "answer.json").write_text('{"time": 1.0}')
        assert ended(str(job_of(probe, "x")["entrypoint"])) == 0
        report = json.loads((probe.folder / REPORT).read_text())
        assert report["done"] is True and report["locks"] == "seen"
    finally:
        os.close(descriptor)


class Ray(RayJobs):
    """A cluster that is told what to say."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls)
        self.says: Snapshot | None = None

    def look(self) -> Snapshot | None:
        return self.says

    def hurry(self) -> None:
        """Nothing."""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[RayProbe, Ray, list[float]]:
    """A probe that was submitted at 10, its cluster, and the clock."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    now, clusters = [10.0], []

    def of(calls: Calls) -> Ray:
        clusters.append(Ray(calls))
        return clusters[0]

    monkeypatch.setattr(Calls, "submit", lambda *_: True)
    probe = RayProbe(named_probe(tmp_path, POOL, "cli", NAME), of, lambda: now[0])
    probe.submit()
    return probe, clusters[0], now


def says(ray: Ray, word: str, reason: str = "", began: float = 11.0) -> None:
    job = f"lfdash-{NAME}-1"
    ray.says = Snapshot(began, {job: Job(job, word, reason)} if word else {})


def test_what_is_seen_of_it(made: tuple[RayProbe, Ray, list[float]], monkeypatch: pytest.MonkeyPatch) -> None:
    probe, ray, _ = made
    ray.failure = "no route"
    assert probe.look() == Seen(silent="no route")
    says(ray, "", began=9.0)
    assert not probe.look().over  # of before
    says(ray, "PENDING", "waits for resources")
    assert probe.look() == Seen("PENDING", "waits for resources")
    says(ray, "RUNNING")
    assert probe.look() == Seen("RUNNING", waits=False)
    for answer, code in (({"driver_exit_code": 71}, 71), ({"driver_exit_code": "71"}, None), ([], None)):
        monkeypatch.setattr(Calls, "request", lambda *_, answer=answer: (200, json.dumps(answer)))
        says(ray, "FAILED", "failed")
        assert probe.look() == Seen("FAILED", "failed", waits=False, over=True, code=code)
    says(ray, "")
    assert probe.look().over


def test_one_that_waits_and_is_canceled_is_over(
    made: tuple[RayProbe, Ray, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray takes nothing back that waits: it will see that its folder is gone."""
    probe, ray, _ = made
    stopped: list[str] = []
    monkeypatch.setattr(Calls, "stop", lambda _, job: stopped.append(job))
    says(ray, "PENDING")
    assert not probe.look().over
    probe.cancel()
    assert probe.look().over and stopped == [f"lfdash-{NAME}-1"]
    says(ray, "RUNNING")
    assert not probe.look().over


def test_a_token_is_sent_from_now_on_to_that_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(allowed, "ALLOWED", set())
    sent: list[Mapping[str, Any]] = []
    monkeypatch.setattr(Calls, "submit", lambda _, body: bool(sent.append(body)))
    target = Target("pool", "ray", address="http://head:1", token_file="/t")
    probe = RayProbe(named_probe(tmp_path, target, "cli", NAME), Ray)
    assert not allowed.is_allowed("token", "http://head:1", "/t")
    probe.submit()
    assert allowed.is_allowed("token", "http://head:1", "/t")
    assert not allowed.is_allowed("token", "http://other:1", "/t")
    assert [body["submission_id"] for body in sent] == [f"lfdash-{NAME}-1"]
