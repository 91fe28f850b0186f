"""The arguments in which rows differ: as a slow plain version says it, whatever rows come and go."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lfdash.runs.arguments import Value
from lfdash.runs.details import RunDetails
from lfdash.runs.differing import NO_SETTINGS, ArgumentMatrix, rank
from lfdash.runs.table import TableRow
from tests.runs.test_table import row

ARGS = st.dictionaries(
    st.sampled_from(["learning_rate", "lora_rank", "seed", "packing", "own", "output_dir", "stage"]),
    st.sampled_from([1, 1.0, True, False, 0, "1", "a", 2e-5, "true"]), max_size=5,
)


def rows_of(args: list[dict[str, Value]]) -> list[TableRow]:
    return [row(f"r{n}", details=RunDetails(one)) for n, one in enumerate(args)]


def plainly(args: list[dict[str, Value]]) -> list[str]:
    known = [one for one in args if one]
    several, absent = [], []
    for name in sorted({name for one in known for name in one}, key=rank):
        values = [one[name] for one in known if name in one]
        kinds = {(isinstance(value, bool), value) for value in values}
        if len(kinds) > 1:
            several.append(name)
        elif any(lacks(name, [one for one in known if sort(one) == part]) for part in map(sort, known)):
            absent.append(name)
    return [name for name in (*several, *absent) if name not in NO_SETTINGS] if len(known) > 1 else []


def sort(args: dict[str, Value]) -> tuple[bool, object]:
    return isinstance(args.get("stage"), bool), args.get("stage")


def lacks(name: str, args: list[dict[str, Value]]) -> bool:
    return 0 < sum(name in one for one in args) < len(args)


@given(st.lists(st.tuples(st.lists(ARGS, max_size=8), st.randoms(use_true_random=False)), min_size=1, max_size=4))
def test_what_differs_is_what_a_slow_look_finds(looks: list[tuple[list[dict[str, Value]], object]]) -> None:
    matrix, kept = ArgumentMatrix(), []
    for args, rng in looks:
        kept = [*kept[::2], *rows_of(args)]
        matrix.take(kept)
        shown = [place for place in range(len(kept)) if rng.random() < 0.7]  # type: ignore[attr-defined]
        places = np.array(shown, np.intp)
        chosen = [dict(kept[place].details.args) for place in shown]
        assert matrix.differing(places) == plainly(chosen)
        assert set(matrix.given(places)) == {name for one in chosen for name in one}
        for name in matrix.names:
            values, codes = matrix.of(name, places)
            got = [None if code == 0 else values[code - 1] for code in codes]
            assert [(isinstance(value, bool), value) for value in got] == [
                (isinstance(one.get(name), bool), one.get(name)) for one in chosen
            ]


def test_an_argument_that_nobody_has_is_not_given() -> None:
    matrix = ArgumentMatrix()
    matrix.take(rows_of([{"seed": 1}]))
    values, codes = matrix.of("lora_rank", np.array([0]))
    assert values == [] and codes.tolist() == [0]
    matrix.take([])
    assert matrix.differing(np.array([], np.intp)) == []


def test_what_is_tried_most_comes_first() -> None:
    assert sorted(["own", "seed", "val_size", "learning_rate", "lora_rank"], key=rank) == [
        "learning_rate", "lora_rank", "seed", "val_size", "own",
    ]


def test_what_is_unknown_of_a_run_is_not_what_it_left_out() -> None:
    """A model card names a few of the arguments: it does not say that the others were not given."""
    told: dict[str, Value] = {"learning_rate": 1e-4, "seed": 1}
    for partial, names in ((True, []), (False, ["learning_rate"])):
        matrix = ArgumentMatrix()
        rows = [row("a", details=RunDetails(told)), row("b", details=RunDetails({"seed": 1}, partial=partial))]
        matrix.take(rows)
        assert matrix.differing(np.arange(2)) == names
