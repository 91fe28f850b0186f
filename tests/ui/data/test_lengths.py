"""The lengths of rows in bars, and the rows that are left out beside those that fit."""

from __future__ import annotations

from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.llamafactory.token_lengths import SAMPLE
from lfdash.ui.data.lengths import BARS, bars


@pytest.mark.parametrize("tokens", [[7] * 20, [1], list(range(1000)), [3, 3000], [5, 6, 6]])
def test_every_row_is_in_a_bar_that_can_be_seen(tokens: list[int]) -> None:
    """Rows of one length had no bar: its width was nothing."""
    frame = bars(tokens, 128)
    assert 0 < len(frame) <= BARS and frame["rows"].sum() == len(tokens) and (frame["cutoff"] == 128).all()
    assert (frame["end"] > frame["tokens"]).all() and (frame["rows"] > 0).all()
    for start, end, rows in frame[["tokens", "end", "rows"]].itertuples(index=False):
        assert sum(start <= length < end for length in tokens) == rows


def shown(tokens: tuple[int, ...], cutoff: int, rows: int | None) -> tuple[list[str], list[str], list[str]]:
    """What is said: fine, warnings, captions."""

    def page(tokens: tuple[int, ...], cutoff: int, rows: int | None) -> None:
        from lfdash.llamafactory.token_lengths import Lengths
        from lfdash.ui.data.lengths import draw_result

        draw_result(Lengths(tokens), cutoff, str, rows)

    with mock.patch("lfdash.ui.shared.text.language", return_value="en"):
        app = AppTest.from_function(page, args=(tokens, cutoff, rows)).run()
    assert not app.exception
    fine, warned, captions = ([item.value for item in kind] for kind in (app.success, app.warning, app.caption))
    return fine, warned, captions


def test_rows_that_fit_are_said_beside_those_of_the_file() -> None:
    fine, warned, _ = shown((5, 6), 8, 2)
    assert "All 2 training rows" in fine[0] and warned == []
    fine, warned, _ = shown((5,) * 20, 8, 60)
    assert "All 20 training rows" in fine[0] and warned == ["20 of 60 rows; 40 are left out."]
    fine, warned, _ = shown((5, 9), 8, 2)
    assert fine == [] and "1 of 2 training rows" in warned[0]
    _, warned, captions = shown((5,) * SAMPLE, 8, 5000)
    assert warned == [] and f"first {SAMPLE} of 5,000 rows" in captions[0]
