"""Asking what may never answer."""

from __future__ import annotations

import logging
import threading

import pytest

from lfdash.machine.patience import HANGS, Patience
from lfdash.machine.sample import CannotRead


def test_an_answer_is_given_on() -> None:
    assert Patience("driver", lambda: 7, 5).answer() == 7


def test_what_hangs_is_waited_for_once_and_answers_again_later() -> None:
    free, asked = threading.Event(), []

    def ask() -> int:
        asked.append(threading.current_thread().name)
        free.wait(20)
        return len(asked)

    patience = Patience("driver", ask, 0.05)
    for _ in range(3):
        with pytest.raises(CannotRead, match=HANGS):
            patience.answer()
    assert asked == ["lfdash-driver"]  # one thread, however often it was asked
    free.set()
    thread = patience._thread
    assert thread is not None
    thread.join(20)
    assert patience.answer() == 2  # not the late answer of the first


def test_a_reason_is_given_on(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise CannotRead("driver not loaded")

    def away() -> None:
        raise OSError(107, "Transport endpoint is not connected")

    for ask, said in ((fail, "not loaded"), (away, "not connected")):
        with pytest.raises(CannotRead, match=said):
            Patience("driver", ask, 5).answer()
    assert not caplog.records


def test_an_error_that_nobody_foresaw_is_logged_once_and_not_tried_again_at_once(
    caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def crash() -> None:
        asked.append(1)
        raise RuntimeError("a library's own mistake")

    patience = Patience("driver", crash, 5)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            with pytest.raises(CannotRead):
                patience.answer()
    assert len(asked) == len(caplog.records) == 1
