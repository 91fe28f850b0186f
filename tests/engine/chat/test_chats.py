"""Chats of the real llamafactory-cli on the demo's tiny model: how they are reached, asked and stopped, and end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import lfdash
from lfdash.engine.chat.asking import Prompt
from lfdash.engine.chat.client import Failed, Wire, ask
from lfdash.engine.chat.connection import Connection, connection_of, port_of
from lfdash.engine.chat.conversation import Conversation
from lfdash.engine.chat.keeper import Keeper
from lfdash.engine.chat.messages import Question, Said, Sampling
from lfdash.engine.chat_data import add_row, exported, prompts_of
from lfdash.engine.facade import Workspace
from lfdash.machine.sockets import LISTEN, sockets
from lfdash.outcomes import Refused
from lfdash.runs.paths import marker
from lfdash.runs.record import RunState
from lfdash.supervisor.processes import marked
from tests.support.chats import LOAD_S, SHORT, answered, begun, chat_workspace, reached, view_of
from tests.support.runs import wait_for

pytestmark = pytest.mark.train_env


@pytest.fixture(scope="module")
def workspace(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with the demo's model, watched as a dashboard does."""
    with chat_workspace(demo_workspace, tmp_path_factory.mktemp("chats") / "workspace") as found:
        yield found


@pytest.fixture(scope="module")
def chat(workspace: Workspace) -> lfdash.Run:
    """A chat that has loaded the base model."""
    run = begun(workspace)
    reached(workspace, run)
    return run


def test_it_listens_on_loopback_alone(workspace: Workspace, chat: lfdash.Run) -> None:
    connection = reached(workspace, chat)
    listening = [found for found in sockets(connection.port) if found.state == LISTEN]
    assert listening and all(found.loopback for found in listening)
    others = {
        item.address for items in psutil.net_if_addrs().values() for item in items
        if item.family == socket.AF_INET and not item.address.startswith("127.")
    }
    for address in others:
        with pytest.raises(OSError), socket.create_connection((address, connection.port), timeout=5):
            pass


@pytest.mark.parametrize("key", ["wrong", "x" * 32])
def test_nobody_is_answered_without_the_key(workspace: Workspace, chat: lfdash.Run, key: str) -> None:
    connection = reached(workspace, chat)
    stranger = Connection(connection.run_id, connection.attempt, connection.port, key)
    events = list(ask(stranger, Question((Said("user", "Hi"),)), Wire()))
    assert events == [Failed(401, "Invalid API key.")]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{connection.url}/models", timeout=10)


def test_the_key_is_its_owners_and_in_no_file_of_the_run(workspace: Workspace, chat: lfdash.Run) -> None:
    connection, view = reached(workspace, chat), view_of(workspace, chat)
    path = workspace.path / ".lfdash" / "keys" / f"{view.run_id}.{view.attempt}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.read_text() == connection.key
    for file in view.path.rglob("*"):
        assert not file.is_file() or connection.key.encode() not in file.read_bytes(), file
    assert connection.key not in workspace.services.registry.redact(f"x {connection.key}")


def test_prompts_are_not_in_its_log(workspace: Workspace, chat: lfdash.Run) -> None:
    answered(workspace, chat, "A prompt that nobody else shall read")
    assert "nobody else shall read" not in view_of(workspace, chat).paths.console.read_text()


def test_an_answer_is_kept_and_counted(workspace: Workspace, chat: lfdash.Run) -> None:
    talk = answered(workspace, chat, "How can I sleep better?", counted=True)
    (answer,) = talk.turns[0].answers
    assert answer.state == "done" and answer.prompt_tokens and answer.answer_tokens, answer
    assert answer.model == "demo-llama"
    read = workspace.services.chats.asking.store.load(talk.id)
    assert isinstance(read, Conversation) and read.turns == talk.turns


def test_another_dashboard_finds_it_and_asks(workspace: Workspace, chat: lfdash.Run) -> None:
    reached(workspace, chat)
    later = lfdash.open(workspace.path)
    later.look()
    found = connection_of(later.services.registry, later.services.registry.get(chat.id))
    assert isinstance(found, Connection), found
    assert answered(later, chat, "Add 2 and 3.").turns[0].answers[0].state == "done"
    assert found.key not in later.services.registry.redact(found.key)


def test_stop_ends_an_answer_and_the_next_is_given(workspace: Workspace, chat: lfdash.Run) -> None:
    asking = workspace.services.chats.asking
    talk = asking.store.new()
    endless = Sampling(temperature=1.5, max_tokens=1500)
    assert asking.ask(talk, [Prompt("Add 5 and 6.", sampling=endless)] * 20, [chat.id], counted=True) is None
    wait_for(lambda: chat.id in asking.busy())
    assert isinstance(asking.ask(talk, [Prompt("no")], [chat.id]), Refused)
    asking.stop(talk.id)
    assert asking.wait(talk.id, 30)
    found = asking.get(talk.id)
    assert isinstance(found, Conversation) and found.turns[-1].answers[0].state == "stopped"
    assert answered(workspace, chat, "Add 1 and 1.").turns[0].answers[0].state == "done"


