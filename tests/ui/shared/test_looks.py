"""The thread that wakes tabs: only with news, not too often, and not those that are closed."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import pytest
from streamlit.runtime.scriptrunner import RerunData

from lfdash.ui.shared import looks as module
from lfdash.ui.shared.looks import Looks
from lfdash.ui.shared.streamlit_private import FragmentOf


@pytest.fixture
def server() -> Iterator[mock.Mock]:
    with mock.patch.object(module, "streamlit_private") as found, mock.patch.object(Looks, "_go_on"):
        found.is_shown.return_value = True
        yield found


def tab(name: str) -> FragmentOf:
    return FragmentOf(name, ("fragment",), RerunData())


def woken(server: mock.Mock) -> list[str]:
    found = [call.args[0].session_id for call in server.wake.call_args_list]
    server.wake.reset_mock()
    return found


def test_only_a_tab_with_news_is_woken(server: mock.Mock) -> None:
    looks = Looks()
    looks.keep(tab("a"), lambda: True, 0)
    looks.keep(tab("b"), lambda: False, 0)
    looks.keep(None, lambda: True, 0)
    looks.look(1e9)
    assert woken(server) == ["a"]


def test_not_more_often_than_it_wants(server: mock.Mock) -> None:
    looks = Looks()
    looks.keep(tab("a"), lambda: True, 2.0)
    looks.look(1e9)
    looks.look(1e9 + 1.9)
    assert woken(server) == ["a"]
    looks.look(1e9 + 2)
    assert woken(server) == ["a"]


def test_a_closed_tab_and_one_that_asks_by_itself_are_forgotten(server: mock.Mock) -> None:
    looks, news = Looks(), mock.Mock(return_value=True)
    looks.keep(tab("a"), news, 0)
    server.is_shown.return_value = False
    looks.look(1e9)
    server.is_shown.return_value = True
    looks.look(2e9)
    looks.keep(tab("b"), news, 0)
    looks.drop(tab("b"))
    looks.drop(None)
    looks.look(3e9)
    assert woken(server) == [] and not news.called


def test_the_last_thing_that_a_tab_shows_counts(server: mock.Mock) -> None:
    looks = Looks()
    looks.keep(tab("a"), lambda: True, 0)
    looks.keep(tab("a"), lambda: False, 0)
    looks.look(1e9)
    assert woken(server) == []


def test_a_tab_has_a_look_for_each_of_its_fragments(server: mock.Mock) -> None:
    looks = Looks()
    looks.keep(tab("a"), lambda: True, 0)
    looks.keep(FragmentOf("a", ("other",), RerunData()), lambda: True, 0)
    looks.look(1e9)
    assert woken(server) == ["a", "a"]


def test_looks_are_as_many_as_the_most_hurried_tab_wants() -> None:
    looks = Looks()
    with mock.patch.object(Looks, "_go_on"):
        looks.keep(tab("a"), lambda: False, 2.0)
        assert looks.pause() == module.PAUSE_S
        looks.keep(tab("b"), lambda: False, 0.5)
        assert looks.pause() == 0.25
