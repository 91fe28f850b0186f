"""What the console printed for a step comes to that step: both shapes of transformers, resumes, lost lines."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lfdash.runs.metrics import state
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.metrics.printed import numbers, printed
from lfdash.runs.paths import RunPaths
from tests.support.feeds import fed, written
from tests.support.plain_metrics import same
from tests.support.runs import FIXTURES

TOTAL = 300


def loss_at(step: int, launch: int = 0) -> float:
    return 2.0 + 0.3 * math.sin(step * 12.9898 + launch)


def row_at(step: int, launch: int = 0) -> dict[str, Any]:
    return {
        "current_steps": step, "total_steps": TOTAL, "loss": loss_at(step, launch), "lr": 1e-4 * (1 - step / TOTAL),
        "epoch": step / 100,
    }  # a row of the trainer log


def line_of(row: dict[str, Any], shape: int, more: dict[str, float]) -> str:
    """A row as transformers 4 or 5 prints it, after LLaMA-Factory's own line."""
    own = f"[INFO] callbacks:144 >> {{'loss': {row['loss']:.4f}, 'learning_rate': {row['lr']:.4e}, 'epoch': 0.14}}\n"
    entry: dict[str, Any] = {"loss": row["loss"], "grad_norm": more["grad_norm"], "learning_rate": row["lr"], **more}
    if shape == 4:
        entry = {name: round(value, 4) if name == "loss" else value for name, value in entry.items()}
        return f"{own}\r      {entry | {'epoch': round(row['epoch'], 2)}}\n"
    return f"{own}\r      { {name: f'{value:.4g}' for name, value in (entry | {'epoch': row['epoch']}).items()} }\n"


Launches = list[tuple[int, int]]
LAUNCHES = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 60)), min_size=1, max_size=3)
SOME = st.sets(st.integers(1, 100), max_size=20)


@dataclass(frozen=True)
class Story:
    """What launches wrote, line by line: a row of the log and what the console said of it, "" where it is lost. told:
    the margins that the steps have at the end, of those that have any."""

    lines: list[tuple[str, str]]
    told: dict[int, float]


def story_of(
    shape: int, launches: Launches, *, lost: set[int], kept: set[int], alike: bool, timed: bool = False
) -> Story:
    """launches: first step and number of steps of each. lost: steps without a line on the console; kept: steps without
    a row; what a launch begins with has both, each time: else nothing tells of two lines of the same numbers that they
    are two. alike: whether a step that is trained again has the same loss. timed: whether rows say when they were."""
    lines, told, ends = [], {}, [0]  # type: list[tuple[str, str]], dict[int, float], list[int]
    for begin, count in launches:
        ends.append((min(begin, ends[-1] + 1) if len(ends) > 1 else 1) + count - 1)
    begins = [end - count + 1 for end, (_, count) in zip(ends[1:], launches, strict=True)]
    for number, (begin, end) in enumerate(zip(begins, ends[1:], strict=True)):
        told = {step: value for step, value in told.items() if step < begin}
        for step in range(begin, end + 1):
            row, margin = row_at(step, 0 if alike else number), round(step + number / 10, 1)
            more = {"grad_norm": margin, "rewards/margins": margin}
            clock = {"elapsed_time": str(timedelta(seconds=(step - begin + 1) * 10 ** (3 - number)))} if timed else {}
            is_lost, is_kept = step in lost - {begin}, step in kept - {*begins}
            lines.append(("" if is_kept else written([row | clock]), "" if is_lost else line_of(row, shape, more)))
            if not (is_lost or is_kept):
                told[step] = margin
    return Story(lines, told)


