"""The closed form beside what was measured on an H200: 64 trainings."""

from __future__ import annotations

import statistics

import pytest

from lfdash.memory.estimate import BAND, ODD_ROOM, estimate, has_odd_room
from tests.support.memory import HELD, measured

ROWS = measured()
# Share by which a figure may be off: the median, and the worst. Those of the prototype, which were measured.
ALLOWED = {"allocated": (0.0015, 0.0215), "reserved": (0.018, 0.103), "driver": (0.016, 0.0995)}


def errors(figure: str) -> dict[str, float]:
    """Row -> how far the estimate is off, as a share of what was measured."""
    return {row.id: getattr(estimate(row.subject), figure) / row.truth[figure] - 1 for row in ROWS}


def test_all_rows_are_there() -> None:
    assert len(ROWS) == 64
    assert {row.subject.stage for row in ROWS} == {"sft", "pt", "dpo", "kto", "rm"}


@pytest.mark.parametrize("figure", ALLOWED)
def test_it_is_as_near_as_it_was(figure: str) -> None:
    found = {name: abs(error) for name, error in errors(figure).items()}
    median, worst = ALLOWED[figure]
    assert statistics.median(found.values()) <= median
    assert max(found.values()) <= worst, max(found.items(), key=lambda item: item[1])


def test_the_band_holds_nineteen_of_twenty() -> None:
    off = [abs(error) for error in errors("driver").values()]
    assert sum(error > BAND for error in off) <= len(off) / 20


def test_optimizers_whose_room_is_not_well_known_have_a_wider_band() -> None:
    off = errors("driver")
    odd = {row.id: abs(off[row.id]) for row in ROWS if has_odd_room(row.subject)}
    assert len(odd) == 7 and BAND < max(odd.values()) <= ODD_ROOM
    assert all(estimate(row.subject).band >= ODD_ROOM for row in ROWS if row.id in odd)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_terms_add_up_and_nothing_is_said_to_be_unknown_that_was_measured(row) -> None:
    found = estimate(row.subject)
    assert sum(found.terms.values()) == found.driver
    assert found.allocated == found.driver - found.terms["holes"] - found.terms["driver"]
    assert max(found.phases.values()) == found.allocated <= found.reserved
    assert min(found.terms.values()) >= 0
    assert set(found.unknown) <= {"lengths", "eight_bit"}, "of another model in 8 bit the measurement is not explained"
    assert row.subject.eager == (row.attention == "eager")


# -- measured when the terms had been found -----------------------------------------------------------------

LATER = measured(HELD)
WITHIN = 0.01  # share of what was allocated


def test_the_later_rows_are_of_other_kinds() -> None:
    assert len(LATER) == 13
    assert sum(row.subject.on("fp16") for row in LATER) == 2
    assert sum(bool(row.subject.architecture.tower) for row in LATER) == 4
    assert any(row.subject.evaluates for row in LATER) and any(row.subject.padded for row in LATER)


@pytest.mark.parametrize("row", LATER, ids=lambda row: row.id)
def test_a_later_row_is_as_near(row) -> None:
    found = estimate(row.subject)
    assert found.allocated == pytest.approx(row.truth["allocated"], rel=WITHIN)
    if row.subject.padded:  # the allocator keeps room of each length until it is short of memory
        assert found.driver < row.truth["driver"] and "padding" in found.unknown
    else:
        assert found.driver == pytest.approx(row.truth["driver"], rel=BAND)
