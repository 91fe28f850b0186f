"""A job that needs a chat's GPU asks whether the chat shall end; the machine's GPUs are played."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.chat.making_room import chats_in_the_way, holders, only_chats
from lfdash.engine.services import Services
from lfdash.jobs.resources import ResourceRequest
from lfdash.launchers.base import Launched
from lfdash.launchers.fake import FakeLauncher
from lfdash.outcomes import Problem
from lfdash.queue.turns import CachedDevices
from lfdash.runs.record import Handle, RunState
from lfdash.ui.form.state import Form
from lfdash.ui.shared.answers import SHOWN
from tests.support import app as pages
from tests.support.bench import Machine
from tests.support.runs import plan_for, record_for
from tests.support.runs_page import press
from tests.ui.launch.test_queue import asked_on

ONE = ResourceRequest(count=1)


@pytest.fixture
def gpus(services: Services) -> Services:
    """Two GPUs that nobody uses."""
    services.registry.dispatcher.cached_devices = CachedDevices(Machine(2).look, 0, services.registry.workspace)
    return services


def begin(services: Services, name: str, kind: str = "chat", request: ResourceRequest = ONE) -> None:
    """A run that has its devices."""
    plan = plan_for(services.workspace.root, name=name)
    record = replace(record_for(plan, "fake"), kind=kind)
    outcome = services.registry.launch(plan, record, request)
    assert isinstance(outcome, Launched), outcome
    launcher(services).begin(outcome.handle)
    services.registry.refresh()


def launcher(services: Services) -> FakeLauncher:
    found = services.registry.launchers.default
    assert isinstance(found, FakeLauncher)
    return found


def enqueue(services: Services, name: str, request: ResourceRequest) -> None:
    """A training in the queue."""
    plan = plan_for(services.workspace.root, name=name, cli=services.cli_path)
    services.registry.enqueue(plan, record_for(plan, "fake"), request)
    services.registry.refresh()


def state(services: Services, name: str) -> RunState:
    view = services.registry.get(f"id-{name}")
    assert view is not None
    return view.state


def end(services: Services, name: str) -> None:
    """The run does what it was asked: it ends."""
    view = services.registry.get(f"id-{name}")
    assert view is not None
    launcher(services).end(Handle(view.run_id, view.attempt, view.paths), -15)
    services.registry.refresh()


def shown(name: str) -> AppTest:
    app = pages.start()
    app.session_state[SHOWN] = f"id-{name}"
    return pages.good(app.run())


def keys(app: AppTest) -> set[str]:
    return {button.key or "" for button in app.button}


def test_names_are_taken_whole(gpus: Services) -> None:
    begin(gpus, "chat-1")
    begin(gpus, "chat-12", "train")
    views = gpus.registry.snapshot()
    assert chats_in_the_way(views, {"run": "chat-12"}) == () == only_chats(views, {"run": "chat-1, chat-12"})
    assert [view.name for view in chats_in_the_way(views, {"who": "GPU 0: chat-1; GPU 1: chat-12"})] == ["chat-1"]
    assert holders({"who": "GPU 0, 1: r1; GPU 3: python3 (pid 7, alice)"}) == {"r1", "python3 (pid 7, alice)"}


def test_start_asks_and_ends_the_chat(gpus: Services) -> None:
    begin(gpus, "chat-1", request=ResourceRequest(count=2))
    app = asked_on("pages/evaluate.py")
    assert "queue_end_chat" in keys(app) and state(gpus, "chat-1") is RunState.RUNNING  # nothing before the click
    with mock.patch.object(Form, "problems", return_value=(Problem("eval.dataset", "missing"),)):
        press(app, "queue_end_chat")  # nothing is queued, so nothing ends
    assert state(gpus, "chat-1") is RunState.RUNNING
    app = asked_on("pages/evaluate.py")
    with mock.patch.object(Form, "problems", return_value=()):
        press(app, "queue_end_chat")
    assert state(gpus, "chat-1") is RunState.STOPPING
    (entry,) = gpus.registry.queue.jobs.entries()
    assert entry.record.kind == "eval"


def test_what_makes_room_is_the_first_choice(gpus: Services) -> None:
    begin(gpus, "chat-1", request=ResourceRequest(count=2))
    for page in ("pages/evaluate.py", "pages/chat.py"):
        app = asked_on(page)
        asked = [button for button in app.button if (button.key or "").startswith("queue_")]
        assert [button.key for button in asked if button.proto.type == "primary"] == ["queue_end_chat"], page
        pages.good(app.button(key="queue_not").click().run())


def test_who_shares_it_with_a_training_is_not_asked(gpus: Services) -> None:
    begin(gpus, "chat-1")
    begin(gpus, "training", "train")
    assert "queue_end_chat" not in keys(asked_on("pages/evaluate.py"))


def test_a_job_that_waits_asks_on_its_own_page(gpus: Services) -> None:
    begin(gpus, "chat-1")
    begin(gpus, "chat-2")
    enqueue(gpus, "training", ResourceRequest(("1",)))
    assert state(gpus, "training") is RunState.QUEUED
    app = shown("training")
    said = " ".join(item.value for item in app.markdown)
    assert "chat-2" in said and "chat-1" not in said
    press(app, "chat_make_room")
    assert (state(gpus, "chat-1"), state(gpus, "chat-2")) == (RunState.RUNNING, RunState.STOPPING)
    assert "chat_make_room" not in keys(shown("training"))  # it was asked already
    gpus.registry.dispatcher.advance()
    assert state(gpus, "training") is RunState.QUEUED
    end(gpus, "chat-2")
    gpus.registry.dispatcher.advance()
    gpus.registry.refresh()
    view = gpus.registry.get("id-training")
    assert view is not None and view.waiting is None and view.record is not None
    assert view.record.last.devices == ("1",) and state(gpus, "chat-1") is RunState.RUNNING
