"""What is said of a run that failed, and the bundle for whoever is asked about it."""

from __future__ import annotations

import io
import json
import zipfile

from lfdash.runs.record import RunState
from lfdash.runs.report import bundle, explain
from lfdash.runs.view import RunView
from tests.support import FIXTURES
from tests.support.world import World

FAILURE = (FIXTURES / "console" / "failed_bad_dataset.txt").read_text(encoding="utf-8")


def failed(world: World, console: str) -> RunView:
    """A run that failed after it printed this."""
    handle = world.add("r1")
    handle.paths.console.write_text(console, encoding="utf-8")
    world.fake.end(handle, 1)
    (view,) = world.scan()
    assert view.state is RunState.FAILED
    return view


def test_the_cause_is_what_this_attempt_printed(world: World) -> None:
    view = failed(world, FAILURE)
    found = explain(view)
    assert found is not None and (found.id, found.params["what"]) == ("unknown_dataset", "nope")
    spec = view.paths.attempt(1).spec
    spec.write_text(json.dumps({"console_start": len(FAILURE.encode())}))
    (again,) = World(world.workspace).scan()
    assert explain(again) is None, "it is the attempt before that printed it"


def test_a_cause_that_nobody_printed_is_taken_from_how_it_ended(world: World) -> None:
    view = failed(world, "")
    ended = json.loads(view.paths.exit.read_text())
    view.paths.exit.write_text(json.dumps({**ended, "error": "OSError: [Errno 28] No space left on device"}))
    found = explain(World(world.workspace).scan()[0])
    assert found is not None and found.id == "disk_full"


def test_a_run_that_was_killed_is_told_by_its_exit_code(world: World) -> None:
    handle = world.add("r1")
    handle.paths.console.write_text("[WARNING|a] FlashAttention-2 is not installed.\n{'loss': '6.7'}\n")
    world.fake.end(handle, -9)
    found = explain(world.scan()[0])
    assert found is not None and (found.id, found.line) == ("host_memory", "SIGKILL")


def test_a_bundle_has_records_and_logs_without_secrets_and_weights(world: World) -> None:
    view = failed(world, f"token hunter2\n{FAILURE}")
    (view.path / "adapter_model.safetensors").write_bytes(b"weights")
    content = bundle(view, {"b": "2", "a": "1"}, lambda text: text.replace("hunter2", "***"))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert set(texts) == {"run.json", "training_args.yaml", "exit.json", "console.log", "summary.json"}
    assert texts["console.log"].startswith("token ***\n") and "hunter2" not in "".join(texts.values())
    summary = json.loads(texts["summary.json"])
    assert (summary["run"], summary["state"], summary["exit_code"]) == ("r1", "FAILED", 1)
    assert summary["cause"]["id"] == "unknown_dataset" and summary["packages"] == {"a": "1", "b": "2"}
