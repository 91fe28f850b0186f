"""What is used of Streamlit beside its public interface is still there, and does what it is used for."""

from __future__ import annotations

import inspect
import subprocess
import sys
from unittest import mock

from streamlit.errors import StreamlitAPIException
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.runtime import Runtime
from streamlit.runtime.scriptrunner import RerunData
from streamlit.runtime.session_manager import SessionManager

from lfdash.ui.shared import streamlit_private


def test_every_name_is_there() -> None:
    assert all(callable(getattr(streamlit_private, name)) for name in streamlit_private.__all__ if name.islower())
    assert streamlit_private.AUTH_COOKIE_NAME


def test_tabs_are_counted() -> None:
    assert "_session_mgr" in inspect.getsource(Runtime.__init__)
    assert callable(SessionManager.list_active_sessions)
    server = mock.Mock()
    server._session_mgr.list_active_sessions.return_value = ["a", "b"]
    with mock.patch.object(streamlit_private, "get_instance", return_value=server):
        assert streamlit_private.open_tabs() == 2


def test_settings_are_taken_without_a_word() -> None:
    lines = (
        "import streamlit as st", "st.get_option('secrets.files')",  # as the sign-in reads them
        "from lfdash.ui.shared.streamlit_private import take_settings", "take_settings({'server.port': 8799})",
        "print(st.get_option('server.port'))",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("8799\n", "")


def test_a_test_is_no_session() -> None:
    assert streamlit_private.in_session() is False


def test_a_fragment_is_drawn_again_once_this_run_is_over() -> None:
    context = mock.Mock(query_string="run=1", page_script_hash="page", session_id="s", context_info=None)
    context.cached_message_hashes = frozenset()
    context.fragment_storage.resolve_target.return_value = ["id"]
    with (
        mock.patch.object(streamlit_private, "get_script_run_ctx", return_value=context),
        mock.patch.object(streamlit_private, "exists", return_value=True),
    ):
        streamlit_private.rerun_fragment("body")
        context.fragment_storage.resolve_target.side_effect = StreamlitAPIException("no such fragment")
        assert streamlit_private.fragment_of("other") is None
    (wanted,) = context.script_requests.request_rerun.call_args.args
    assert (wanted.fragment_id_queue, wanted.is_fragment_scoped_rerun, wanted.widget_states) == (["id"], True, None)
    assert (wanted.query_string, wanted.page_script_hash) == ("run=1", "page")


def test_a_file_is_offered_to_one_place_of_a_page() -> None:
    with mock.patch.object(streamlit_private, "get_instance") as server:
        streamlit_private.offer_file(b"a", "text/csv", "main", "a.csv")
    server().media_file_mgr.add.assert_called_once_with(
        b"a", "text/csv", "lfdash.main", file_name="a.csv", is_for_static_download=True
    )


def test_a_thread_wakes_a_tab_without_touching_its_widgets() -> None:
    source = inspect.getsource(AppSession.request_rerun)
    assert "self._scriptrunner.request_rerun(rerun_data)" in source
    assert "self._create_scriptrunner(rerun_data)" in source
    run = RerunData(fragment_id_queue=["id"], cached_message_hashes=frozenset({"of long ago"}))
    server, wanted = mock.Mock(), streamlit_private.FragmentOf("s", ("id",), run)
    session = server._session_mgr.get_active_session_info.return_value.session
    server._get_async_objs.return_value.eventloop.call_soon_threadsafe = lambda act: act()
    assert not streamlit_private.is_shown(wanted), "no server runs here"
    with mock.patch.multiple(streamlit_private, get_instance=lambda: server, exists=lambda: True):
        assert streamlit_private.is_shown(wanted)
        streamlit_private.wake(wanted)
        session._create_scriptrunner.assert_not_called()  # its page is being drawn
        session._scriptrunner.request_rerun.assert_not_called()
        session._scriptrunner = None
        streamlit_private.wake(wanted)
        session._create_scriptrunner.assert_called_once_with(RerunData(fragment_id_queue=["id"]))
        session.has_fragment.return_value = False  # another page is shown
        streamlit_private.wake(wanted)
        server._session_mgr.get_active_session_info.return_value = None
        streamlit_private.wake(wanted)
        assert not streamlit_private.is_shown(wanted)
    assert session._create_scriptrunner.call_count == 1
    assert wanted.wanted.widget_states is None
