"""Every small file of a workspace is spoiled, each in turn, and all at once: the dashboard starts, and starts jobs."""

from __future__ import annotations

import json
import os
import shutil
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.probe import stem
from lfdash.queue.store import QueueSettings, QueueStore
from lfdash.runs.record import RunState
from tests.faults.dashboards import Zygote
from tests.faults.runs import becomes, new, over, starts
from tests.faults.table import Row, fault
from tests.security.conftest import free_port
from tests.support.runs import fake_cli, launch, plan_for, record_for, wait_for

JOB = ".lfdash/queue/id-bad.job.json"
FILES = (
    JOB, ".lfdash/elsewhere/id-bad", ".lfdash/trash/.origins/bad.json", ".lfdash/settings.json",
    ".lfdash/draft-train.json", ".lfdash/summaries.json", ".lfdash/id", "saves/m/lora/done/notes.json",
    "configs/bad.yaml", f".lfdash/{stem(Cli('', sys.executable))}-1.json",  # what was found of LLaMA-Factory
)


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 2 << 30)


def without_rights(path: Path) -> None:
    path.write_text("{}")
    path.chmod(0)


KINDS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "huge": huge,
    "folder": lambda path: (path / "in").mkdir(parents=True),
    "rights": without_rights,
    "brackets": lambda path: path.write_text("[" * 200_000),
    "digits": lambda path: path.write_text('{"version": ' + "9" * 400 + "}"),
    "bytes": lambda path: path.write_bytes(b"\xff\xfe{"),
    "link to nowhere": lambda path: path.symlink_to("/none"),
    "link to zeros": lambda path: path.symlink_to("/dev/zero"),
}


def prepare(workspace: Path) -> None:
    """A run that is over, and a job that waits."""
    registry = new(workspace)
    cli = fake_cli(workspace.parent)
    launch(registry, plan_for(workspace, name="done", cli=cli))
    over(registry)
    registry.queue.set_settings(QueueSettings(paused=True))
    plan = plan_for(workspace, name="good", cli=cli, steps=2)
    registry.enqueue(plan, record_for(plan))
    registry.queue.set_settings(QueueSettings())


def spoil(workspace: Path, kind: str) -> None:
    for name in FILES:
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        KINDS[kind](path)


def answers(port: int) -> bool:
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).status == 200)
    except OSError:
        return False


@pytest.mark.timeout(90)
@pytest.mark.parametrize("kind", KINDS)
@fault(
    "files of ours are spoiled", how="queue, trash, settings, draft, summaries, notes, configurations, all at once",
    expected="the server starts and answers, the job that waits runs, what cannot be read is told and left",
)
def test_spoiled_files(zygote: Zygote, workspace: Path, row: Row, kind: str) -> None:
    prepare(workspace)
    spoil(workspace, kind)
    port = free_port()
    dash = zygote.dashboard(workspace, port=port, humble=True)
    try:
        assert dash.wait("up", 20)["found"]["done"] == "SUCCEEDED"
        watcher = new(workspace)
        assert starts(becomes(watcher, RunState.SUCCEEDED, "id-good").paths) == 1
        wait_for(lambda: answers(port), 30)
    finally:
        dash.kill()  # one that reads zeros fills the memory
    assert "Traceback" not in Path(f"{dash.report}.err").read_text()
    assert os.path.lexists(workspace / JOB), "left where it was"
    spoiled = {file.file for file in QueueStore(workspace / ".lfdash" / "queue").look().unreadable}
    assert kind == "rights" or spoiled == {"id-bad.job.json"}, "the superuser reads what has no rights"
    row.note("the server is up, the job ran once, the file is told", inputs=len(FILES))


@pytest.mark.timeout(60)
@fault(
    "a workspace from somebody else", how="its trash names folders outside, its queue a program",
    expected="nothing outside is moved or deleted",
)
def test_a_workspace_from_somebody_else(zygote: Zygote, workspace: Path, row: Row) -> None:
    prepare(workspace)
    thesis = workspace.parent / "thesis"
    thesis.mkdir()
    (thesis / "years.txt").write_text("work")
    origins = workspace / ".lfdash" / "trash" / ".origins"
    origins.mkdir(parents=True, exist_ok=True)
    note = {"version": 1, "run_id": "id-x", "title": "old", "discarded": 1.0, "origin": "saves/old"}
    (origins / "thesis.json").write_text(json.dumps(note | {"place": "../thesis"}))
    (workspace / ".lfdash" / "trash" / ".gone.x").symlink_to(thesis)
    dash = zygote.dashboard(workspace)
    dash.wait("up")
    becomes(new(workspace), RunState.SUCCEEDED, "id-good")
    registry = new(workspace)
    assert registry.archive.empty_trash(["thesis"]).freed == 0  # type: ignore[union-attr]
    dash.kill()
    assert (thesis / "years.txt").read_text() == "work"
    shutil.rmtree(thesis)
    row.note("the folder outside is as it was", inputs=2)
