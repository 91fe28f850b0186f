"""A timer of a page that runs out while another page is asked for, against the real server."""

from __future__ import annotations

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.security.browser import WAIT, Tab
from tests.security.conftest import Server


def rerun(page: str, fragment: str = "", *, by_timer: bool = False) -> bytes:
    """What the front-end sends for a page, by its hash, or for a fragment of it."""
    message = BackMsg()
    wanted = message.rerun_script
    wanted.page_script_hash, wanted.fragment_id, wanted.is_auto_rerun = page, fragment, by_timer
    return message.SerializeToString()


@pytest.mark.parametrize("by_timer", [True, False], ids=["a timer", "a click"])
def test_the_page_that_was_left_is_not_shown_again(server: Server, by_timer: bool) -> None:
    tab = Tab(server.url).open()
    (left,) = {m.new_session.page_script_hash for m in tab.seen if m.WhichOneof("type") == "new_session"}
    pages = [m.navigation.app_pages for m in tab.seen if m.WhichOneof("type") == "navigation"][-1]
    wanted = next(page.page_script_hash for page in pages if page.url_pathname == "runs")
    fragment = [m.auto_rerun.fragment_id for m in tab.seen if m.WhichOneof("type") == "auto_rerun"][-1]
    tab.socket.send(rerun(wanted))
    tab.socket.send(rerun(left, fragment, by_timer=by_timer))
    shown = []
    for last in (False, True):  # the first page is over; then the same once more, after all that came before
        if last:
            tab.socket.send(rerun(wanted))
        done = False
        while not done:
            message = ForwardMsg()
            message.ParseFromString(tab.socket.recv(WAIT, decode=False))
            kind = message.WhichOneof("type")
            if kind == "new_session":
                shown.append(message.new_session.page_script_hash)
            done = kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
    assert left not in shown
    tab.close()
