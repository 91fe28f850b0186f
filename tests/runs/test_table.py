"""The table of all runs: what is in a row, what is made anew, what is found, in which order, and as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.jobs.resources import ResourceRequest
from lfdash.launchers.fake import FakeLauncher
from lfdash.runs import table as listing
from lfdash.runs.conditions import split
from lfdash.runs.details import RunDetails
from lfdash.runs.finding import FILTERS, Wanted, offered
from lfdash.runs.listing import row_of
from lfdash.runs.order import SORTS, arrange, natural
from lfdash.runs.record import Exit, RunState
from lfdash.runs.table import Table, TableRow, make_row
from lfdash.runs.table_csv import CSV, to_csv
from lfdash.runs.view import Stall, Waiting
from tests.support.many import add_plain, add_run, fill, write_notes
from tests.support.runs import plan_for, record_for


def row(name: str = "r", **changes: Any) -> TableRow:
    """A row with these values."""
    plain: dict[str, Any] = {
        "run_id": f"id-{name}", "name": name, "state": RunState.SUCCEEDED, "kind": "train", "model": "m",
        "stage": "sft", "method": "lora", "step": 1, "total": 2, "percent": 50.0, "last": 1.0, "best": 0.5,
        "best_step": 1, "best_eval": None, "best_eval_step": None, "spark": (), "duration": 60.0, "when": 100.0,
        "tags": (), "note": "", "folder": f"saves/m/lora/{name}", "error": "", "text": name,
    }
    return TableRow(**{**plain, **changes})


@pytest.fixture
def registry(tmp_path: Path) -> ProcessRegistry:
    root = tmp_path / "workspace"
    root.mkdir()
    return ProcessRegistry(root, FakeLauncher(), interval=60)


def rows_of(registry: ProcessRegistry, table: Table | None = None) -> tuple[TableRow, ...]:
    registry.refresh()
    registry.summaries.step(registry.snapshot(), budget=60)
    return (table or Table(registry.summaries)).rows(registry.snapshot())


# -- rows -----------------------------------------------------------------------------------------------


def test_a_run_of_ours_and_one_of_the_plain_cli(registry: ProcessRegistry) -> None:
    paths = add_run(registry.workspace, "ours", state=RunState.STOPPED, steps=30, total=60, stage="dpo", age=50)
    write_notes(paths, "first line\nsecond", ("a", "b"))
    add_plain(registry.workspace, "theirs")
    ours, theirs = rows_of(registry)
    assert (ours.name, ours.state, ours.kind, ours.model) == ("ours", RunState.STOPPED, "train", "demo-llama")
    assert (ours.stage, ours.method, ours.step, ours.total, ours.percent) == ("dpo", "lora", 30, 60, 50.0)
    losses = [json.loads(line) for line in paths.trainer_log.read_text().splitlines()]
    trained = [item["loss"] for item in losses if "loss" in item]
    assert (ours.last, ours.best, len(ours.spark)) == (trained[-1], min(trained), 30)
    assert ours.best_eval_step == 20 and ours.duration is not None and ours.duration >= 30
    assert (ours.tags, ours.note) == (("a", "b"), "first line\nsecond")
    assert (theirs.model, theirs.method, theirs.stage, theirs.percent) == ("llama3-8b", "lora", "", 100.0)
    assert theirs.duration is not None


@pytest.mark.parametrize("losses", [(math.nan,) * 20, (math.inf,) * 20])
def test_a_run_whose_loss_is_no_number_has_no_small_curve(registry: ProcessRegistry, losses: tuple[float, ...]) -> None:
    """It would be drawn from the losses before, or flat, as if it were fine."""
    paths = add_run(registry.workspace, "ours", steps=40)
    with paths.trainer_log.open("a") as log:
        for step, loss in enumerate(losses, 41):
            log.write(json.dumps({"current_steps": step, "total_steps": 60, "loss": loss}) + "\n")
    (row,) = rows_of(registry)
    assert row.spark == () and "dead" in row.badges and row.best is not None


def test_an_evaluation_after_the_training_counts_where_the_log_has_none(registry: ProcessRegistry) -> None:
    paths = add_run(registry.workspace, "ours", steps=10)  # evaluated each twenty steps
    (paths.root / "all_results.json").write_text(json.dumps({"eval_loss": 0.4695, "train_loss": 1.5}))
    (row,) = rows_of(registry)
    assert row.best_eval == 0.4695 and row.best_eval_step is None
    (view,) = registry.snapshot()
    assert row_of(view, registry.summaries.get(view)).eval_loss == 0.4695


@pytest.mark.parametrize("condition", ["method=lora", "finetuning_type=lora", "Method=lora", "Stage=SFT"])
def test_a_condition_may_call_a_column_as_llamafactory_or_the_table_does(
    registry: ProcessRegistry, condition: str
) -> None:
    add_plain(registry.workspace, "theirs")
    add_run(registry.workspace, "ours")
    named = {row.name for row in rows_of(registry) if split(condition).conditions[0].holds(row)}
    assert named == ({"ours"} if "S" in condition else {"ours", "theirs"})


def test_all_attempts_take_time(registry: ProcessRegistry) -> None:
    add_run(registry.workspace, "r1", steps=10)
    registry.refresh()
    (view,) = registry.snapshot()
    assert view.record is not None
    first = replace(view.record.last, exit=Exit("id-r1", 1, 1, seconds=100.0))
    second = replace(first, number=2, exit=Exit("id-r1", 2, 0, seconds=40.0))
    view = replace(view, record=replace(view.record, attempts=(first, second)), attempt=2)
    assert listing.duration(replace(view, progress=replace(view.progress, elapsed_s=40.0))) == 140.0
    assert listing.duration(replace(view, progress=replace(view.progress, elapsed_s=None))) == 100.0
    assert listing.duration(replace(view, record=None, progress=replace(view.progress, elapsed_s=None))) is None


def test_a_job_that_waits_has_no_folder_and_no_time(registry: ProcessRegistry) -> None:
    plan = plan_for(registry.workspace, name="waits")
    registry.enqueue(plan, record_for(plan))
    registry.queue.hold("id-waits")
    (found,) = rows_of(registry)
    assert (found.state, found.when, found.percent, found.last, found.duration) == (RunState.HELD, *[None] * 4)
    assert (found.model, found.stage) == ("m", "sft")


def test_only_what_changed_is_made_anew(registry: ProcessRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(registry.workspace, 6, steps=20)
    table = Table(registry.summaries)
    first = rows_of(registry, table)
    made: list[str] = []
    original = listing.make_row
    monkeypatch.setattr(listing, "make_row", lambda view, known: made.append(view.name) or original(view, known))
    assert rows_of(registry, table) is first and made == []
    (registry.workspace / first[2].folder / "notes.json").write_text('{"note": "new", "tags": []}')
    again = rows_of(registry, table)
    assert made == [first[2].name] and again[2].note == "new"
    assert all(a is b for place, (a, b) in enumerate(zip(first, again, strict=True)) if place != 2)
    assert registry.archive.discard(first[0].run_id) is None
    assert rows_of(registry, table) == again[1:] and made == [first[2].name]


def test_a_summary_that_is_known_later_changes_its_row_alone(
    registry: ProcessRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its view is the same: the log was read after the look."""
    fill(registry.workspace, 5, steps=20)
    registry.refresh()
    table, views = Table(registry.summaries), registry.snapshot()
    first = table.rows(views)
    made: list[str] = []
    original = listing.make_row
    monkeypatch.setattr(listing, "make_row", lambda view, known: made.append(view.name) or original(view, known))
    for count in range(1, 6):
        registry.summaries.step(views, budget=0)
        rows = table.rows(views)
        assert made == [view.name for view in views[:count]]
    assert registry.snapshot() is views and len(rows) == len(first)
    assert table.rows(views) is rows


