"""The line at the top: what it says of a run, what it says when little is known, and that no name is markup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.runs.metrics.progress import Progress
from lfdash.runs.record import Attempt, Exit, RunRecord, RunState
from lfdash.runs.view import RunView
from lfdash.ui.shared.run_words import state_word
from lfdash.ui.train.strip import spoken_state, strip_facts, strip_html, title_words
from tests.support.feeds import fed

NEW = RunView("id-a", "a", Path("/w/saves/a"), "saves/a", RunState.STARTING)
HALF = Progress(step=30, total=60, percent=50.4, epoch=1.5, loss=0.12345, elapsed_s=3725.0, remaining_s=61.0,
                tokens_per_s=12345.6)


def facts(view: RunView) -> list[str]:
    return [value for _, value in strip_facts(view)]


def test_what_is_not_known_yet_is_a_dash() -> None:
    assert facts(NEW) == ["– / –", "–", "–", "–", "–", "–"]
    assert facts(replace(NEW, progress=Progress(step=0, total=60)))[0] == "0 / 60"


def test_what_is_known_is_written_as_people_read_it() -> None:
    running = replace(NEW, state=RunState.RUNNING, progress=HALF)
    assert facts(running) == ["30 / 60", "1.50", "0:01:01", "1:02:05", "0.1235", "12,346 tok/s"]
    assert facts(replace(running, state=RunState.STOPPED))[2] == "–"  # nothing remains of a run that is over


def test_what_does_not_train_has_no_epoch_and_no_loss() -> None:
    scores = replace(NEW, record=RunRecord("id-a", "eval", "a", "local", "m", "sft", "lora", (), ()))
    assert facts(scores) == ["–"]
    assert facts(replace(scores, progress=replace(HALF, step=3, total=4), state=RunState.RUNNING)) == [
        "3 / 4", "0:01:01", "1:02:05"]
    # what its progress bar printed last is not where it ended
    assert facts(replace(scores, progress=replace(HALF, step=10, total=12), state=RunState.SUCCEEDED)) == ["1:02:05"]


@pytest.mark.parametrize(("kind", "word", "look"), [("chat", "ENDED", "idle"), ("train", "STOPPED", "stop")])
def test_what_serves_ends_by_being_stopped_and_a_training_does_not(kind: str, word: str, look: str) -> None:
    record = RunRecord("id-a", kind, "a", "local", "m", "sft", "lora", (), ())
    view = replace(NEW, record=record, state=RunState.STOPPED)
    shown = strip_html(view)
    assert f'<span class="lf-state lf-{look}" data-state="STOPPED">{word}</span>' in shown
    assert f'data-title="{word} ' in shown and word in spoken_state(view)


def test_a_resumed_run_has_taken_the_time_of_all_its_attempts() -> None:
    ends = (Exit("id-a", 1, 0, seconds=3600.0), None)
    attempts = tuple(Attempt(number, ("train",), {}, exit=end) for number, end in enumerate(ends, 1))
    record = RunRecord("id-a", "train", "a", "local", "m", "sft", "lora", (), attempts)
    running = replace(NEW, state=RunState.RUNNING, progress=HALF, record=record, attempt=2)
    assert facts(running)[3] == "2:02:05" and facts(replace(running, attempt=1))[3] == "1:02:05"


def test_the_speed_of_a_run_that_is_over_is_that_of_the_whole(tmp_path: Path) -> None:
    rows = [
        {"current_steps": step, "loss": 1.0, "total_tokens": 100 * step, "elapsed_time": f"0:00:{when}"}
        for step, when in ((1, 40), (2, 41), (3, 42), (8, 50))
    ]
    feed = fed(tmp_path, rows)
    told = {RunState.RUNNING: ("12,346 tok/s", "newest"), RunState.STOPPED: ("16 tok/s", "whole run")}
    for state, (speed, words) in told.items():
        view = replace(NEW, state=state, progress=HALF)
        assert strip_facts(view, feed)[-1][1] == speed and words in strip_html(view, feed)


@pytest.mark.parametrize(
    ("state", "percent", "shown"),
    [(RunState.RUNNING, 50.4, "50"), (RunState.RUNNING, None, "0"), (RunState.SUCCEEDED, None, "100")],
)
def test_the_bar_says_how_far_it_is(state: RunState, percent: float | None, shown: str) -> None:
    drawn = strip_html(replace(NEW, state=state, progress=Progress(percent=percent)))
    assert f'aria-valuenow="{shown}"' in drawn and f'data-state="{state.name}"' in drawn
    assert f"width:{percent or float(shown):.1f}%" in drawn


@pytest.mark.parametrize(("step", "shown"), [(0, "0.0"), (7, "0.4"), (1600, "100.0")])
def test_the_bar_of_what_finished_before_its_end_is_not_full(step: int, shown: str) -> None:
    found = Progress(step=step, total=1600, percent=step / 16)
    assert f"width:{shown}%" in strip_html(replace(NEW, state=RunState.SUCCEEDED, progress=found))


def test_a_name_is_no_markup() -> None:
    drawn = strip_html(replace(NEW, name='<img src=x onerror="alert(1)">'))
    assert "<img" not in drawn and "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;" in drawn


def test_without_a_run_it_says_so() -> None:
    assert "No run" in strip_html(None) and 'style="width:0"' in strip_html(None)


def test_what_is_wrong_stands_beside_the_state_and_in_the_title_of_the_tab() -> None:
    running = replace(NEW, name="one", state=RunState.RUNNING, progress=replace(HALF, percent=47.0))
    drawn = strip_html(running, marks=("stalled", "dead"))
    assert 'data-title="⚠ STALLED NaN 47 % one"' in drawn and 'data-state="RUNNING"' in drawn
    assert 'lf-stop" data-mark="stalled">STALLED<' in drawn and 'lf-fail" data-mark="dead">NaN<' in drawn
    assert 'data-title="⚠ NaN STOPPED one"' in strip_html(replace(running, state=RunState.STOPPED), marks=("dead",))
    assert 'data-title="47 % one"' in strip_html(running) and "data-mark" not in strip_html(running)


@pytest.mark.parametrize("state", list(RunState))
def test_the_title_of_the_tab_warns_of_a_run_that_failed(state: RunState) -> None:
    words = title_words(replace(NEW, name="one", state=state))
    assert words == f"{'⚠ ' if state.name in ('FAILED', 'LOST') else ''}{state_word(state.name)} one"
