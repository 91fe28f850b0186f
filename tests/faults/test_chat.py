"""Chats of the real llamafactory-cli while the dashboard, the chat, its key, its port or its model is taken away."""

from __future__ import annotations

import shutil
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

import lfdash
from lfdash.engine.chat import quiet
from lfdash.engine.chat.connection import Connection, connection_of, port_of
from lfdash.engine.chat.conversation import Conversation
from lfdash.engine.facade import Workspace
from lfdash.machine.sockets import LISTEN, inodes_of, sockets
from lfdash.runs.record import RunState
from lfdash.ui.shared import session, streamlit_private
from lfdash.ui.shared.text import t
from tests.faults.dashboards import Zygote
from tests.faults.table import Row, fault
from tests.faults.tabs import Tab
from tests.support import ROOT
from tests.support import app as pages
from tests.support.chats import (
    LOAD_S,
    answered,
    begun,
    chat_folder,
    chat_workspace,
    only_answer,
    paused_answer,
    processes,
    reached,
    shown,
    signal_all,
    view_of,
)
from tests.support.runs import wait_for

pytestmark = pytest.mark.train_env
END_S = 60.0  # that the end of a chat may take; two cores are shared


@pytest.fixture(scope="module")
def home(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with chat_workspace(demo_workspace, tmp_path_factory.mktemp("chat_faults") / "workspace") as found:
        found.services._started = True  # a page starts no second thread that looks at the runs
        session.install(found.services)
        with mock.patch.object(streamlit_private, "open_tabs", return_value=1):  # there is no server to ask
            yield found
        session._installed.clear()


@pytest.fixture
def chat(home: Workspace) -> lfdash.Run:
    """A chat that has loaded the demo's model; the one of the test before where it has left it alive."""
    for view in home.services.chats.keeper.serving():
        if view.state is RunState.RUNNING and isinstance(connection_of(home.services.registry, view), Connection):
            return lfdash.Run(home, view.run_id)
    run = begun(home)
    reached(home, run)
    return run


def page_of(run: lfdash.Run) -> AppTest:
    """The chat's page as it is drawn now."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    app.query_params["run"] = run.id
    return pages.good(app.switch_page("pages/chat.py").run())


def texts(app: AppTest) -> str:
    """All that the page says."""
    return "\n".join(str(item.value) for kind in ("caption", "warning", "error", "info") for item in app.get(kind))


# -- the dashboard --------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["while it loads", "in the middle of an answer"])
@fault(
    "the dashboard of a chat is killed", how="kill -9 of the whole process, then another one",
    expected="the same chat under the same port and key answers; the answer that was coming is kept and marked as cut",
)
def test_the_dashboard_is_killed(
    zygote: Zygote, demo_workspace: Path, tmp_path: Path, row: Row, moment: str
) -> None:
    answering = moment != "while it loads"
    with chat_folder(demo_workspace, tmp_path / "workspace") as folder:
        dash = zygote.dashboard(folder, ["chat", {}], *([["say_to", {}]] if answering else []))
        run_id = dash.wait("chat", LOAD_S)["outcome"]
        talk_id = dash.wait("say_to", LOAD_S)["outcome"] if answering else ""
        key = (folder / ".lfdash" / "keys" / f"{run_id}.1").read_text()
        assert dash.kill() == -signal.SIGKILL
        later = lfdash.open(folder)
        run = lfdash.Run(later, run_id)
        signal_all(run.view, signal.SIGCONT)
        later.services.registry.start()
        try:
            connection = reached(later, run)
            assert (connection.attempt, connection.key) == (1, key)
            if answering:
                cut = only_answer(later, talk_id)
                assert (cut.state, cut.code) == ("failed", "chat_cut") and cut.text
            assert answered(later, run, "Add 2 and 3.").turns[0].answers[0].state == "done"
            assert run.stop("term") is None and run.wait(END_S) is RunState.STOPPED
            assert processes(view_of(later, run)) == []
        finally:
            later.services.registry.close()
    row.note("found, asked and ended", faults=1, restarts=1)


@fault(
    "the page of a chat is closed", how="the only tab of a real server goes; the idle time is 3 s",
    expected="it ends by itself, nobody is left",
)
def test_the_page_is_closed(zygote: Zygote, demo_workspace: Path, tmp_path: Path, row: Row) -> None:
    with chat_folder(demo_workspace, tmp_path / "workspace") as folder:
        ready = tmp_path / "closed"
        steps = [["chat", {}], ["when", {"path": str(ready)}], ["idle", {"minutes": 0.05}]]
        dash = zygote.dashboard(folder, *steps, port=8870)
        dash.wait("up")
        url = "http://127.0.0.1:8870"
        wait_for(lambda: answers(f"{url}/_stcore/health"), 60)
        with closing(Tab(url)) as tab:
            run_id = dash.wait("chat", LOAD_S)["outcome"]
            wait_for(lambda: tab.finished, 60)
            assert tab.failed == 0
        ready.touch()
        run = lfdash.Run(lfdash.open(folder), run_id)
        assert run.wait(LOAD_S) is RunState.STOPPED
        assert processes(run.view) == []
        dash.kill()
    row.note("STOPPED", faults=1)


def answers(url: str) -> bool:
    """Whether a server is there."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


# -- who else is there ----------------------------------------------------------------------------------


@fault("a stranger looks for the chat", how="all sockets of its processes", expected="nothing listens beyond loopback")
def test_nothing_listens_beyond_loopback(home: Workspace, chat: lfdash.Run, row: Row) -> None:
    view = view_of(home, chat)
    ours = inodes_of(processes(view))
    found = [one for one in sockets() if one.inode in ours and one.state == LISTEN]
    assert [one.port for one in found if one.loopback] == [port_of(view)] and len(found) == 1
    assert unconnected(ours) == []
    row.note("one socket, on 127.0.0.1")


def unconnected(inodes: set[int]) -> list[str]:
    """The UDP sockets among these."""
    tables = [Path(f"/proc/net/{name}") for name in ("udp", "udp6", "raw", "raw6")]
    lines = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return [words[1] for words in lines if int(words[9]) in inodes]


@fault(
    "a wrong key", how="the kept one is changed; then it is gone; and a stranger's request",
    expected="HTTP 401, said as that; without a key nothing is sent",
)
def test_a_wrong_key(home: Workspace, chat: lfdash.Run, row: Row) -> None:
    connection = reached(home, chat)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{connection.url}/models", timeout=10)
    path = home.path / ".lfdash" / "keys" / f"{chat.id}.1"
    key = path.read_text()
    try:
        path.write_text("x" * 32)
        assert code(answered(home, chat, "Hi")) == "chat_denied"
        path.unlink()
        assert code(answered(home, chat, "Hi")) == "chat_key"
        assert "is gone" in texts(page_of(chat))
    finally:
        path.write_text(key)
    assert answered(home, chat, "Hi").turns[0].answers[0].state == "done"
    row.note("401; chat_denied, chat_key", inputs=3)


def code(talk: Conversation) -> str:
    return talk.turns[0].answers[0].code


@fault(
    "another process takes the chat's port", how="bound between the choice and the chat's own bind, 8 s later",
    expected="nothing is sent to it; the chat says why it ended; a prompt starts it on another port",
)
def test_the_port_is_taken(home: Workspace, row: Row) -> None:
    run = begun(home)
    port = port_of(wait_for(lambda: home.services.registry.get(run.id)))
    assert port is not None
    with socket.create_server(("127.0.0.1", port)) as thief:
        thief.settimeout(0.1)
        assert code(answered(home, run, "A secret")) == "chat_port"
        assert run.wait(LOAD_S) is RunState.FAILED
        diagnosis = run.diagnosis()
        assert diagnosis is not None
        assert (diagnosis.id, diagnosis.params["what"]) == ("chat_port_taken", str(port))
        assert str(port) in texts(page_of(run))
        talk = answered(home, run, "Again", beside=True)  # the thief is still there
        assert talk.turns[0].answers[0].state == "done" and port_of(view_of(home, run)) != port
        with pytest.raises(TimeoutError):
            thief.accept()
    assert run.stop("term") is None and run.wait(END_S) is RunState.STOPPED
    row.note("FAILED, then answered on another port", faults=1)


# -- the chat -------------------------------------------------------------------------------------------


@fault("a chat's model does not load", how="no weights in its file", expected="FAILED; the page tells its cause")
def test_a_model_that_does_not_load(home: Workspace, row: Row) -> None:
    broken = home.path / "models" / "broken"
    shutil.copytree(home.path / "models" / "demo-llama", broken)
    for file in broken.glob("*.safetensors"):
        file.write_bytes(b"no weights")
    run = begun(home, model_name_or_path="models/broken")
    assert code(answered(home, run, "Hi", beside=True)) == "chat_ended"
    assert run.wait(LOAD_S) is RunState.FAILED
    cause = run.diagnosis()
    assert cause is not None
    assert t(f"diagnosis.{cause.id}", **cause.params)[:40] in texts(page_of(run))
    row.note(f"FAILED: {cause.id}", faults=1)


@fault(
    "the process of a chat is stopped while it answers", how="SIGSTOP; Stop; SIGSTOP again; End chat",
    expected="the page says that it does not answer, and why; both buttons work",
)
def test_it_is_paused(home: Workspace, chat: lfdash.Run, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "QUIET_S", 0.5)
    view, asking = view_of(home, chat), home.services.chats.asking
    talk_id = paused_answer(home.services, chat.id)
    told = wait_for(lambda: quiet.why_quiet(home.services.chats, talk_id, chat.id), 30)
    assert told is not None and told.code == "chat_paused", told
    app = page_of(chat)
    words = wait_for(lambda: texts(app.run()), 1)
    assert "SIGSTOP" in words and shown(home, talk_id).going
    asking.stop(talk_id)
    assert asking.wait(talk_id, 10)
    answer = only_answer(home, talk_id)
    assert answer.state == "stopped" and answer.text
    assert chat.stop("term") is None and chat.wait(END_S) is RunState.STOPPED
    assert processes(view) == []
    row.note("said; stopped; STOPPED", faults=1)


@fault(
    "a chat is killed in the middle of an answer", how="SIGKILL of all its processes",
    expected="what came stays, marked as cut; FAILED; a prompt loads it again",
)
def test_it_is_killed_in_an_answer(home: Workspace, chat: lfdash.Run, row: Row) -> None:
    talk_id = paused_answer(home.services, chat.id)
    signal_all(view_of(home, chat), signal.SIGKILL)
    assert home.services.chats.asking.wait(talk_id, END_S)
    answer = only_answer(home, talk_id)
    assert (answer.state, answer.code) == ("failed", "chat_broken") and answer.text
    kept = home.services.chats.asking.store.load(talk_id)
    assert kept == shown(home, talk_id)
    assert chat.wait(END_S) is RunState.FAILED
    assert answered(home, chat, "Again", beside=True).turns[0].answers[0].state == "done"
    row.note("chat_broken, FAILED; answered again", faults=1)
