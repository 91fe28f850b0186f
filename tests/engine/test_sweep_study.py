"""What is asked and told of a sweep's trials: which are stopped early and when, against plain versions of the rules;
importance; a journal that is none."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from lfdash.engine.sweep_study import JOURNAL, Study, create, opened
from lfdash.files import Unreadable
from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import Sweep, read_sweep
from tests.support.stopping import Plain


def sweep_of(**options: object) -> Sweep:
    sweep = read_sweep({"settings": {"lora_rank": list(range(1, 13))}, **options}, JobConfig())
    assert isinstance(sweep, Sweep), sweep
    return sweep


def started(folder: Path, sweep: Sweep) -> Study:
    create(folder, sweep)
    return Study(folder, sweep)


LOGS = st.lists(  # of each run: percent -> value
    st.dictionaries(st.integers(1, 100), st.integers(0, 6).map(float), min_size=1, max_size=8), min_size=2, max_size=8
)
LOOKS = st.lists(st.tuples(st.integers(0, 7), st.integers(1, 4)), max_size=30)  # (run, rows that it has logged since)


@pytest.mark.parametrize("rule", ["halving", "median"])
@settings(max_examples=60, deadline=None)
@given(
    logs=LOGS, looks=LOOKS, after_trials=st.integers(1, 4), after_percent=st.sampled_from([0, 5, 20, 50]),
    direction=st.sampled_from(["minimize", "maximize"]),
)
def test_a_run_is_stopped_when_the_plain_rule_says_so(
    rule: str, logs: list[dict[int, float]], looks: list[tuple[int, int]], after_trials: int, after_percent: int,
    direction: str,
) -> None:
    sweep = sweep_of(
        stop_early=rule, after_trials=after_trials, after_percent=after_percent, direction=direction
    )
    with tempfile.TemporaryDirectory() as folder:
        study, plain = started(Path(folder), sweep), Plain(sweep)
        numbers = [trial.number for _ in logs if (trial := study.ask()) is not None]
        known = dict.fromkeys(numbers, 0)
        rest = [(number, 100) for number in numbers]  # whoever is left runs to its end, one after the other
        for number, rows in [*looks, *rest]:
            if number not in numbers or number in plain.over | plain.pruned:
                continue
            known[number] += rows
            values = dict(sorted(logs[number].items())[: known[number]])
            hopeless = study.report(study.frozen(number), values)
            assert hopeless == plain.look(number, values), (number, values)
            if hopeless:
                study.tell(study.frozen(number), TrialState.PRUNED)
                plain.pruned.add(number)
            elif len(values) == len(logs[number]):
                study.tell(study.frozen(number), TrialState.COMPLETE, min(values.values()))
                plain.over.add(number)
        assert plain.over | plain.pruned == set(numbers)


def test_the_first_runs_count_at_the_rungs_of_halving(tmp_path: Path) -> None:
    study = started(tmp_path, sweep_of(stop_early="halving", after_trials=3))
    for value in (3.0, 4.0, 2.0):
        trial = study.ask()
        assert trial is not None and not study.report(trial, {20: value, 60: value})
        study.tell(trial, TrialState.COMPLETE, value)
    worse, better = study.ask(), study.ask()
    assert worse is not None and better is not None
    assert not study.report(worse, {19: 5.0}), "not before its part of the run"
    assert study.report(worse, {19: 5.0, 20: 5.0}) and not study.report(better, {20: 1.0})


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_importance_is_of_the_setting_that_matters(tmp_path: Path, direction: str) -> None:
    raw = {"settings": {"learning_rate": "0.001, 0.002, 0.003", "lora_rank": [8, 16]}, "direction": direction}
    sweep = read_sweep(raw, JobConfig())
    assert isinstance(sweep, Sweep)
    study = started(tmp_path, sweep)
    for _ in range(6):
        trial = study.ask()
        assert trial is not None
        study.tell(trial, TrialState.COMPLETE, 1000 * trial.params["train.learning_rate"])
    found = study.importance()
    assert found["train.learning_rate"] > 0.9 and sum(found.values()) == pytest.approx(1)


def test_importance_of_runs_that_went_to_infinity_or_are_all_the_same(tmp_path: Path) -> None:
    study = started(tmp_path, sweep_of())
    for value in (float("inf"), 1.0, 1.0, 1.0):
        trial = study.ask()
        assert trial is not None and study.importance() == {}
        study.tell(trial, TrialState.COMPLETE, value)
    assert study.importance() == {}


SPOILED = {
    "garbage": b"\x00\xff garbage\n", "last line": b"garbage\n", "cut": None, "empty": b"", "list": b"[1]\n",
    "op": b'{"op_code": 99}\n',
    "half before": b'{"op_code":4,"wor\n{"op_code": 4}\n', "deep": b"[" * 100_000 + b"\n",
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_journal_that_is_none_is_told(tmp_path: Path, how: str) -> None:
    sweep = sweep_of()
    create(tmp_path, sweep)
    journal = tmp_path / JOURNAL
    whole = journal.read_bytes()
    content = SPOILED[how]
    journal.write_bytes(whole[5:] if content is None else b"" if how == "empty" else whole + content)
    assert isinstance(opened(tmp_path, sweep), Unreadable)


def test_a_line_that_a_killed_process_wrote_by_half_is_none(tmp_path: Path) -> None:
    sweep = sweep_of()
    create(tmp_path, sweep)
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(b'{"op_code":4,"worker')
    study = opened(tmp_path, sweep)
    assert isinstance(study, Study) and study.left == 12
    journal = [line for line in (tmp_path / JOURNAL).read_bytes().split(b"\n") if line][:-1]
    assert all(json.loads(line) for line in journal)


def test_a_journal_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    found = opened(tmp_path, sweep_of())
    assert isinstance(found, Unreadable) and found.failure is not None and not (tmp_path / JOURNAL).exists()
