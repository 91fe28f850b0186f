"""Conversations that two dashboards have open, and a disk that does not take an answer. Chats are played."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from lfdash.engine.chat import asking as module
from lfdash.engine.chat.asking import Asking, Prompt
from lfdash.engine.chat.client import Piece, Whole
from lfdash.engine.chat.conversation import Conversation
from lfdash.engine.chat.messages import Medium
from lfdash.engine.chat.store import ConversationStore
from lfdash.outcomes import Refused
from lfdash.ui.chat.transcript import title
from tests.support.many import add_run
from tests.support.runs import wait_for

COLUMN, OTHER = "0123456789ab", "ba9876543210"


class Chat:
    """A chat that says a word at once, and ends its answer when it is let."""

    def __init__(self) -> None:
        self.ends, self.said = threading.Event(), threading.Event()
        self.ends.set()

    def ask(self, found: object, question: Any, wire: object) -> Iterator[object]:
        yield Piece(f"to {question.said[-1].text}")
        self.said.set()
        assert self.ends.wait(60)
        yield Whole("stop", 1, 1, ())


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Chat:
    chat = Chat()
    monkeypatch.setattr(module, "ask", chat.ask)
    return chat


def dashboard(folder: Path) -> Asking:
    registry = SimpleNamespace(get=lambda run_id: None)
    bringing_up = SimpleNamespace(connect=lambda *args, **named: object())
    return Asking(registry, ConversationStore(folder), bringing_up)  # type: ignore[arg-type]


def shown(asking: Asking, talk: Conversation) -> Conversation:
    found = asking.get(talk.id)
    assert isinstance(found, Conversation), found
    return found


def asked(asking: Asking, talk: Conversation, text: str) -> Conversation:
    """The conversation after a prompt was answered."""
    assert asking.ask(talk, [Prompt(text)], [COLUMN]) is None
    assert asking.wait(talk.id, 20)
    return shown(asking, talk)


def begin(asking: Asking, chat: Chat, talk: Conversation, text: str) -> None:
    """Asks a prompt whose answer has begun, and does not end before it is let."""
    chat.ends.clear()
    chat.said.clear()
    assert asking.ask(talk, [Prompt(text)], [COLUMN]) is None
    assert chat.said.wait(20)


def code(answer: Refused | None) -> str:
    assert answer is not None
    return answer.code


def texts(talk: Conversation) -> list[str]:
    return [turn.answers[0].text for turn in talk.turns]


def test_what_another_dashboard_asks_is_seen_to_go_on_and_is_left_alone(tmp_path: Path, chat: Chat) -> None:
    ours, other = dashboard(tmp_path), dashboard(tmp_path)
    talk = asked(ours, ours.store.new(), "one")
    begin(ours, chat, talk, "two")
    seen = shown(other, talk)
    assert seen.going and other.is_elsewhere(talk.id) and not ours.is_elsewhere(talk.id)
    assert code(other.ask(seen, [Prompt("mine")], [COLUMN])) == "chat_asked_elsewhere"
    chat.ends.set()
    assert ours.wait(talk.id, 20)
    assert not other.is_elsewhere(talk.id) and texts(shown(other, talk)) == ["to one", "to two"]
    assert texts(asked(other, shown(other, talk), "three")) == ["to one", "to two", "to three"]


def test_a_conversation_that_went_on_elsewhere_is_not_written_over(tmp_path: Path, chat: Chat) -> None:
    ours, other = dashboard(tmp_path), dashboard(tmp_path)
    talk = asked(ours, ours.store.new(), "one")
    asked(other, shown(other, talk), "two")
    assert code(ours.ask(talk, [Prompt("stale")], [COLUMN])) == "chat_changed"
    assert code(ours.again(talk, [COLUMN])) == "chat_changed"
    assert texts(shown(ours, talk)) == ["to one", "to two"]


def test_a_conversation_of_many_megabytes_is_read_again(tmp_path: Path, chat: Chat) -> None:
    ours = dashboard(tmp_path)
    talk = asked(ours, ours.store.new(), "x" * (5 << 20))
    found = dashboard(tmp_path).get(talk.id)
    assert found == talk and [head.wrong for head in dashboard(tmp_path).store.heads()] == [""]


def test_a_conversation_that_was_deleted_stays_deleted(tmp_path: Path, chat: Chat) -> None:
    ours, other = dashboard(tmp_path), dashboard(tmp_path)
    talk = asked(ours, ours.store.new(), "one")
    begin(ours, chat, talk, "two")
    other.forget(talk.id)
    chat.ends.set()
    assert ours.wait(talk.id, 20)
    assert ours.store.heads() == [] and not isinstance(ours.get(talk.id), Conversation)
    assert code(ours.ask(talk, [Prompt("three")], [COLUMN])) == "chat_changed"


def test_an_answer_that_the_disk_does_not_take_is_kept_and_written_later(
    tmp_path: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = dashboard(tmp_path), dashboard(tmp_path)
    talk = asked(ours, ours.store.new(), "one")
    begin(ours, chat, talk, "two")

    def full(conversation: Conversation) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(ours.store, "save", full)
        chat.ends.set()
        assert ours.wait(talk.id, 20)
        kept = shown(ours, talk)
        assert texts(kept) == ["to one", "to two"] and "No space" in ours.unwritten(talk.id)
        assert code(ours.ask(kept, [Prompt("three")], [COLUMN])) == "chat_unsaved"
        assert code(other.ask(shown(other, talk), [Prompt("three")], [COLUMN])) == "chat_asked_elsewhere"
    wait_for(lambda: shown(ours, talk) and not ours.unwritten(talk.id))
    assert texts(shown(other, talk)) == ["to one", "to two"] and not other.is_elsewhere(talk.id)
    assert len(asked(ours, shown(ours, talk), "three").turns) == 3


@pytest.mark.parametrize("often", [True, False])
def test_what_came_of_an_answer_outlives_the_dashboard(
    tmp_path: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch, often: bool
) -> None:
    """Killed: what was written every few seconds. Ended: all of it."""
    monkeypatch.setattr(module, "SAVE_S", -1.0 if often else 1e9)
    ours = dashboard(tmp_path)
    talk = ours.store.new()
    begin(ours, chat, talk, "one")
    if not often:
        wait_for(lambda: texts(shown(ours, talk)) == ["to one"])
        ours.close()
    wait_for(lambda: isinstance(read := ours.store.load(talk.id), Conversation) and texts(read) == ["to one"], 5)
    chat.ends.set()
    assert ours.wait(talk.id, 20)


def test_what_cannot_be_read_is_not_written_over(
    tmp_path: Path, chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = dashboard(tmp_path)
    talk = asked(ours, ours.store.new(), "one")
    with monkeypatch.context() as disk:
        disk.setattr(ours.store, "load", lambda conversation_id: "Too many open files")
        refused = ours.ask(talk, [Prompt("two")], [COLUMN])
    assert refused == Refused("chat_unsaved", {"reason": "Too many open files"})
    assert texts(shown(ours, talk)) == ["to one"]


@pytest.mark.parametrize("url", ["/etc/hostname", "http://127.0.0.1:9/picture.png", "kept:../../x", "file:///etc/hostname"])
def test_a_conversation_names_no_file_or_address_outside(tmp_path: Path, url: str) -> None:
    store = ConversationStore(tmp_path)
    assert store.fetch(Medium("image", "picture", url)) is None
    inside = store.keep(Medium("image", "picture", "data:image/png;base64,AAAA"))
    fetched = store.fetch(inside)
    assert fetched is not None and fetched.url == "data:image/png;base64,AAAA"


def test_a_chat_that_joins_is_asked_the_last_prompt_alone(tmp_path: Path, chat: Chat) -> None:
    ours = dashboard(tmp_path)
    assert code(ours.also(ours.store.new(), COLUMN)) == "chat_none"
    talk = asked(ours, asked(ours, ours.store.new(), "one"), "two")
    with mock.patch.object(ours._bringing_up, "connect", return_value=object()) as connect:
        assert ours.also(talk, OTHER) is None and ours.wait(talk.id, 20)
    assert connect.call_args.args[:2] == (OTHER, (COLUMN, OTHER))  # who may be ended to make room for it
    after = shown(ours, talk)
    assert [[answer.column for answer in turn.answers] for turn in after.turns] == [[COLUMN], [COLUMN, OTHER]]
    assert after.turns[1].answers[0] == talk.turns[1].answers[0]
    assert (after.turns[1].answers[1].text, after.turns[1].answers[1].state) == ("to two", "done")
    assert code(ours.also(talk, OTHER)) == "chat_changed"


def test_an_answer_says_what_its_chat_loads_from_the_start_on(tmp_path: Path, chat: Chat) -> None:
    paths = add_run(tmp_path, "chat-1", kind="chat", args={"adapter_name_or_path": "saves/demo-llama/lora/mine"})
    text = paths.training_args.read_text()
    ours = dashboard(tmp_path / "chats")
    view = SimpleNamespace(name="chat-1", kind="chat", record=None, waiting=None, paths=paths)
    waits = SimpleNamespace(name="chat-2", kind="chat", record=None, waiting=object())
    entry = SimpleNamespace(plan=SimpleNamespace(files={"training_args.yaml": text.replace("lora/mine", "lora/other")}))
    jobs = SimpleNamespace(get=lambda run_id: entry)
    ours._registry = SimpleNamespace(  # type: ignore[assignment]
        get={COLUMN: view, OTHER: waits}.get, queue=SimpleNamespace(jobs=jobs)
    )
    chat.ends.clear()
    talk = ours.store.new()
    assert ours.ask(talk, [Prompt("one")], [COLUMN, OTHER]) is None
    begun = shown(ours, talk).turns[0].answers
    assert [(title(answer), answer.going) for answer in begun] == [
        ("demo-llama + mine · chat-1", True), ("demo-llama + other · chat-2", True)
    ]
    chat.ends.set()
    assert ours.wait(talk.id, 20)
