"""The columns of the runs table: what a filter or an order takes from them is what would be made of its rows anew."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from lfdash.runs.arguments import Value, words
from lfdash.runs.details import RunDetails
from lfdash.runs.table import TableRow
from lfdash.ui.runs import columns
from lfdash.ui.runs.columns import Columns, straight, table_of
from tests.runs.test_table import row


def rows_of(count: int) -> list[TableRow]:
    losses = (1.5, None, None, 0.25)
    return [row(f"r{n}", spark=(1.0, float(n)), tags=("a",) * (n % 3), last=losses[n % 4]) for n in range(count)]


def test_any_choice_and_order_is_as_if_made_anew() -> None:
    rng, made, every = random.Random(1), Columns(), rows_of(250)
    for number in range(60):
        chosen = rng.sample(every, rng.randrange(len(every) + 1))
        assert made.of(chosen, tuple(every)).equals(table_of(chosen)), number
        assert made.of(every, tuple(every)).equals(table_of(every)), number
        place = rng.randrange(len(every))
        every[place] = replace(every[place], note=f"n{number}")
        if number % 5 == 0:
            every.insert(rng.randrange(len(every)), row(f"new{number}"))
        if number % 7 == 0:
            del every[rng.randrange(len(every))]
    assert made.of((), ()).num_rows == 0


def test_rows_of_another_look_are_shown_too() -> None:
    """Another tab was quicker, and has made the columns of a later look."""
    made, before = Columns(), rows_of(3)
    after = [replace(before[0], note="later"), *before[1:]]
    made.of(after, tuple(after))
    assert made.of(before, tuple(after)).equals(table_of(before))


def test_only_the_block_of_a_row_that_changed_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    made, every = Columns(), rows_of(3 * columns.BLOCK)
    made.of(every, tuple(every))
    cells: list[str] = []
    original = columns.table_of
    monkeypatch.setattr(columns, "table_of", lambda rows: cells.extend(row.name for row in rows) or original(rows))
    made.of(every[::-2], tuple(every))
    assert cells == []
    every[columns.BLOCK] = replace(every[columns.BLOCK], note="x")
    assert made.of([every[columns.BLOCK]], tuple(every))["note"].to_pylist() == ["x"]
    assert cells == [f"r{n}" for n in range(columns.BLOCK, 2 * columns.BLOCK)]


def test_columns_of_arguments_and_results_are_what_the_rows_say() -> None:
    rng, made = random.Random(2), Columns()
    values: tuple[Value, ...] = (1, 2.5, 8)
    every = [
        row(
            f"r{n}", details=RunDetails(
                {"lora_rank": values[n % 3], "optim": ("adamw", True, 3)[n % 3]} if n % 4 else {},
                {"acc": n / 2} if n % 5 else {}
            )
        )
        for n in range(230)
    ]
    columns = ["arg.lora_rank", "arg.optim", "arg.none", "score.acc"]
    for _ in range(20):
        chosen = rng.sample(every, rng.randrange(1, len(every)))
        data = made.of(chosen, tuple(every), columns, {chosen[0].run_id, chosen[-1].run_id}, lambda text: text.upper())
        rank = [one.details.args.get("lora_rank") for one in chosen]
        assert data["arg.lora_rank"].to_pylist() == rank
        said = [None if not one.details.args else words(one.details.args["optim"]).upper() for one in chosen]
        assert data["arg.optim"].to_pylist() == said and data["arg.none"].to_pylist() == [None] * len(chosen)
        assert data["score.acc"].to_pylist() == [one.details.scores.get("acc") for one in chosen]
        marked = [states == ["SUCCEEDED", "best"] for states in data["state"].to_pylist()]
        assert marked == [one in (chosen[0], chosen[-1]) for one in chosen]
    assert made.differing(every, tuple(every)) == ["arg.lora_rank", "arg.optim"]
    assert made.differing(every[1:2], tuple(every)) == [] and made.given(every) == ["arg.lora_rank", "arg.optim"]
    assert Columns().differing(every[:3], tuple(every[:3])) == made.differing([*every[:3]], tuple(every))


CURVES = (), (1.0,), (1.0, 3.0), (4.0, 1.0, 2.0), (5.0, 1.0, 1.0, 5.0, 1.0), tuple(map(float, range(30)))


@pytest.mark.parametrize("curve", CURVES)
def test_a_small_curve_of_few_points_has_straight_lines(curve: tuple[float, ...]) -> None:
    """The table draws through the middles of what it gets: close to each point it must get others on the same lines."""
    found = list(straight(curve))
    assert found[::max(1, (len(found) - 1) // max(1, len(curve) - 1))] == list(curve)
    if 2 < len(curve) < 10:
        assert 30 <= len(found) <= 40
        assert np.count_nonzero(np.diff(found, 2).round(9)) == np.count_nonzero(np.diff(curve, 2))
    else:
        assert found == list(curve)