def test_a_run_whose_next_attempt_waits_has_one_row_however_often_it_is_looked_at(registry: ProcessRegistry) -> None:
    fill(registry.workspace, 4, steps=20)
    registry.refresh()
    views = registry.snapshot()
    waits = replace(views[2], state=RunState.QUEUED, attempt=2, waiting=Waiting(1, ResourceRequest()))
    table = Table(registry.summaries)
    first = table.rows((waits, *views))
    assert [row.run_id for row in first] == [waits.run_id, *(views[place].run_id for place in (0, 1, 3))]
    other = replace(waits, waiting=Waiting(2, ResourceRequest()))
    assert table.rows((other, *views)) is first == Table(registry.summaries).rows((other, *views))
    failed = replace(views[2], error="now")
    changed = (other, *views[:2], failed, *views[3:])
    assert table.rows(changed) == Table(registry.summaries).rows(changed) != first


def test_any_change_of_the_views_gives_the_rows_that_all_made_anew_would(registry: ProcessRegistry) -> None:
    fill(registry.workspace, 8, steps=20)
    registry.refresh()
    registry.summaries.step(registry.snapshot(), budget=60)
    rng, views, table = random.Random(3), list(registry.snapshot()), Table(registry.summaries)
    every = list(views)
    for number in range(200):
        kind = rng.randrange(4)
        if kind == 0 and views:
            views.pop(rng.randrange(len(views)))
        elif kind == 1 and len(views) < len(every):
            views.insert(rng.randrange(len(views) + 1), next(view for view in every if view not in views))
        elif kind == 2:
            rng.shuffle(views)
        elif views:
            place = rng.randrange(len(views))
            every[every.index(views[place])] = views[place] = replace(views[place], error=f"e{number}")
        given = tuple(views)
        assert table.rows(given) == Table(registry.summaries).rows(given)
        assert table.rows(given) is table.latest


