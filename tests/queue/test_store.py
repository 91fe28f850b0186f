"""Waiting jobs as files: they come back as they were, and what is no job is left alone."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lfdash.files import Unreadable, as_record
from lfdash.jobs.resources import ResourceRequest
from lfdash.outcomes import Refused
from lfdash.queue import store
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


def deep(file: Path) -> None:
    file.write_text(file.read_text().replace('"held": null', '"held": ' + '{"a":' * 100_000 + "1" + "}" * 100_000))


def with_order(number: str) -> Callable[[Path], object]:
    def change(file: Path) -> None:
        file.write_text(re.sub(r'"order": [^,]*', f'"order": {number}', file.read_text()))

    return change


def as_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def as_folder(file: Path) -> None:
    file.unlink()
    (file / "in").mkdir(parents=True)


def as_link(file: Path) -> None:
    os.rename(file, file.with_name("target"))
    file.symlink_to("target")


def as_huge(file: Path) -> None:
    os.truncate(file, 2 << 30)


SPOILS: dict[str, Callable[[Path], object]] = {
    "brackets": lambda file: file.write_text("[" * 200_000),
    "deep": deep,
    "1e999": with_order("1e999"),
    "400 digits": with_order("9" * 400),
    "5000 digits": with_order("9" * 5000),
    "NaN": with_order("NaN"),
    "nothing": lambda file: file.write_text(""),
    "zeros": lambda file: file.write_bytes(bytes(4096)),
    "pipe": as_pipe,
    "folder": as_folder,
    "link": as_link,
    "huge": as_huge,
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", SPOILS)
def test_a_spoiled_file_is_said_and_put_aside(bench: Bench, kind: str) -> None:
    bench.registry.queue.set_settings(QueueSettings(paused=True))
    bench.add("a")
    bench.add("b")
    jobs = bench.registry.queue.jobs
    SPOILS[kind](jobs.file("id-a"))
    seen = QueueStore(jobs.folder).look()
    assert [entry.run_id for entry in seen.entries] == ["id-b"]
    (spoiled,) = seen.unreadable
    assert spoiled.file == "id-a.job.json" and spoiled.reason
    bench.registry.queue.set_settings(QueueSettings())
    bench.tick()
    assert bench.states == {"b": "RUNNING"}
    assert bench.registry.queue.put_aside("id-a.job.json") is None
    assert jobs.look().unreadable == () and os.path.lexists(jobs.folder / "id-a.job.json.unreadable")
    assert bench.registry.queue.put_aside("id-a.job.json") == Refused("not_waiting")
    assert bench.registry.queue.put_aside("id-b.job.json") == Refused("not_waiting")


def test_nothing_starts_while_the_settings_cannot_be_read(bench: Bench) -> None:
    """They may say that the queue is paused."""
    bench.registry.queue.set_settings(QueueSettings(paused=True))
    bench.add("a")
    jobs = bench.registry.queue.jobs
    (jobs.folder / "settings.json").write_text("{")
    bench.tick()
    assert bench.states == {"a": "QUEUED"}
    assert [spoiled.file for spoiled in jobs.look().unreadable] == ["settings.json"]
    assert bench.registry.queue.put_aside("settings.json") is None
    bench.tick()
    assert bench.states == {"a": "RUNNING"}


def failing(name: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every read of one file fails for now."""
    really = os.open

    def open_(path: Any, *args: Any, **more: Any) -> int:
        if str(path).endswith(name):
            raise OSError(number, os.strerror(number))
        return really(path, *args, **more)

    monkeypatch.setattr(os, "open", open_)


def test_one_read_that_fails_changes_nothing_for_long(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.registry.queue.set_settings(QueueSettings(paused=True, slots=3))
    bench.add("a")
    jobs = bench.registry.queue.jobs
    settings = jobs.settings()
    with monkeypatch.context() as patch:
        failing("settings.json", errno.EIO, patch)
        os.utime(jobs.folder / "settings.json")
        assert jobs.settings() == settings  # what was known
        assert QueueStore(jobs.folder).settings().paused  # nothing was
        failing("id-a.job.json", errno.EIO, patch)
        assert [entry.run_id for entry in jobs.entries()] == ["id-a"]  # the file is as it was read before
        fresh = QueueStore(jobs.folder)
        assert fresh.look().entries == () and len(fresh.look().unreadable) == 2
    assert [entry.run_id for entry in fresh.entries()] == ["id-a"] and fresh.look().unreadable == ()


def test_a_folder_that_cannot_be_listed_is_not_empty(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.add("a")
    jobs = bench.registry.queue.jobs

    def fail(_path: object) -> list[str]:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(store.os, "listdir", fail)
        seen = jobs.look()
        assert [entry.run_id for entry in seen.entries] == ["id-a"] and seen.failure == "Stale file handle"
    assert jobs.look().failure == ""


def test_a_job_comes_back_from_its_file_as_it_was(workspace: Path) -> None:
    plan = plan_for(workspace, secrets=("A",), env={"B": "c"})
    entry = QueueEntry(plan, record_for(plan), ResourceRequest(("1",)), 2.5, 7.0, Reason("x", {"y": "z"}))
    assert QueueEntry.from_json(entry.to_json()) == entry
    jobs = QueueStore(workspace / "q")
    jobs.write(entry)
    assert QueueStore(workspace / "q").entries() == (entry,)
    assert as_record(LaunchPlan, json.loads(json.dumps(entry.plan.__dict__)), "it") == plan


def test_a_setting_is_changed_and_the_others_stay_or_nothing_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that has just begun knows nothing of the settings where they fail to be read."""
    kept = QueueSettings(slots=7, hold_on_failure=True)
    folder = tmp_path / "queue"
    QueueStore(folder).set_settings(kept)
    fresh = QueueStore(folder)
    with monkeypatch.context() as broken:
        broken.setattr(store, "read_json_file", lambda *_, **__: Unreadable("too many open files", errno.EMFILE))
        assert fresh.settings() == QueueSettings(paused=True)
        with pytest.raises(OSError, match="too many"):
            fresh.change_settings({"paused": False})
    assert fresh.settings() == kept
    fresh.change_settings({"paused": True})
    assert fresh.settings() == QueueSettings(slots=7, paused=True, hold_on_failure=True)
    (folder / "settings.json").write_text("spoiled")
    fresh.change_settings({"slots": 3})
    assert fresh.settings() == QueueSettings(slots=3)