def told_by(feed: RunFeed, name: str = "rewards/margins") -> dict[float, float]:
    """What a feed has of each step."""
    if name not in feed.frame:
        return {}
    steps, values = feed.frame.series(name)
    return dict(zip(steps.tolist(), values.tolist(), strict=True))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.sampled_from([4, 5]), launches=LAUNCHES, lost=SOME, kept=SOME,
    cuts=st.lists(st.integers(0, 20_000), max_size=4), alike=st.booleans(), timed=st.booleans(),
)
@example(shape=5, launches=[(1, 1), (1, 1)], lost=set(), kept=set(), cuts=[], alike=True, timed=False)
@example(shape=4, launches=[(1, 30), (30, 9)], lost=set(), kept=set(), cuts=[], alike=True, timed=True)
@example(shape=5, launches=[(1, 30), (25, 5), (20, 10)], lost={25}, kept=set(), cuts=[], alike=True, timed=True)
def test_every_step_has_what_was_printed_for_it(
    tmp_path: Path, shape: int, launches: Launches, lost: set[int], kept: set[int], cuts: list[int], alike: bool,
    timed: bool,
) -> None:
    """The console read in pieces, and at once."""
    story = story_of(shape, launches, lost=lost, kept=kept, alike=alike, timed=timed)
    console = "".join(said for _, said in story.lines)
    paths = RunPaths(tmp_path)
    paths.console.unlink(missing_ok=True)
    paths.trainer_log.write_text("".join(row for row, _ in story.lines))
    feed = RunFeed(paths)
    for cut in sorted(cuts):
        paths.console.write_text(console[:cut])
        feed.poll()
    paths.console.write_text(console)
    feed.poll()
    assert told_by(feed) == {step: value for step, value in story.told.items() if step in feed.frame["step"]}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.sampled_from([4, 5]), launches=LAUNCHES, lost=SOME, kept=SOME, alike=st.booleans(), timed=st.booleans(),
    looks=st.lists(st.integers(0, 12), max_size=40), early=st.lists(st.booleans(), min_size=1, max_size=7),
)
@example(looks=[], shape=5, launches=[(1, 30), (30, 9)], lost=set(), kept=set(), alike=False, timed=True, early=[True])
@example(
    looks=[0] * 160, shape=4, launches=[(1, 60), (21, 20)], lost=set(), kept=set(), alike=True, timed=True, early=[True]
)
@example(looks=[0, 0, 0, 1], shape=4, launches=[(1, 3)], lost={2}, kept=set(), alike=False, timed=False, early=[True])
def test_a_run_that_is_followed_has_what_a_fresh_look_at_it_has(
    tmp_path: Path, shape: int, launches: Launches, lost: set[int], kept: set[int], alike: bool, timed: bool,
    looks: list[int], early: list[bool],
) -> None:
    """looks: how many files grow before each look at them. early: whether a line is on the console before its row is
    in the log, in turn."""
    story = story_of(shape, launches, lost=lost, kept=kept, alike=alike, timed=timed)
    paths = RunPaths(tmp_path)
    log, console = paths.trainer_log, paths.console
    written_to: list[tuple[Path, str]] = []
    for number, (row, said) in enumerate(story.lines):
        both = [(log, row), (console, said)]
        written_to += reversed(both) if early[number % len(early)] else both
    for path in (log, console):
        path.write_text("")
    followed, due = RunFeed(paths), looks[::-1]
    wait = due.pop() if due else 1000
    for path, text in written_to:
        with path.open("a") as file:
            file.write(text)
        wait -= 1
        if wait < 0:
            followed.poll()
            fresh = RunFeed(paths)
            fresh.poll()
            assert told_by(followed) == told_by(fresh)
            wait = due.pop() if due else 1000
    followed.poll()
    for name in ("rewards/margins", "grad_norm"):
        told = told_by(followed, name)
        assert told == {step: value for step, value in story.told.items() if step in followed.frame["step"]}


def test_real_consoles_tell_all_that_they_have() -> None:
    text = (FIXTURES / "logs" / "sft_console.txt").read_bytes()
    entries = list(printed(text))
    assert len([entry for entry in entries if "loss" in entry]) == 14 and entries[0]["grad_norm"] == 0.289


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"{'loss': '5.677', 'epoch': '0.14'}", {"loss": 5.677, "epoch": 0.14}),
        (b"{'loss': 5.6773, 'epoch': 0.14, 'n': 800}", {"loss": 5.6773, "epoch": 0.14, "n": 800.0}),
        (b"{'loss': -1e-05, 'epoch': 1.0, 'word': 'x', 'more': [1, 2]}", {"loss": -1e-05, "epoch": 1.0}),
        (b"{'loss': 1.0, 'grad_norm': inf, 'epoch': 1.0}", {"loss": 1.0, "grad_norm": float("inf"), "epoch": 1.0}),
    ],
)
def test_both_shapes_are_read(text: bytes, told: dict[str, float]) -> None:
    assert numbers(text) == told and list(printed(b"12%|##| 1/9\r   " + text + b"\r\n")) == [told]


def test_nan_is_read_in_both_shapes() -> None:
    for text in (b"{'loss': nan, 'epoch': 1.0}", b"{'loss': 'nan', 'epoch': '1'}"):
        assert np.isnan(numbers(text)["loss"]) and numbers(text)["epoch"] == 1.0


def test_what_is_no_metric_line_is_passed_over() -> None:
    other = b"{'task': {'name': 'x'}}\n>> {'loss': 1.0, 'epoch': 0.1}\n{'a': 1}\n{'loss': '1', 'epoch': \n"
    begin = time.process_time()
    assert list(printed(other + b"{'" * 400_000)) == []
    assert list(printed(b"{'" * 400_000 + b"{'loss': '1', 'epoch': '2'}\n")) == [{"loss": 1.0, "epoch": 2.0}]
    assert time.process_time() - begin < 1


