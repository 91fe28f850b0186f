"""States and records of runs."""

from __future__ import annotations

import json

import pytest

from lfdash.errors import RecordError
from lfdash.files import as_record
from lfdash.runs.plan import LaunchPlan, make_plan
from lfdash.runs.record import ALLOWED, STOPPABLE, TERMINAL, Attempt, Exit, RunRecord, RunState


@pytest.fixture
def plan() -> LaunchPlan:
    return make_plan(
        run_id="abc", args={"stage": "sft"}, env={"A": "1"}, secrets=("KEY",), files={}, cli="cli", cwd="/w",
        output_dir="saves/m/lora/r",
    )


@pytest.fixture
def record(plan: LaunchPlan) -> RunRecord:
    return RunRecord.new(plan, kind="train", name="r", model="m", stage="sft", method="lora")


def test_every_state_has_a_row_and_leads_somewhere_or_is_an_end() -> None:
    assert set(ALLOWED) == set(RunState)
    assert set(RunState) == TERMINAL | STOPPABLE | {RunState.UNKNOWN} and not TERMINAL & STOPPABLE
    for state, following in ALLOWED.items():
        assert state not in following
        assert bool(following) or state in TERMINAL
    assert not ALLOWED[RunState.SUCCEEDED] and RunState.RUNNING in ALLOWED[RunState.LOST]
    assert RunState.RUNNING not in ALLOWED[RunState.STOPPING]


def test_a_record_survives_its_file(record: RunRecord) -> None:
    ended = Exit("abc", 1, 0, None, ("graceful",), 2, 1.5, 3.5, 2.0)
    record = record.with_last(state=RunState.STOPPED, stop="graceful", exit=ended, started=1.5)
    text = record.to_json()
    assert RunRecord.from_json(text) == record
    assert text.endswith("}\n") and json.loads(text)["version"] == 1
    assert json.loads(text)["attempts"][0]["exit"]["code"] == 0


def test_a_new_record_names_secrets_and_holds_the_first_attempt(record: RunRecord) -> None:
    assert record.secrets == ("KEY",) and record.launcher == ""  # nobody has decided yet
    assert record.last == Attempt(1, ("cli", "train", "saves/m/lora/r/training_args.yaml"), record.last.env)
    assert record.last.env["A"] == "1" and "KEY" not in record.last.env


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read"),
        ("[]", "cannot be read"),
        ("{", "cannot be read"),
        ('{"version": 1}', "run_id"),
        ('{"version": 99}', "version 99, this lfdash reads up to 1"),
    ],
)
def test_a_record_that_cannot_be_read_says_why(text: str, says: str) -> None:
    with pytest.raises(RecordError, match=says):
        RunRecord.from_json(text)


def test_a_record_without_attempts_or_with_a_strange_state_is_refused(record: RunRecord) -> None:
    data = json.loads(record.to_json())
    with pytest.raises(RecordError, match=r"length >= 1 - at `\$.attempts`"):
        RunRecord.from_json(json.dumps({**data, "attempts": []}))
    data["attempts"][0]["state"] = "DANCING"
    with pytest.raises(RecordError, match="DANCING"):
        RunRecord.from_json(json.dumps(data))


@pytest.mark.parametrize("seconds", [3e11, -1e14, float("nan")])
def test_a_time_that_no_calendar_has_is_refused(record: RunRecord, seconds: float) -> None:
    """A start in milliseconds, edited by hand, took the list of all runs down."""
    data = json.loads(record.to_json())
    data["attempts"][0]["started"] = seconds
    with pytest.raises(RecordError, match="started"):
        RunRecord.from_json(json.dumps(data))


def test_an_exit_code_of_a_signal_that_there_is_not_is_refused() -> None:
    for code, fits in ((-64, True), (255, True), (-255, False), (256, False)):
        data = {"run_id": "a", "attempt": 1, "code": code}
        if fits:
            assert as_record(Exit, data, "exit.json").code == code
        else:
            with pytest.raises(RecordError, match="code"):
                as_record(Exit, data, "exit.json")
