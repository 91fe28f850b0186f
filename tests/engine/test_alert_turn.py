"""Whoever has the right to send keeps it, and the others can say who that is."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfdash.engine import alert_turn
from lfdash.engine.alert_turn import OVERDUE_S, Elsewhere, Turn
from lfdash.engine.alert_words import elsewhere_in
from lfdash.runs.alerts.alert import Alert
from lfdash.workspace.alert_store import AlertStore
from tests.support.runs import wait_for

HOLDS = """
import sys, time
from pathlib import Path
from lfdash.engine.alert_turn import Turn
from lfdash.workspace.alert_store import AlertStore
turn = Turn(AlertStore(Path(sys.argv[1])))
print(turn.hold(), flush=True)
sys.stdin.read()
turn.release()
"""


@pytest.fixture
def store(tmp_path: Path) -> AlertStore:
    return AlertStore(tmp_path)


@pytest.fixture
def other(store: AlertStore) -> Iterator[subprocess.Popen[str]]:
    """A process that has the right to send."""
    command = [sys.executable, "-c", HOLDS, str(store.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "True\n"
        yield process
        process.kill()


def alert(run: str, age: float = 0.0) -> Alert:
    return Alert("nan", f"id-{run}", run, 1, "", 12, time.time() - age, {})


def test_a_process_that_is_stopped_keeps_the_right_and_the_others_say_who_it_is(
    store: AlertStore, other: subprocess.Popen[str]
) -> None:
    turn = Turn(store)
    os.kill(other.pid, signal.SIGSTOP)
    store.put(alert("r1"))
    for _ in range(2):
        found = turn.elsewhere()
        assert found is not None and found.since is not None and abs(found.since - time.time()) < 60
        assert (found.host, found.pid, found.waiting, found.is_overdue) == (socket.gethostname(), other.pid, 1, False)
        assert not turn.hold(), "nobody takes it away"
    store.put(alert("r2", OVERDUE_S + 1))
    found = turn.elsewhere()
    assert found is not None and (found.waiting, found.is_overdue) == (2, True)
    said = elsewhere_in("en", found)
    assert f"process {other.pid} on {socket.gethostname()}" in said and "to be sent: 2. They should have" in said
    other.kill()
    wait_for(lambda: turn.elsewhere() is None)
    assert turn.hold() and turn.elsewhere() is None
    assert json.loads((store.folder / "sender.json").read_text())["pid"] == os.getpid()
    turn.release()


def test_who_lets_another_one_send_does_not_say_so_any_more(store: AlertStore) -> None:
    first, second = Turn(store), Turn(store)
    assert first.elsewhere() is None, "nobody has it"
    assert first.hold() and first.elsewhere() is None and second.elsewhere() is not None
    first.release()
    assert second.elsewhere() is None and os.listdir(store.folder) == ["sender.lock"]


def test_of_whom_the_disk_took_no_note_nobody_else_is_told(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Turn(store), Turn(store)
    (store.folder / "sender.json").write_text('{"host": "gone", "pid": 7, "since": 1}')

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(alert_turn, "write_text_atomic", full)
    assert first.hold() and second.elsewhere() == Elsewhere()
    assert "which one is not known" in elsewhere_in("en", Elsewhere())
    first.release()


@pytest.mark.parametrize("text", ["{", "[]", '{"host": 1, "pid": "x"}', '{"host": "h", "pid": true}'])
def test_a_spoiled_note_is_not_believed(store: AlertStore, text: str) -> None:
    first, second = Turn(store), Turn(store)
    assert first.hold()
    (store.folder / "sender.json").write_text(text)
    assert second.elsewhere() == Elsewhere()
    first.release()
