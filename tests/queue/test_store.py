"""Waiting jobs as files: they come back as they were, and what is no job is left alone."""

from __future__ import annotations

import json
from pathlib import Path

from lfdash.files import as_record
from lfdash.jobs.resources import ResourceRequest
from lfdash.queue.store import QueueEntry, QueueSettings, QueueStore
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.view import Reason
from tests.support.bench import Bench
from tests.support.runs import plan_for, record_for


def test_broken_and_foreign_files_are_left_alone(bench: Bench) -> None:
    bench.add("a")
    folder_ = bench.registry.workspace / ".lfdash" / "queue"
    good = (folder_ / "id-a.job.json").read_text()
    for name, text in {
        "x": "", "y": "[]", "z": "{", "v": good.replace('"version": 1', '"version": 9'), "other": good,
    }.items():
        (folder_ / f"{name}.job.json").write_text(text)
    (folder_ / "bin.job.json").write_bytes(b"\xff\xfe")
    (folder_ / "settings.json").write_text('{"slots": "many", "paused": 1}')
    assert [entry.run_id for entry in bench.registry.queue.jobs.entries()] == ["id-a"]
    assert bench.registry.queue.jobs.settings() == QueueSettings()
    bench.tick()
    assert bench.states == {"a": "RUNNING"}
    assert len(list(folder_.glob("*.job.json"))) == 6


def test_a_job_comes_back_from_its_file_as_it_was(workspace: Path) -> None:
    plan = plan_for(workspace, secrets=("A",), env={"B": "c"})
    entry = QueueEntry(plan, record_for(plan), ResourceRequest(("1",)), 2.5, 7.0, Reason("x", {"y": "z"}))
    assert QueueEntry.from_json(entry.to_json()) == entry
    jobs = QueueStore(workspace / "q")
    jobs.write(entry)
    assert QueueStore(workspace / "q").entries() == (entry,)
    assert as_record(LaunchPlan, json.loads(json.dumps(entry.plan.__dict__)), "it") == plan
