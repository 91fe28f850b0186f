"""The settings of the curves, in an address and as the browser says them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.runs.metrics.smoothing import default_span, ladder_at
from lfdash.ui.curves.settings import (
    AXES,
    FIELDS,
    INITIAL,
    CurveSettings,
    from_query,
    query,
    told,
)

NAMES = st.text(st.characters(exclude_characters="~", exclude_categories=("Cs",)), min_size=1, max_size=30)
ENDS = st.floats(-1e12, 1e12, allow_nan=False)
SETTINGS = st.builds(
    CurveSettings,
    x=st.sampled_from(AXES),
    span=st.none() | st.floats(0, 1e9),
    chart=NAMES,
    log=st.booleans(),
    clip=st.booleans(),
    hidden=st.lists(NAMES, max_size=5, unique=True).map(tuple),
    zoom=st.none() | st.tuples(ENDS, ENDS).filter(lambda ends: ends[0] < ends[1]),
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
SAID = st.dictionaries(
    st.sampled_from(("x", "span", "chart", "log", "clip", "hidden", "zoom", "other")),
    PLAIN | st.lists(st.integers() | st.text(max_size=5), max_size=3),
)


@given(SETTINGS)
def test_an_address_says_all_of_it(settings: CurveSettings) -> None:
    words = query(settings)
    assert set(words) <= set(FIELDS)
    assert from_query(words) == settings


def test_without_a_choice_the_address_says_nothing() -> None:
    assert query(INITIAL) == {} and from_query({}) == INITIAL


@given(st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=40)))
def test_any_address_is_read(words: dict[str, str]) -> None:
    found = from_query(words)
    assert from_query(query(found)) == found


@given(SETTINGS, SAID)
def test_whatever_the_browser_says_gives_settings(settings: CurveSettings, said: dict[str, object]) -> None:
    found = told(settings, said)
    assert found.x in AXES and (found.span is None or found.span >= 0)
    assert found.zoom is None or found.zoom[0] < found.zoom[1]
    untouched = {name for name in ("span", "log", "clip", "hidden", "chart") if name not in said}
    assert all(getattr(found, name) == getattr(settings, name) for name in untouched)


def test_another_axis_has_no_zoom() -> None:
    zoomed = told(INITIAL, {"zoom": [10, 20]})
    assert zoomed.zoom == (10, 20)
    assert told(zoomed, {"x": "epoch"}) == CurveSettings(x="epoch")
    assert told(zoomed, {"zoom": None}).zoom is None


@pytest.mark.parametrize(
    ("planned", "last", "logged", "span"),
    [
        (39, 3, 1, 2), (400, 10, 1, 10), (1000, 50, 10, 20), (200_000, 100, 1, 5000), (None, 5000, 1, 100),
        (None, 1, 0, 1),
    ],
)
def test_the_smoothing_fits_the_run(planned: float | None, last: float, logged: float, span: float) -> None:
    assert default_span(planned, last, logged) == span


@pytest.mark.parametrize(("span", "step"), [(0, 1), (1.2, 1), (3, 2), (4, 5), (8, 10), (70, 50), (4000, 5000)])
def test_half_lives_are_round(span: float, step: float) -> None:
    assert ladder_at(span) == step
