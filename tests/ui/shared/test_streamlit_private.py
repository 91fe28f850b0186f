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