# -- filters --------------------------------------------------------------------------------------------


def test_every_word_is_looked_for_whatever_its_case(registry: ProcessRegistry) -> None:
    paths = add_run(registry.workspace, "Alpha", model="Qwen2.5-7B", stage="kto")
    write_notes(paths, "Größere Rate", ("Paper",))
    add_run(registry.workspace, "beta", state=RunState.FAILED)
    rows = rows_of(registry)

    def found(text: str) -> list[str]:
        return sorted(item.name for item in Wanted(text).select(rows))

    assert found("") == found("  ") == ["Alpha", "beta"]
    assert found("alpha") == found("QWEN kto") == found("grössere paper") == found("saves/Qwen2.5") == ["Alpha"]
    assert found("alpha beta") == []
    error = next(item.error for item in rows if item.name == "beta")
    assert error and found(error.upper()) == ["beta"]


def test_filters_of_one_kind_add_up_and_of_two_cut_down() -> None:
    rows = [row("a", state=RunState.FAILED, tags=("x", "y")), row("b", tags=("y",)), row("c", model="n")]

    def found(**values: tuple[str, ...]) -> list[str]:
        return [item.name for item in Wanted(values=values).select(rows)]

    assert found(state=("FAILED", "SUCCEEDED")) == ["a", "b", "c"]
    assert found(tag=("x", "y")) == ["a", "b"] and found(tag=("y",), state=("SUCCEEDED",)) == ["b"]
    assert found(model=("n",), tag=("x",)) == [] and found(model=()) == ["a", "b", "c"]
    assert found(model=("gone",)) == []
    assert offered(rows, "tag") == ["x", "y"] and offered(rows, "model") == ["m", "n"]
    assert offered([row(stage="")], "stage") == []
    assert set(FILTERS) == {"state", "kind", "model", "stage", "method", "dataset", "tag"}


# -- order ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", list(SORTS))
@pytest.mark.parametrize("down", [False, True])
def test_every_order_keeps_every_row(by: str, down: bool) -> None:
    rows = [
        row("a", last=None, model="", stage=""), row("b", last=math.nan, percent=None, when=None),
        row("c", last=2.0, duration=None), row("d", state=RunState.QUEUED, when=None, best=None),
    ]
    assert sorted(item.name for item in arrange(rows, by, down)) == ["a", "b", "c", "d"]


def names(rows: list[TableRow], by: str, down: bool) -> str:
    return "".join(item.name for item in arrange(rows, by, down))


