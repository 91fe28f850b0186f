"""Chats of the real llamafactory-cli on the demo's tiny model: begun, reached and asked as the page does."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lfdash
from lfdash.engine.chat.asking import Prompt
from lfdash.engine.chat.connection import Connection, connection_of
from lfdash.engine.chat.conversation import Answer, Conversation
from lfdash.engine.chat.messages import Sampling
from lfdash.engine.facade import Workspace
from lfdash.engine.services import Services
from lfdash.outcomes import Refused
from lfdash.runs.paths import marker
from lfdash.runs.view import RunView
from lfdash.supervisor.processes import marked
from tests.support.runs import wait_for
from tests.support.terminal import end_runs

MODEL = {"model_name_or_path": "models/demo-llama", "template": "default", "infer_backend": "huggingface"}
LOAD_S = 120.0
SHORT = Sampling(temperature=0, max_tokens=12)
LONG = Sampling(temperature=10, max_tokens=1900)  # so hot that any token may come, the end as seldom as another


@contextmanager
def chat_folder(demo_workspace: Path, folder: Path) -> Iterator[Path]:
    """The demo's model and data in `folder`, for dashboards of other processes; its runs end with it."""
    for part in ("data", "models", ".lfdash"):
        shutil.copytree(demo_workspace / part, folder / part)
    try:
        yield folder
    finally:
        end_runs(folder)


@contextmanager
def chat_workspace(demo_workspace: Path, folder: Path) -> Iterator[Workspace]:
    """The same, watched as a dashboard does."""
    with chat_folder(demo_workspace, folder):
        found = lfdash.open(folder)
        found.services.registry.start()
        try:
            yield found
        finally:
            found.services.registry.close()


def begun(workspace: Workspace, **changes: object) -> lfdash.Run:
    """A chat that was started just now."""
    run = workspace.start(MODEL, changes, beside=True)
    assert isinstance(run, lfdash.Run), run
    return run


def reached(workspace: Workspace, run: lfdash.Run) -> Connection:
    """How it is reached, once its model is loaded."""
    registry = workspace.services.registry

    def look() -> Connection | None:
        found = connection_of(registry, registry.get(run.id))
        assert not isinstance(found, Refused) or found.code in ("chat_loading", "chat_unknown"), found
        return found if isinstance(found, Connection) else None

    found = wait_for(look, LOAD_S)
    assert found is not None
    return found


def view_of(workspace: Workspace, run: lfdash.Run) -> RunView:
    """The run as the dashboard sees it."""
    view = workspace.services.registry.get(run.id)
    assert view is not None
    return view


def processes(view: RunView) -> list[int]:
    """The chat's processes, without its supervisor."""
    return marked(marker(view.paths, view.attempt))


def answered(workspace: Workspace, run: lfdash.Run, text: str, **how: object) -> Conversation:
    """A new conversation with one prompt and its answer."""
    asking = workspace.services.chats.asking
    talk = asking.store.new()
    assert asking.ask(talk, [Prompt(text, sampling=SHORT)], [run.id], **how) is None  # type: ignore[arg-type]
    assert asking.wait(talk.id, LOAD_S)
    return shown(workspace, talk.id)


def shown(workspace: Workspace, conversation_id: str) -> Conversation:
    """A conversation as it is now."""
    found = workspace.services.chats.asking.get(conversation_id)
    assert isinstance(found, Conversation), found
    return found


def only_answer(workspace: Workspace, conversation_id: str) -> Answer:
    """The first answer of a conversation."""
    return shown(workspace, conversation_id).turns[0].answers[0]


def signal_all(view: RunView, number: int) -> None:
    """Sends a signal to all processes of a chat."""
    for pid in processes(view):
        os.kill(pid, number)


def paused_answer(services: Services, run_id: str) -> str:
    """Asks a chat, and stops it (SIGSTOP) in the middle of its answer; the conversation's id. No words are sure to
    have a long answer: whatever was over before is asked anew."""
    asking, view = services.chats.asking, services.registry.get(run_id)
    assert view is not None

    def answer(conversation_id: str) -> Answer:
        found = asking.get(conversation_id)
        assert isinstance(found, Conversation), found
        return found.turns[0].answers[0]

    for _ in range(20):
        talk = asking.store.new()
        assert asking.ask(talk, [Prompt("Tell me everything.", sampling=LONG)], [run_id]) is None
        wait_for(lambda talk=talk: answer(talk.id).text or not answer(talk.id).going, LOAD_S)  # type: ignore[misc]
        signal_all(view, signal.SIGSTOP)
        if not asking.wait(talk.id, 0.3):  # nothing more is under way
            return talk.id
        signal_all(view, signal.SIGCONT)
    raise AssertionError(f"no answer of {run_id} is long")