def test_the_rewards_of_every_stage_become_columns(tmp_path: Path) -> None:
    names = {"rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen", "kl"}
    more = {name: number / 8 for number, name in enumerate(sorted(names))} | {"grad_norm": 1.0}
    rows = [row_at(step) for step in range(1, 9)]
    for shape in (4, 5):
        feed = fed(tmp_path / str(shape), rows, "".join(line_of(row, shape, more) for row in rows))
        for name, value in more.items():
            assert feed.frame[name].tolist() == [value] * 8
        assert "train_runtime" not in feed.frame and "num_input_tokens_seen" not in feed.frame


def test_the_evaluation_after_the_training_comes_to_the_last_step(tmp_path: Path) -> None:
    """It is not in the trainer log, nor in the state."""
    rows = [row_at(step) for step in (1, 2)]
    said = "{'eval_loss': '1.5', 'eval_accuracy': '0.5', 'eval_runtime': '0.1', 'epoch': '0.02'}\n"
    closing = {"current_steps": 2, "total_steps": TOTAL, "epoch": 0.02}
    frame = fed(tmp_path, [*rows, closing], said).frame
    assert [list(values) for values in frame.series("eval_loss")] == [[2], [1.5]]
    assert [list(values) for values in frame.series("eval_accuracy")] == [[2], [0.5]] and "eval_runtime" not in frame


def test_the_loss_of_an_evaluation_stays_as_exact_as_the_log_has_it(tmp_path: Path) -> None:
    evaluated = {"current_steps": 2, "total_steps": TOTAL, "eval_loss": 1.50001, "epoch": 0.02}
    said = "{'eval_loss': '1.5', 'eval_rewards/margins': '0.25', 'epoch': '0.02'}\n"
    frame = fed(tmp_path, [row_at(2), evaluated], said).frame
    assert frame["eval_loss"].tolist() == [1.50001] and frame["eval_rewards/margins"].tolist() == [0.25]


def test_a_line_that_comes_before_its_row_waits(tmp_path: Path) -> None:
    feed = fed(tmp_path, [row_at(1)], line_of(row_at(1), 5, {"grad_norm": 1.0}))
    with feed.paths.console.open("a") as file:
        file.write(line_of(row_at(2), 5, {"grad_norm": 2.0}))
    assert not feed.poll()
    with feed.paths.trainer_log.open("a") as file:
        file.write(written([row_at(2)]))
    assert feed.poll() and feed.frame["grad_norm"].tolist() == [1.0, 2.0]


def test_tokens_settle_which_row_it_is(tmp_path: Path) -> None:
    rows = [row_at(1) | {"current_steps": step, "total_tokens": 10 * step} for step in range(1, 200)]
    said = "".join(
        f"{{'loss': '{loss_at(1):.4g}', 'kl': '{step}', 'epoch': '0.01', 'num_input_tokens_seen': {10 * step}}}\n"
        for step in range(1, 200) if step % 3 == 0
    )
    steps, values = fed(tmp_path, rows, said).frame.series("kl")
    assert steps.tolist() == values.tolist() == [step for step in range(1, 200) if step % 3 == 0]


@pytest.mark.parametrize("same", [True, False])
def test_a_long_console_costs_the_same_a_line(tmp_path: Path, same: bool) -> None:
    """Also one that has nothing to do with the log, and one whose epochs are all alike."""
    count = 40_000
    rows = [row_at(1) | {"current_steps": step, "loss": 2.0 + step % 97} for step in range(1, count)]
    said = "".join(
        f"{{'loss': '{(2.0 if same else 500.0) + step % 97:.4g}', 'grad_norm': '0.5', 'epoch': '0.01'}}\n"
        for step in range(1, count)
    )
    begin = time.process_time()
    frame = fed(tmp_path, rows, said).frame
    assert time.process_time() - begin < 6
    assert np.isfinite(frame["grad_norm"]).all() if same else "grad_norm" not in frame


# -- states ---------------------------------------------------------------------------------------------


def state_of(steps: range, launch: int = 0) -> list[dict[str, Any]]:
    return [
        {"step": step, "loss": loss_at(step, launch), "kl": step + launch / 8, "epoch": step / 100} for step in steps
    ]


