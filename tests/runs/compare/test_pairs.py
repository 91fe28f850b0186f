"""Predictions of two evaluations: matched by prompt as a plain look does it, in stretches, while the files grow."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.runs import predictions as module
from lfdash.runs.compare.pairs import NOWHERE, Index, Pairs, matched, row_of, turns
from lfdash.runs.predictions import Predictions, Search

ROWS = st.lists(st.tuples(st.sampled_from(["p", "q", "r", "ü"]), st.sampled_from(["yes", "no", ""])), max_size=12)


def write(path: Path, rows: list[tuple[str, str]]) -> Predictions:
    path.write_text("".join(
        json.dumps({"prompt": prompt, "predict": answer, "label": f"label of {prompt}"}) + "\n"
        for prompt, answer in rows
    ))
    return Predictions(path)


def through(pairs: Pairs) -> Pairs:
    while not pairs.done:
        pairs.go_on(lambda: False)
    return pairs


def plainly(left: list[tuple[str, str]], right: list[tuple[str, str]]) -> list[tuple[int, int, bool]]:
    """The slow way: the n-th of a prompt with the n-th of it."""
    places = defaultdict(list)
    for place, (prompt, _) in enumerate(right):
        places[prompt].append(place)
    found = []
    for place, (prompt, answer) in enumerate(left):
        other = places[prompt].pop(0) if places[prompt] else NOWHERE
        found.append((place, other, other == NOWHERE or right[other][1] != answer))
    rest = sorted(place for left_over in places.values() for place in left_over)
    return found + [(NOWHERE, place, True) for place in rest]


@given(ROWS, ROWS)
def test_rows_are_matched_by_their_prompts(left: list[tuple[str, str]], right: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pairs = Pairs(write(Path(folder) / "a", left), write(Path(folder) / "b", right))
        found = through(pairs).matched
    wanted = plainly(left, right)
    assert list(zip(found.left.tolist(), found.right.tolist(), found.differs.tolist(), strict=True)) == wanted
    assert (found.both, found.only_left, found.only_right) == (
        sum(a != NOWHERE != b for a, b, _ in wanted), sum(b == NOWHERE for _, b, _ in wanted),
        sum(a == NOWHERE for a, _, _ in wanted),
    )


@given(st.lists(st.integers(0, 4), max_size=30))
def test_turns_count_the_same_before(hashes: list[int]) -> None:
    wanted = [hashes[:place].count(value) for place, value in enumerate(hashes)]
    assert turns(np.array(hashes, dtype=np.uint64)).tolist() == wanted


def test_what_is_shown(tmp_path: Path) -> None:
    left = write(tmp_path / "a", [("one", "1"), ("two", "2"), ("three", "3")])
    right = write(tmp_path / "b", [("three", "three"), ("four", "4"), ("one", "1")])
    pairs = through(Pairs(left, right))
    assert pairs.wanted(all_rows=False).tolist() == [1, 2, 3] and pairs.wanted(all_rows=True).tolist() == [0, 1, 2, 3]
    shown = [tuple(row and (row.prompt, row.predict) for row in pair) for pair in pairs.at([0, 1, 2, 3])]
    assert shown == [
        (("one", "1"), ("one", "1")), (("two", "2"), None), (("three", "3"), ("three", "three")),
        (None, ("four", "4")),
    ]
    searches = [Search(left, "four"), Search(right, "four")]
    for search in searches:
        search.go_on(lambda: False)
    assert pairs.wanted(all_rows=True, searches=searches).tolist() == [3]
    searches = [Search(left, "one"), Search(right, "one")]
    for search in searches:
        search.go_on(lambda: False)
    assert pairs.wanted(all_rows=False, searches=searches).tolist() == []


def test_it_reads_in_stretches_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 500)
    rows = [(f"question {n}", f"answer {n % 7}") for n in range(300)]
    pairs = Pairs(write(tmp_path / "a", rows), write(tmp_path / "b", rows[::-1]))
    pairs.go_on(lambda: True)
    assert 0 < len(pairs.left) < 50 and len(pairs.right) == 0 and 0 < pairs.share < 0.2 and not pairs.done
    through(pairs)
    assert pairs.share == 1.0 and pairs.matched.both == 300 and not pairs.matched.differs.any()
    with (tmp_path / "b").open("a") as file:
        file.write(json.dumps({"prompt": "new", "predict": "x", "label": ""}) + "\n")
    through_again = pairs
    through_again.go_on(lambda: False)
    assert pairs.matched.only_right == 1
    write(tmp_path / "a", [("question 3", "answer 3")])
    pairs.go_on(lambda: False)
    assert (pairs.matched.both, pairs.matched.only_left) == (1, 0)


def test_odd_rows_are_rows(tmp_path: Path) -> None:
    assert row_of(b'{"prompt": "p", "predict": "a", "label": ""}') == ("p", "a")
    assert row_of(b'{"prompt": 3, "predict": ["x"]}') == ("3", "['x']")
    assert row_of(b'{"prompt": "p", "predict": NaN}') == ("p", "nan")
    assert row_of(b"not json") == ("not json", "")
    assert row_of(b"\xff") == ("\ufffd", "")
    assert row_of(b'{"prompt": "\\ud800", "predict": "x"}')[1] == "x"


def test_a_file_that_is_not_there_has_no_rows(tmp_path: Path) -> None:
    pairs = Pairs(Predictions(tmp_path / "a"), write(tmp_path / "b", [("p", "x")]))
    pairs.go_on(lambda: False)
    assert pairs.done and pairs.matched.only_right == 1
    assert Index(Predictions(tmp_path / "a")).done


def test_a_million_rows_are_matched_in_no_time() -> None:
    rng = np.random.default_rng(1)
    prompts = rng.integers(0, 2**63, 1_000_000).astype(np.uint64)
    answers = rng.integers(0, 3, 1_000_000).astype(np.uint64)
    order = rng.permutation(len(prompts))
    found = matched(prompts, answers, prompts[order], answers[order])
    assert found.both == len(prompts) and not found.differs.any()