def test_rows_of_a_dataset_are_asked_with_their_answers(workspace: Workspace) -> None:
    found = prompts_of(workspace.services, "data", "demo_sft", 3, SHORT)
    assert not isinstance(found, Refused) and len(found.prompts) == 3
    assert all(prompt.expected and prompt.alone for prompt in found.prompts)
    assert isinstance(prompts_of(workspace.services, "data", "no_such", 3, SHORT), Refused)


def test_an_answer_becomes_a_row_that_can_be_trained_on(workspace: Workspace, chat: lfdash.Run) -> None:
    talk = answered(workspace, chat, "What is a rake for?", counted=True)
    for _ in range(2):
        size = add_row(workspace.services, "good", talk, 0, chat.id)
        assert isinstance(size, int) and size > 0, size
    report = workspace.data("good", "sft")
    assert not isinstance(report, Refused) and not report.problems, report
    assert len((workspace.path / "data" / "good.jsonl").read_text().splitlines()) == 2
    assert isinstance(add_row(workspace.services, "demo_sft", talk, 0, chat.id), Refused)
    assert isinstance(add_row(workspace.services, "../x", talk, 0, chat.id), Refused)
    (line,) = exported(talk, talk.columns).splitlines()
    assert [turn["from"] for turn in json.loads(line)["conversations"]] == ["human", "gpt"]


def test_somebody_elses_port_gets_nothing(workspace: Workspace, chat: lfdash.Run) -> None:
    reached(workspace, chat)
    registry, view = workspace.services.registry, view_of(workspace, chat)
    port = port_of(view)
    assert port is not None and view.record is not None
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()
        env = {**view.record.last.env, "API_PORT": str(thief.getsockname()[1])}
        robbed = replace(view, record=view.record.with_last(env=env))
        found = connection_of(registry, robbed)
    assert isinstance(found, Refused) and found.code == "chat_port"


def test_a_chat_ends_when_nobody_asks(workspace: Workspace) -> None:
    run = begun(workspace)
    reached(workspace, run)
    clock = [0.0]
    keeper = Keeper(workspace.services.registry, set, lambda: 10, now=lambda: clock[0])
    keeper.look()
    assert answered(workspace, run, "Add 1 and 2.").turns[0].answers[0].state == "done"
    clock[0] = 700.0
    keeper.look()  # its log has grown: it was asked
    assert view_of(workspace, run).state is RunState.RUNNING
    wait_for(lambda: not any(found.state == "01" for found in sockets(reached(workspace, run).port)))
    clock[0] = 1400.0
    keeper.look()
    assert run.wait(60) is RunState.STOPPED
    talk = answered(workspace, run, "Add 2 and 2.", beside=True)  # a prompt loads it again
    assert talk.turns[0].answers[0].state == "done" and view_of(workspace, run).attempt == 2
    assert run.stop("term") is None and run.wait(60) is RunState.STOPPED


def test_a_chat_that_is_killed_cuts_its_answer(workspace: Workspace) -> None:
    run = begun(workspace)
    reached(workspace, run)
    asking, view = workspace.services.chats.asking, view_of(workspace, run)
    talk = asking.store.new()
    long = Sampling(temperature=1.5, max_tokens=1500)
    assert asking.ask(talk, [Prompt("Add 5 and 6.", sampling=long)], [run.id], counted=True) is None
    wait_for(lambda: run.id in asking.busy())
    for pid in marked(marker(view.paths, view.attempt)):
        os.kill(pid, signal.SIGKILL)
    assert asking.wait(talk.id, 60)
    found = asking.get(talk.id)
    assert isinstance(found, Conversation)
    assert found.turns[0].answers[0].code in ("chat_gone", "chat_broken"), found
    assert run.wait(60) is RunState.FAILED


def test_a_model_that_does_not_load_is_told(workspace: Workspace) -> None:
    broken = workspace.path / "models" / "broken"
    shutil.copytree(workspace.path / "models" / "demo-llama", broken)
    for file in broken.glob("*.safetensors"):
        file.write_bytes(b"no weights")
    run = begun(workspace, model_name_or_path="models/broken")
    asking = workspace.services.chats.asking
    talk = asking.store.new()
    assert asking.ask(talk, [Prompt("Hi", sampling=SHORT)], [run.id]) is None
    assert asking.wait(talk.id, LOAD_S)
    found = asking.get(talk.id)
    assert isinstance(found, Conversation)
    assert found.turns[0].answers[0].state == "failed", found
    assert run.wait(LOAD_S) is RunState.FAILED and run.diagnosis() is not None


def test_waiting_for_a_chat_can_be_given_up(workspace: Workspace) -> None:
    run = begun(workspace)
    stopped = threading.Event()
    stopped.set()
    found = workspace.services.chats.asking._bringing_up.connect(run.id, (), stopped)
    assert isinstance(found, Refused) and found.code == "chat_stopped"
    assert run.stop("kill") is None
    run.wait(60)