def save(path: Path, history: list[dict[str, Any]], **more: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {"best_metric": None, "log_history": history, "stateful_callbacks": {"a": {"b": []}}, **more}
    path.write_text(json.dumps(state, indent=2, sort_keys=True) + "\n")


def test_a_run_without_a_console_is_told_by_its_newest_checkpoint(tmp_path: Path) -> None:
    feed = fed(tmp_path, [row_at(step) for step in range(1, 31)])
    for last in (10, 20):
        save(tmp_path / f"checkpoint-{last}" / "trainer_state.json", state_of(range(1, last + 1)), padding="x" * last)
        assert feed.poll() and not feed.poll()
        assert feed.frame.series("kl")[0].tolist() == list(range(1, last + 1))
    save(tmp_path / "trainer_state.json", [*state_of(range(1, 31)), {"step": 30, "train_loss": 1.0}])
    assert feed.poll() and feed.frame["kl"].tolist() == list(range(1, 31))


def test_a_state_is_read_on_where_the_last_one_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    plain = state.parsed
    monkeypatch.setattr(state, "parsed", lambda data: (read.append(len(data)), plain(data))[1])
    monkeypatch.setattr(state, "PIECE", 700)
    feed = fed(tmp_path, [row_at(step) for step in range(1, 101)])
    save(tmp_path / "checkpoint-90" / "trainer_state.json", state_of(range(1, 91)))
    feed.poll()
    assert len(read) > 10 and len(feed.frame.series("kl")[0]) == 90
    read.clear()
    save(tmp_path / "checkpoint-95" / "trainer_state.json", state_of(range(1, 96)), a_key_before="x" * 100)
    feed.poll()
    assert 0 < sum(read) < 1000 and feed.frame.series("kl")[1].tolist() == list(range(1, 96))


def test_a_state_of_steps_that_were_trained_again_is_not_believed(tmp_path: Path) -> None:
    save(tmp_path / "trainer_state.json", state_of(range(1, 21)))
    again = [row_at(step) for step in range(1, 11)] + [row_at(step, 1) for step in range(11, 21)]
    feed = fed(tmp_path, again)
    assert feed.frame.series("kl")[0].tolist() == list(range(1, 11))
    save(tmp_path / "trainer_state.json", [*state_of(range(1, 11)), *state_of(range(11, 21), 1)])
    assert feed.poll() and feed.frame["kl"][-1] == 20.125


@pytest.mark.parametrize(
    "text", ["", "{", '{"log_history": [', '{"log_history": [{"step": 1}, {]}', '{"log_history": 7}']
)
def test_a_broken_state_tells_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "trainer_state.json").write_text(text)
    feed = fed(tmp_path, [row_at(1)])
    assert len(feed.frame) == 1 and feed.reading is None and not feed.poll()


def test_a_state_with_bare_nan_is_read(tmp_path: Path) -> None:
    history = [{"step": 1, "loss": loss_at(1), "grad_norm": float("nan")}, {"step": 2, "grad_norm": 2.5}]
    frame = fed(tmp_path, [row_at(1), row_at(2)], history=history).frame
    assert frame.series("grad_norm")[1].tolist() == [2.5]


# -- real runs ------------------------------------------------------------------------------------------

STAGES = {
    "dpo": {"grad_norm", "rewards/chosen", "rewards/rejected", "rewards/margins", "rewards/accuracies", "logps/chosen",
            "logps/rejected", "logits/chosen", "logits/rejected"},
    "kto": {"grad_norm", "rewards/chosen", "rewards/rejected", "rewards/margins", "logps/chosen", "logps/rejected",
            "logits/chosen", "logits/rejected", "kl"},
    "rm": {"grad_norm", "eval_accuracy"},
    "ppo": set(),
}


def real(folder: Path, stage: str, *names: str) -> RunFeed:
    """A feed of a real run of which only some files are there."""
    paths = RunPaths(folder)
    folder.mkdir(exist_ok=True)
    for name in ("trainer_log.jsonl", *names):
        target = paths.console if name == "console.txt" else folder / name
        target.write_bytes((FIXTURES / "logs" / "stages" / stage / name).read_bytes())
    feed = RunFeed(paths)
    feed.poll()
    return feed


@pytest.mark.parametrize("stage", STAGES)
def test_the_console_of_a_real_run_of_every_stage_tells_its_numbers(tmp_path: Path, stage: str) -> None:
    frame = real(tmp_path, stage, "console.txt").frame
    plain = real(tmp_path / "plain", stage).frame
    assert {*frame.columns} - {*plain.columns} == STAGES[stage]
    trained = len(frame.series("loss")[0])
    for name in STAGES[stage] - {"eval_accuracy"}:
        assert len(frame.series(name)[0]) >= trained - 1  # a batch of KTO may have no rejected answer
    assert all(same(frame[name], column) for name, column in plain.columns.items() if name != "eval_loss")


@pytest.mark.parametrize("stage", ["dpo", "kto", "rm"])
def test_state_and_console_of_a_real_run_tell_the_same(tmp_path: Path, stage: str) -> None:
    said = real(tmp_path / "said", stage, "console.txt").frame
    saved = real(tmp_path / "saved", stage, "trainer_state.json").frame
    both = real(tmp_path / "both", stage, "console.txt", "trainer_state.json").frame
    for name in STAGES[stage] - {"eval_accuracy"}:
        assert np.allclose(said[name], saved[name], rtol=6e-4, atol=6e-5, equal_nan=True), name
        assert same(both[name], saved[name]), name
