"""Since when a run learns nothing: told as the rows come, the same as from all of them."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lfdash.runs.metrics.columns import Columns
from lfdash.runs.metrics.dead import Dead
from lfdash.runs.metrics.frame import OVERFLOWN, TRAINED
from lfdash.runs.metrics.match import put

NAN = math.nan
LOSS = st.sampled_from([1.0, 1.0, 0.0, 0.0, NAN, NAN, NAN, None])
NORM = st.sampled_from([1.0, NAN, NAN, None, None])


def plain(rows: list[tuple[float | None, float | None]]) -> float | None:
    dead: list[int] = []
    for step, (loss, norm) in reversed(list(enumerate(rows))):
        if loss is None:
            continue
        if math.isfinite(loss) and not (loss == 0 and norm is not None and not math.isfinite(norm)):
            break
        dead.append(step)
    return float(dead[-1]) if len(dead) >= 3 else None


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.lists(st.tuples(LOSS, NORM), max_size=6)),
            st.tuples(st.just("norm"), st.tuples(st.integers(0, 20), NORM)),
            st.tuples(st.just("cut"), st.integers(0, 20)),
            st.tuples(st.just("repeat"), st.integers(0, 90)),
        ),
        max_size=10,
    )
)
def test_it_is_told_as_from_all_rows(changes: list[tuple[str, object]]) -> None:
    columns, rows = Columns(), []  # type: ignore[var-annotated]
    dead = Dead(columns, 3)
    for kind, value in changes:
        if kind == "cut":
            columns.cut(value)
            del rows[value:]
        elif kind == "norm":
            place, norm = value
            if place < len(rows) and norm is not None:
                rows[place] = (rows[place][0], norm)
                put(columns, "grad_norm", np.array([place]), np.array([norm]), exact=True)
        else:
            more = value if kind == "add" else [(NAN, None)] * value
            for loss, norm in more:
                columns.grow(np.array([float(len(rows))]))
                place, at = len(rows), np.array([len(rows)])
                rows.append((loss, norm))
                if loss is not None:
                    columns.put("loss", at, np.array([loss]))
                    columns.marks[place] |= TRAINED
                if norm is not None:
                    put(columns, "grad_norm", at, np.array([norm]), exact=True)
        assert dead.since() == plain(rows)
    assert not np.any(columns.marks & OVERFLOWN & (np.array([norm is None for _, norm in rows], bool) * OVERFLOWN))
