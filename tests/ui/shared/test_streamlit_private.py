"""What is used of Streamlit beside its public interface is still there, and does what it is used for."""

from __future__ import annotations

import inspect
from unittest import mock

from streamlit.runtime.runtime import Runtime
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


def test_a_test_is_no_session() -> None:
    assert streamlit_private.in_session() is False


def test_a_fragment_is_drawn_again_once_this_run_is_over() -> None:
    context = mock.Mock(query_string="run=1", page_script_hash="page", cached_message_hashes=frozenset())
    context.context_info = None
    context.fragment_storage.resolve_target.return_value = ["id"]
    with mock.patch.object(streamlit_private, "get_script_run_ctx", return_value=context):
        streamlit_private.rerun_fragment("body")
    context.fragment_storage.resolve_target.assert_called_once_with("body")
    (wanted,) = context.script_requests.request_rerun.call_args.args
    assert (wanted.fragment_id_queue, wanted.is_fragment_scoped_rerun, wanted.widget_states) == (["id"], True, None)
    assert (wanted.query_string, wanted.page_script_hash) == ("run=1", "page")


def test_a_file_is_offered_to_one_place_of_a_page() -> None:
    with mock.patch.object(streamlit_private, "get_instance") as server:
        streamlit_private.offer_file(b"a", "text/csv", "main")
    server().media_file_mgr.add.assert_called_once_with(b"a", "text/csv", "lfdash.main", is_for_static_download=True)
