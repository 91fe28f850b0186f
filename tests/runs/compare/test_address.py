"""The address of a comparison: it says all, gives it back, and takes whatever somebody typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfdash.runs.compare.address import FIELDS, MOST_RUNS, TABS, Comparison, of_runs, read, write

IDS = st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True)


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    ids = draw(st.lists(st.one_of(st.just(""), IDS), max_size=8))
    places = tuple("" if run_id in ids[:place] else run_id for place, run_id in enumerate(ids))
    while places and not places[-1]:
        places = places[:-1]
    chosen = [run_id for run_id in places if run_id]
    return Comparison(
        runs=places, base=draw(st.sampled_from(["", *chosen])), tab=draw(st.sampled_from(TABS)),
        setting=draw(st.sampled_from(["", "learning_rate"])),
        metric=draw(st.sampled_from(["", "best_eval", "predict_bleu-4", "social sciences"])),
        pair=draw(st.one_of(st.just(()), st.tuples(st.just("a"), st.just("b")))),
    )


@given(comparisons())
def test_an_address_gives_the_comparison_back(wanted: Comparison) -> None:
    assert read(write(wanted)) == wanted


@given(st.dictionaries(st.sampled_from(FIELDS), st.text()))
def test_whatever_an_address_says_is_read_and_settles(address: dict[str, str]) -> None:
    wanted = read(address)
    assert read(write(wanted)) == wanted
    assert wanted.tab in TABS and wanted.base in ("", *wanted.ids)
    assert len(set(wanted.ids)) == len(wanted.ids) <= MOST_RUNS


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcdef")), max_size=30))
def test_a_run_keeps_its_place_while_others_come_and_go(steps: list[tuple[bool, str]]) -> None:
    wanted, places = Comparison(), {}
    for add, run_id in steps:
        wanted = wanted.with_run(run_id) if add else wanted.without_run(run_id)
        if add and run_id not in places:
            free = min(set(range(len(places) + 1)) - set(places.values()))
            places[run_id] = free
        elif not add:
            places.pop(run_id, None)
        assert {run_id: wanted.place(run_id) for run_id in wanted.ids} == places


def test_what_is_usual_is_not_said() -> None:
    assert write(of_runs(["a", "b"])) == {"runs": "a,b"}
    said = write(Comparison(("a", "", "c"), "c", "scores", "lora_rank", "best", ("x", "y")))
    assert said == {
        "runs": "a,,c", "base": "c", "tab": "scores", "setting": "lora_rank", "metric": "best", "pair": "x,y",
    }


def test_the_baseline_goes_with_its_run() -> None:
    assert Comparison(("a", "b"), "b").without_run("b") == Comparison(("a",))


def test_there_are_no_more_runs_than_fit() -> None:
    wanted = of_runs(f"r{n}" for n in range(MOST_RUNS + 5))
    assert len(wanted.ids) == MOST_RUNS and read(write(wanted)) == wanted
    assert len(read({"runs": ",".join(f"r{n}" for n in range(5000))}).ids) == MOST_RUNS


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ({"runs": "a,a,b"}, Comparison(("a", "", "b"))),
        ({"runs": "a,../x,b"}, Comparison(("a", "", "b"))),
        ({"runs": "a", "base": "b", "tab": "y", "setting": "<b>", "pair": "a"}, Comparison(("a",))),
        ({"runs": "a", "pair": "x,x"}, Comparison(("a",))),
        ({}, Comparison()),
    ],
)
def test_what_is_amiss_is_left_out(address: dict[str, str], wanted: Comparison) -> None:
    assert read(address) == wanted