def test_what_has_no_value_comes_last_either_way() -> None:
    rows = [row("a", last=None), row("b", last=1.0), row("c", last=math.nan), row("d", last=3.0), row("e", last=2.0)]
    assert names(rows, "last", False) == "bedac" and names(rows, "last", True) == "debac"


def test_jobs_that_wait_come_first_in_the_order_of_the_queue() -> None:
    rows = [
        row("a", state=RunState.QUEUED, when=None), row("b", state=RunState.HELD, when=None), row("c", when=1.0),
        row("d", when=2.0), row("e", when=None),
    ]
    assert names(rows, "when", True) == "abdce" and names(rows, "when", False) == "abcde"
    assert names(rows, "state", False)[:2] == "ab"


def test_numbers_in_names_count_as_numbers() -> None:
    given = ["run-10", "run-2", "Run-1", "2b", "10a", "a", "", "run-²"]
    assert sorted(given, key=natural) == ["", "2b", "10a", "a", "Run-1", "run-2", "run-10", "run-²"]


# -- CSV ------------------------------------------------------------------------------------------------


def test_csv_holds_every_column_and_no_formula() -> None:
    first = row("=cmd()", note='a "b"\nc', tags=("x", "-y"), last=math.nan, best=-0.5, when=None, error="key hunter2")
    text = to_csv([first, row("ж")], lambda value: value.replace("hunter2", "•••"))
    head, one, two = csv.reader(io.StringIO(text))
    assert head == list(CSV)
    found = dict(zip(head, one, strict=True))
    assert (found["name"], found["note"], found["tags"]) == ("'=cmd()", 'a "b"\nc', "x, -y")
    assert (found["last_loss"], found["best_loss"], found["when"]) == ("NaN", "-0.5", "")
    assert found["error"] == "key •••" and (found["state"], found["marks"]) == ("SUCCEEDED", "")
    assert dict(zip(head, two, strict=True))["when"] == "1970-01-01T00:01:40+00:00"


def test_csv_calls_a_state_as_it_is_told() -> None:
    (state, marks), = [(cells["state"], cells["marks"]) for cells in csv.DictReader(io.StringIO(
        to_csv([row("a", badges=("stalled", "dead"))], state_word=lambda state: f"<{state.name}>")
    ))]
    assert (state, marks) == ("<SUCCEEDED>", "stalled, dead")


def test_what_does_not_step_or_learn_is_marked_and_can_be_looked_for(registry: ProcessRegistry) -> None:
    paths = add_run(registry.workspace, "dead", steps=3)
    paths.trainer_log.write_text("".join(
        f'{{"current_steps": {step}, "total_steps": 9, "loss": NaN}}\n' for step in (1, 2, 3)
    ))
    add_run(registry.workspace, "well")
    rows = {row.name: row for row in rows_of(registry)}
    assert (rows["dead"].badges, rows["well"].badges) == (("dead", "early"), ())
    (view,) = [view for view in registry.snapshot() if view.name == "well"]
    stalled = make_row(replace(view, stall=Stall(960.0, 0.25)), registry.summaries.get(view))
    assert stalled.badges == ("stalled",)
    torn = make_row(replace(view, error="torn"), registry.summaries.get(view))
    assert torn.badges == ("spoiled",)
    every = [*rows.values(), stalled]
    assert [Wanted(values={"state": (name,)}).select(every) for name in ("stalled", "dead")] == [
        [stalled], [rows["dead"]],
    ]


def test_arguments_and_results_stand_behind_the_other_columns_of_the_csv() -> None:
    details = RunDetails({"packing": True, "lora_rank": 8, "=x": "=1+1"}, {"acc": 0.5})
    text = to_csv([row("a", details=details), row("b")], more=["arg.packing", "arg.lora_rank", "score.acc", "arg.=x",
        "note"])
    head, first, second = csv.reader(io.StringIO(text))
    assert head == [*CSV, "packing", "lora_rank", "acc", "'=x"]
    assert first[len(CSV) :] == ["true", "8", "0.5", "'=1+1"] and second[len(CSV) :] == [""] * 4
