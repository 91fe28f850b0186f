"""The conversation that is shown and asked is that of the chat that is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.chat.conversation import Answer, Conversation, Turn
from lfdash.engine.services import Services
from lfdash.queue.turns import CachedDevices
from lfdash.ui.chat import beside
from lfdash.ui.chat.keys import COMPARED, COMPARED_WITH, CURRENT
from lfdash.ui.form.state import Form
from lfdash.ui.shared.answers import SHOWN
from lfdash.ui.shared.text import t
from tests.support import app as pages
from tests.support.bench import Machine
from tests.support.many import add_run
from tests.support.runs_page import press
from tests.ui.launch.test_making_room import begin
from tests.ui.launch.test_queue import asked_on

FIRST, SECOND, NEW = "id-chat-1", "id-chat-2", "id-chat-3"


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """Three chats that are over; the first two were asked side by side."""
    fake = pages.with_fake_runs(tmp_path / "workspace", monkeypatch)
    with fake as found, mock.patch.object(Services, "blocked", None):
        for number in (1, 2, 3):
            add_run(found.workspace.root, f"chat-{number}", kind="chat")
        found.registry.refresh()
        yield found


def talk(services: Services, *columns: str) -> Conversation:
    """A conversation that these chats have answered."""
    store = services.chats.asking.store
    answers = tuple(Answer(column, column, state="done", text="Warsaw") for column in columns)
    made = replace(store.new(), title="Poland", turns=(Turn("The capital?", answers=answers),), changed=1.0)
    store.make_folder()
    store.save(made)
    return made


def visit(shown: str, app: AppTest | None = None) -> AppTest:
    app = app or pages.start()
    app.session_state[SHOWN] = shown
    return pages.good((app if "chat.conversation" in app.session_state else app.switch_page("pages/chat.py")).run())


def in_session(app: AppTest) -> tuple[object, object]:
    return app.session_state[CURRENT], app.session_state[COMPARED]


def test_another_chat_has_a_conversation_of_its_own(services: Services) -> None:
    made = talk(services, FIRST, SECOND)
    app = visit(FIRST)
    assert in_session(app) == (made.id, [SECOND])
    app = visit(NEW, app)
    assert in_session(app) == (None, [])
    app = visit(SECOND, app)
    assert in_session(app) == (made.id, [FIRST])


def test_chats_that_were_started_together_are_asked_together(services: Services) -> None:
    talk(services, FIRST, SECOND)
    app = visit(FIRST)
    app.session_state[COMPARED], app.session_state[COMPARED_WITH] = [SECOND], NEW
    assert in_session(visit(NEW, app)) == (None, [SECOND])


def test_a_conversation_that_was_chosen_stays_with_the_chat(services: Services) -> None:
    made = talk(services, FIRST)
    app = visit(NEW)
    app.session_state[CURRENT] = made.id
    assert in_session(visit(NEW, app)) == (made.id, [])


def test_the_chat_that_room_was_made_for_is_shown(services: Services) -> None:
    services.registry.dispatcher.cached_devices = CachedDevices(Machine(1).look, 0, services.workspace.root)
    begin(services, "chat-4")
    made = talk(services, "id-chat-4", SECOND)
    app = asked_on("pages/chat.py")
    assert in_session(app) == (made.id, [SECOND])
    with mock.patch.object(Form, "problems", return_value=()):
        press(app, "queue_end_chat")
    (entry,) = services.registry.queue.jobs.entries()
    assert app.session_state[SHOWN] == entry.run_id
    app = pages.good(app.run())
    assert app.query_params["run"] == entry.run_id
    assert not app.chat_input  # it waits: nothing is asked of another one meanwhile


def test_an_export_is_not_called_by_the_name_of_its_run_alone(services: Services) -> None:
    args = {"model_name_or_path": "exports/demo-1", "template": "llama3"}
    add_run(services.workspace.root, "chat-of-export", kind="chat", args=args)
    services.registry.refresh()
    app = visit("id-chat-of-export")
    app.session_state["top.model_path"] = "exports/demo-1"
    said = [item.value for item in pages.good(app.run()).caption]
    assert any("**exports/demo-1**" in words and t("ui.chat_asleep") in words for words in said)
    assert any(words.startswith("exports/demo-1 · ") for words in said)  # the job in the form


@pytest.mark.parametrize("going", [False, True])
def test_a_chat_that_is_added_is_asked_what_was_just_asked(services: Services, going: bool) -> None:
    made = talk(services, FIRST)
    app = visit(FIRST)
    app.session_state[beside.PICK] = SECOND
    asking = services.chats.asking
    busy = mock.patch.object(asking, "is_going", return_value=going)
    with busy, mock.patch.object(asking, "also", return_value=None) as also:
        press(app, "chat_compare_add")
    assert in_session(app) == (made.id, [SECOND])
    assert [(call.args[0].id, call.args[1]) for call in also.call_args_list] == ([] if going else [(made.id, SECOND)])
