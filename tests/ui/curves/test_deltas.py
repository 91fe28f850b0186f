"""What a browser has after any messages is what the server means it to have, also where some never came."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lfdash.ui.curves.deltas import Sent, alike, short

Line = tuple[list[int], list[float]]


class Browser:
    """lfdash/ui/browser/deltas.js, in Python; tests/e2e/test_curves.py runs that one against the same messages."""

    def __init__(self) -> None:
        self.seq, self.parts, self.lines = 0, {}, {}

    def take(self, message: dict[str, Any]) -> bool:
        """Whether the message stands on what there is."""
        if message["base"] is None:
            self.parts, self.lines = {}, {}
        elif message["base"] != self.seq:
            return message["seq"] == self.seq
        self.seq = message["seq"]
        for name, value in message.get("parts", {}).items():
            self.parts.pop(name, None) if value is None else self.parts.__setitem__(name, value)
        for name, change in message.get("lines", {}).items():
            if change is None:
                self.lines.pop(name)
                continue
            keep, x, y = change
            old = self.lines.get(name, ([], []))
            self.lines[name] = (old[0][:keep] + x, old[1][:keep] + y)
        return True


POINT = st.tuples(st.integers(0, 50), st.sampled_from([0.5, 1.25, 2.0, 1e-9]))
LINES = st.dictionaries(st.sampled_from("abc"), st.lists(POINT, max_size=8), max_size=3)
PARTS = st.dictionaries(st.sampled_from("pq"), st.integers(0, 2) | st.lists(st.integers(), max_size=2), max_size=2)
MESSAGES = st.lists(st.tuples(st.sampled_from(["run", "other"]), PARTS, LINES, st.booleans()), min_size=1, max_size=12)


def arrays(points: list[tuple[int, float]]) -> tuple[Any, Any]:
    return np.array([x for x, _y in points], float), np.array([y for _x, y in points], float)


@given(MESSAGES)
def test_base_and_deltas_are_the_whole(steps: list[tuple[str, dict[str, Any], dict[str, Any], bool]]) -> None:
    sent, browser = Sent(), Browser()
    for signature, parts, lines, arrives in steps:
        message = json.loads(json.dumps(sent.message(signature, parts, {n: arrays(p) for n, p in lines.items()})))
        if not arrives:
            continue
        if not browser.take(message):
            sent.forget()
            assert browser.take(sent.message(signature, parts, {n: arrays(p) for n, p in lines.items()}))
        assert browser.parts == parts
        assert browser.lines == {n: ([x for x, _ in p], [y for _, y in p]) for n, p in lines.items()}
        assert browser.take(message) or message["base"] is not None  # the same once more: Streamlit draws at will


def test_a_value_more_is_all_that_travels() -> None:
    sent, x = Sent(), np.arange(1000.0)
    whole = sent.message("run", {"p": "word"}, {"loss": (x, x / 7)})
    assert whole["base"] is None and len(whole["lines"]["loss"][1]) == 1000
    more = np.arange(1001.0)
    assert sent.message("run", {"p": "word"}, {"loss": (more, more / 7)}) == {
        "seq": 2, "base": 1, "lines": {"loss": [1000, [1000], [142.857]]},
    }
    assert sent.message("run", {"p": "word"}, {"loss": (more, more / 7)}) == {"seq": 2, "base": 2}


def test_another_run_begins_anew() -> None:
    sent, x = Sent(), np.arange(3.0)
    sent.message("run", {"p": 1}, {"loss": (x, x)})
    assert sent.message("other", {"p": 1}, {"loss": (x, x)}) == {
        "seq": 2, "base": None, "parts": {"p": 1}, "lines": {"loss": [0, [0, 1, 2], [0, 1, 2]]},
    }


def test_what_a_line_has_in_common() -> None:
    x = np.array([1.0, 2.0, 3.0])
    assert alike(None, (x, x)) == 0
    assert alike((x, x), (x, x)) == 3
    assert alike((x, x), (x[:2], x[:2])) == 2
    assert alike((x, x), (x, np.array([1.0, 9.0, 3.0]))) == 1


def test_numbers_travel_short_and_can_be_read() -> None:
    values = np.array([1.0, 123456789.0, 1 / 3, 1e-7 / 3, 1e308])
    assert short(values) == [1, 123456789, 0.333333, 3.33333e-08, 1e300]
