"""How a chat that is over is brought up beside others that want it, or its device, too. The registry is played."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from lfdash.engine.chat import bringing_up as module
from lfdash.engine.chat.bringing_up import BringingUp
from lfdash.engine.chat.connection import Connection
from lfdash.outcomes import Refused
from lfdash.runs.record import RunState

RUN = "0123456789ab"
THERE = Connection(RUN, 1, 1, "key")


def bringing_up(
    monkeypatch: pytest.MonkeyPatch, answers: list[Refused], becomes: list[Connection | Refused]
) -> BringingUp:
    """Of a chat that is over. answers: what its starts are refused by. becomes: how it is reached, look by look."""
    view = SimpleNamespace(state=RunState.STOPPED, waiting=None, name="chat", run_id=RUN)
    registry = SimpleNamespace(get=lambda run_id: view, launch=lambda *args, **named: answers.pop(0))
    monkeypatch.setattr(module, "connection_of", lambda *args: becomes.pop(0) if len(becomes) > 1 else becomes[0])
    monkeypatch.setattr(module, "prepare_again", lambda *args: ())
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    return BringingUp(registry, Path("/nowhere"), lambda: "llamafactory-cli", lambda: None)  # type: ignore[arg-type]


def test_a_chat_that_another_dashboard_has_started_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    over = Refused("chat_over")
    found = bringing_up(monkeypatch, [Refused("runs_already", {"run": "chat"})], [over, THERE])
    assert found.connect(RUN, [], threading.Event()) == THERE


def test_a_start_that_nobody_sees_is_told_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "UNSEEN_S", 0.0)
    refused = Refused("runs_already", {"run": "chat"})
    assert bringing_up(monkeypatch, [refused], [Refused("chat_over")]).connect(RUN, [], threading.Event()) == refused


def test_a_device_that_another_run_has_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    why = {"code": "turn", "run": "training"}
    found = bringing_up(monkeypatch, [Refused("busy", why)], [Refused("chat_over")])
    assert found.connect(RUN, [RUN], threading.Event()) == Refused("chat_no_room", why)
