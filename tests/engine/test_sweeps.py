"""Sweeps carried on by a dashboard: trials once, their ends told, hopeless ones stopped, stopped ones tried again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from lfdash.demo.__main__ import make_data
from lfdash.engine import sweeps as module
from lfdash.engine.opening import open_config
from lfdash.engine.services import Services, find_project
from lfdash.engine.sweep_records import MAKING
from lfdash.engine.sweep_study import JOURNAL, run_id_of
from lfdash.engine.sweep_views import SweepView, braked_by, planned
from lfdash.engine.sweeps import Sweeps, attach
from lfdash.jobs.sweep import Sweep, read_sweep
from lfdash.outcomes import Refused
from lfdash.queue.store import QueueSettings
from lfdash.supervisor import failpoints
from tests.support import ROOT
from tests.support.models import pretend_model
from tests.support.runs import fake_cli, wait_for
from tests.support.stopping import Plain
from tests.support.terminal import end_runs

PRESET = ROOT / "configs" / "presets" / "demo.yaml"
GRID = {"learning_rate": "0.001, 0.002, 0.003", "lora_rank": [8, 16]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace with the demo's data; the stand-in takes four steps, and its losses follow the learning rate."""
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: ((), None))
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    monkeypatch.setenv("LFDASH_CLI", fake_cli(tmp_path))
    does(monkeypatch)
    make_data(tmp_path / "workspace" / "data")
    pretend_model(tmp_path / "workspace")
    yield tmp_path / "workspace"
    end_runs(tmp_path / "workspace")


def does(monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
    """What runs do."""
    monkeypatch.setenv("FAKE_ARGS", json.dumps({"steps": 4, "scale": "learning_rate", **more}))


class Dashboard:
    """Services on the workspace, whose thread carries the sweeps on once it is started."""

    def __init__(self, folder: Path) -> None:
        self.services = Services(find_project(), folder)
        self.sweeps = attach(self.services)
        self.services.registry.queue.set_settings(QueueSettings(slots=3))
        self.services.registry.refresh()

    def turn(self) -> None:
        """One turn of the thread, here."""
        self.services.registry.refresh()
        self.sweeps.tick()
        self.services.registry.dispatcher.advance()

    def create(self, settings: Any = GRID, **options: Any) -> SweepView:
        opened = open_config(self.services, PRESET)
        assert not isinstance(opened, Refused)
        sweep = read_sweep({"settings": settings, **options}, opened.job)
        assert isinstance(sweep, Sweep), sweep
        found = self.sweeps.create(opened.job, sweep)
        assert isinstance(found, SweepView), found
        return found

    def look(self, sweep: SweepView) -> SweepView:
        found = self.sweeps.get(sweep.id)
        assert isinstance(found, SweepView), found
        return found

    def until(self, sweep: SweepView, holds: Callable[[SweepView], bool]) -> SweepView:
        """Turns until something holds of the sweep."""

        def turned() -> bool:
            self.turn()
            return holds(self.look(sweep))

        wait_for(turned, 60)
        return self.look(sweep)

    def done(self, sweep: SweepView) -> SweepView:
        return self.until(sweep, lambda found: found.state == "done")


@pytest.fixture
def dashboard(folder: Path) -> Iterator[Dashboard]:
    found = Dashboard(folder)
    yield found
    found.services.close()


def states(sweep: SweepView) -> list[str]:
    return [one.state for one in sweep.trials]


def attempts(folder: Path) -> dict[str, int]:
    """Every run on disk, and how many attempts it has: a trial that was started twice would have two, or a twin."""
    return {path.parent.name: len(list((path.parent / "attempts").iterdir())) for path in folder.rglob("run.json")}


def test_a_grid_is_run_whole_and_its_best_is_the_best_of_the_logs(dashboard: Dashboard, folder: Path) -> None:
    sweep = dashboard.done(dashboard.create(name="mine", seed="varied"))
    names = ["lr1e-3_r8", "lr1e-3_r16", "lr2e-3_r8", "lr2e-3_r16", "lr3e-3_r8", "lr3e-3_r16"]
    assert [one.name for one in planned(sweep.sweep)] == names
    assert [one.name for one in sweep.trials] == names and states(sweep) == ["complete"] * 6
    assert attempts(folder) == dict.fromkeys(names, 1)
    views = {view.run_id: view for view in dashboard.services.registry.snapshot()}
    logged = {
        one.name: median([json.loads(line)["loss"] for line in log_of(views[one.run_id].path).splitlines()][-3:])
        for one in sweep.trials
    }
    assert {one.name: one.value for one in sweep.trials} == pytest.approx(logged)
    assert sweep.best is not None and sweep.best.value == min(logged.values())
    assert {view.notes.tags for view in views.values()} == {("sweep mine",)}
    assert set(views) == {run_id_of(sweep.id, number) for number in range(6)}
    told = [view.path.joinpath("training_args.yaml").read_text() for view in views.values()]
    assert len({line for text in told for line in text.splitlines() if line.startswith("seed: ")}) == 6
    assert max(sweep.importance, key=lambda name: sweep.importance[name]) == "learning_rate"


def log_of(folder: Path) -> str:
    return (folder / "trainer_log.jsonl").read_text(encoding="utf-8")


def test_a_failed_run_is_a_failed_trial_and_the_others_go_on(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    does(monkeypatch, fail="error", only="lora_rank=16")
    sweep = dashboard.done(dashboard.create())
    assert states(sweep) == ["complete", "failed"] * 3
    assert {one.reason for one in sweep.trials} == {"", "failed"}
    assert sweep.best is not None and sweep.best.values["train.lora_rank"] == 8


def test_a_sweep_whose_first_runs_fail_stops_itself_and_goes_on_once_that_is_mended(
    dashboard: Dashboard, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    does(monkeypatch, fail="error")
    rates = {"learning_rate": [rate / 1000 for rate in range(1, 25)]}
    sweep = dashboard.until(dashboard.create(rates), lambda found: found.state == "stopped")
    sweep = dashboard.until(sweep, lambda found: "running" not in states(found))
    first = len(attempts(folder))
    assert sweep.braked and 3 <= first < 24, "each turn starts three at once"
    told = braked_by(sweep, str)
    assert told["count"] == first == sweep.again and "Undefined dataset" in str(told["why"])
    tried = len(sweep.trials)
    dashboard.turn()
    assert len(dashboard.look(sweep).trials) == tried, "it does nothing by itself"
    assert dashboard.sweeps.go_on(sweep.id) is None and not dashboard.look(sweep).braked
    sweep = dashboard.until(sweep, lambda found: found.braked and "running" not in states(found))
    assert len(attempts(folder)) < first + 24, "it does not help, and is noticed again"
    does(monkeypatch)
    assert dashboard.sweeps.go_on(sweep.id) is None
    sweep = dashboard.done(sweep)
    complete = [one for one in sweep.trials if one.state == "complete"]
    assert len(complete) == 24 and len({str(one.values) for one in complete}) == 24
    assert (sweep.ended, sweep.braked, sweep.again) == (24, False, 0)


@pytest.mark.parametrize("options", [{}, {"strategy": "random", "trials": 2}])
def test_the_failed_runs_of_a_sweep_that_is_over_are_tried_again_once_each(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    does(monkeypatch, fail="error", only="lora_rank=16")
    sweep = dashboard.done(dashboard.create({"lora_rank": [8, 16]}, **options))
    assert sorted(states(sweep)) == ["complete", "failed"] and sweep.again == 1
    for more, expected in (
        ({"fail": "error", "only": "lora_rank=16"}, ["complete", "failed", "failed"]),
        ({}, ["complete", "complete", "failed", "failed"]),
    ):
        does(monkeypatch, **more)
        assert dashboard.sweeps.go_on(sweep.id) is None
        sweep = dashboard.done(sweep)
        assert sorted(states(sweep)) == expected and sweep.ended == sweep.count == 2
    assert sweep.again == 0
    refused = dashboard.sweeps.go_on(sweep.id)
    assert refused == Refused("sweep_over", {"name": sweep.name})


@pytest.mark.parametrize("first", ["complete", "by_hand"])
def test_a_sweep_of_which_a_run_has_trained_is_not_braked(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """Nor by what is taken away by hand."""
    if first == "complete":
        sweep = dashboard.create({"lora_rank": [8, 16, 32, 64, 4, 2]}, parallel=1)
        sweep = dashboard.until(sweep, lambda found: found.ended == 1)
        does(monkeypatch, fail="error")
        sweep = dashboard.done(sweep)
        assert states(sweep)[0] == "complete" and states(sweep).count("failed") >= 3 and not sweep.braked
        return
    sweep = dashboard.create({"lora_rank": [8, 16, 32, 64]})
    dashboard.sweeps.tick()
    for trial in dashboard.look(sweep).trials[:3]:
        assert dashboard.services.registry.queue.cancel(trial.run_id) is None
    sweep = dashboard.done(sweep)
    assert states(sweep) == ["failed"] * 3 + ["complete"] and not sweep.braked and sweep.again == 3


def test_a_run_whose_loss_is_no_number_is_never_the_best(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    does(monkeypatch, steps=20, dead=4, only="lora_rank=16")  # transformers logs such a loss as 0.0
    more = {"stop_early": "median", "after_trials": 1, "parallel": 1}
    sweep = dashboard.done(dashboard.create({"lora_rank": [16, 8, 32]}, **more))
    assert states(sweep) == ["failed", "complete", "complete"] and sweep.trials[0].reason == "dead"
    assert sweep.best is not None and sweep.best.value == min(one.value for one in sweep.trials if one.value)
    assert sweep.again == 0, "the same values would do the same"


def test_it_is_stopped_where_hopeless_runs_are(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    does(monkeypatch, steps=400, delay=0.05, dead=4, only="lora_rank=16")
    sweep = dashboard.done(dashboard.create({"lora_rank": [16, 8]}, stop_early="median", parallel=1))
    view = dashboard.services.registry.get(sweep.trials[0].run_id)
    assert view is not None and view.state.name == "STOPPED" and (view.progress.step or 0) < 400
    assert sweep.trials[0].reason == "dead" and states(sweep) == ["failed", "complete"]


def test_a_hopeless_run_is_stopped_and_keeps_what_it_has(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    does(monkeypatch, steps=100, delay=0.05)
    sweep = dashboard.create(
        {"learning_rate": "0.001, 0.002"}, stop_early="median", after_trials=1, after_percent=10, parallel=1
    )
    sweep = dashboard.done(sweep)
    assert states(sweep) == ["complete", "pruned"]
    view = dashboard.services.registry.get(sweep.trials[1].run_id)
    assert view is not None and view.state.name == "STOPPED" and view.saved.model == "adapter"
    assert (view.progress.step or 0) < 100 and sweep.trials[1].percent is not None


def test_halving_stops_the_runs_whose_logs_say_so(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    does(monkeypatch, steps=100, delay=0.05)
    rates = "0.003, 0.004, 0.002, 0.005, 0.001"
    sweep = dashboard.done(dashboard.create({"learning_rate": rates}, stop_early="halving", parallel=1))
    assert states(sweep) == ["complete", "complete", "complete", "pruned", "complete"]
    plain, expected = Plain(sweep.sweep), []
    for one in sweep.trials:
        view = dashboard.services.registry.get(one.run_id)
        assert view is not None
        rows = [json.loads(line) for line in log_of(view.path).splitlines()]
        hopeless = plain.look(one.number, {row["current_steps"]: row["loss"] for row in rows if "loss" in row})
        (plain.pruned if hopeless else plain.over).add(one.number)
        expected.append("pruned" if hopeless else "complete")
    assert states(sweep) == expected
    stopped = sweep.trials[3]
    assert stopped.percent is not None and 20 <= stopped.percent < 100
    assert sweep.best is not None and sweep.best.number == 4 and sweep.best.at is not None


def test_a_stopped_sweep_goes_on_and_tries_again_what_was_cut_off(
    dashboard: Dashboard, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    does(monkeypatch, steps=1000, delay=0.05)
    sweep = dashboard.until(dashboard.create(), lambda found: "running" in states(found))
    wait_for(lambda: dashboard.turn() or any(v.progress.step for v in dashboard.services.registry.snapshot()))
    assert dashboard.sweeps.stop(sweep.id) is None
    sweep = dashboard.until(sweep, lambda found: "running" not in states(found))
    assert sweep.state == "stopped" and set(states(sweep)) == {"stopped"}
    does(monkeypatch)
    before = attempts(folder)
    assert dashboard.sweeps.go_on(sweep.id) is None
    sweep = dashboard.done(sweep)
    complete = [one for one in sweep.trials if one.state == "complete"]
    assert len(complete) == 6 and len({str(one.values) for one in complete}) == 6
    assert attempts(folder) == {**before, **{one.name: 1 for one in complete}}
    assert sweep.last == complete and {one.number for one in complete if one.tries == 2} == {
        one.number for one in complete if one.repeats is not None
    }


def test_trials_that_are_drawn_end_when_there_is_nothing_new(dashboard: Dashboard) -> None:
    sweep = dashboard.done(dashboard.create({"lora_rank": [8, 16]}, strategy="random", trials=5, parallel=2))
    assert sorted(str(one.values["train.lora_rank"]) for one in sweep.trials) == ["16", "8"]
    journal = dashboard.sweeps.folders.of(sweep.id) / JOURNAL
    size = journal.stat().st_size
    dashboard.turn()
    assert journal.stat().st_size == size, "it does not ask for ever"


def test_tpe_goes_on_from_what_it_has_seen(dashboard: Dashboard) -> None:
    sweep = dashboard.done(dashboard.create({"learning_rate": "1e-4..1e-2 log"}, strategy="tpe", trials=6))
    assert states(sweep) == ["complete"] * 6 and sweep.best is not None
    assert sweep.best.value == min(one.value for one in sweep.trials if one.value is not None)


def test_a_job_that_is_taken_out_of_the_queue_is_a_failed_trial(dashboard: Dashboard) -> None:
    sweep = dashboard.create({"lora_rank": [8, 16]})
    dashboard.sweeps.tick()
    assert dashboard.services.registry.queue.cancel(dashboard.look(sweep).trials[0].run_id) is None
    sweep = dashboard.done(sweep)
    assert states(sweep) == ["failed", "complete"] and sweep.trials[0].reason == "gone"


def test_of_two_that_are_made_at_once_there_is_one(dashboard: Dashboard) -> None:
    """Two dashboards look for the same sweep before either has made it."""
    opened = open_config(dashboard.services, PRESET)
    assert not isinstance(opened, Refused)
    sweep = read_sweep({"settings": GRID, "name": "pair"}, opened.job)
    assert isinstance(sweep, Sweep)
    others = [Sweeps(dashboard.services) for _ in range(4)]
    together = threading.Barrier(len(others))
    found: list[SweepView | Refused] = []

    def make(one: Sweeps) -> None:
        together.wait(20)
        found.append(one.create(opened.job, sweep))

    threads = [threading.Thread(target=make, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == len(others) and len(dashboard.sweeps.views()) == 1
    assert [one.code for one in found if isinstance(one, Refused)] == ["sweep_twin"] * 3


def test_what_is_refused(dashboard: Dashboard, folder: Path) -> None:
    opened = open_config(dashboard.services, PRESET, {"dataset": "nowhere"})
    assert not isinstance(opened, Refused)
    sweep = read_sweep({"settings": GRID}, opened.job)
    assert isinstance(sweep, Sweep)
    refused = dashboard.sweeps.create(opened.job, sweep)
    assert isinstance(refused, Refused) and refused.code == "problems"
    assert dashboard.sweeps.stop("nowhere") == Refused("sweep_unknown", {"name": "nowhere"})
    broken = dashboard.create()
    (folder / ".lfdash" / "sweeps" / broken.id / "sweep.json").write_text("{")
    found = dashboard.sweeps.get(broken.id)
    assert isinstance(found, Refused) and found.code == "sweep_unreadable"
    dashboard.turn()
    assert attempts(folder) == {}


# -- a journal that was put back ---------------------------------------------------------------------------


def put_back(dashboard: Dashboard, sweep: SweepView, kept: bytes) -> None:
    """Puts a sweep's journal back to an older copy; what was in memory is gone."""
    (dashboard.sweeps.folders.of(sweep.id) / JOURNAL).write_bytes(kept)
    dashboard.sweeps = attach(dashboard.services)


def test_a_sweep_whose_journal_is_put_back_takes_the_runs_that_are_there(dashboard: Dashboard, folder: Path) -> None:
    sweep = dashboard.create()
    kept = (dashboard.sweeps.folders.of(sweep.id) / JOURNAL).read_bytes()
    before = dashboard.done(sweep)
    made = attempts(folder)
    put_back(dashboard, sweep, kept)
    after = dashboard.done(sweep)
    assert after.trials == before.trials and attempts(folder) == made
    assert dashboard.services.registry.queue.jobs.entries() == ()


def test_a_run_with_other_values_keeps_its_number_and_they_are_tried_under_another(
    dashboard: Dashboard, folder: Path
) -> None:
    sweep = dashboard.create({"lora_rank": [8, 16]})
    kept = (dashboard.sweeps.folders.of(sweep.id) / JOURNAL).read_bytes()
    dashboard.done(sweep)
    file = next(folder.rglob("r16/training_args.yaml"))
    file.write_text(file.read_text(encoding="utf-8").replace("lora_rank: 16", "lora_rank: 4"), encoding="utf-8")
    put_back(dashboard, sweep, kept)
    sweep = dashboard.done(sweep)
    assert attempts(folder) == {"r8": 1, "r16": 1, "r16_2": 1}
    assert [(one.name, one.state, one.tries) for one in sweep.last] == [("r8", "complete", 1), ("r16_2", "complete", 1)]


def test_jobs_that_wait_under_the_ids_of_runs_are_told_and_taken_out(
    dashboard: Dashboard, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = dashboard.create({"lora_rank": [8, 16]})
    kept = (dashboard.sweeps.folders.of(sweep.id) / JOURNAL).read_bytes()
    dashboard.done(sweep)
    put_back(dashboard, sweep, kept)
    with monkeypatch.context() as patch:
        patch.setattr("lfdash.engine.sweep_turn.Turn.seen", lambda *_: None)  # as lfdash did before
        dashboard.turn()
    twins = dashboard.services.registry.dispatcher.twins()
    assert [(entry.record.name, view.name) for entry, view in twins] == [("r8_2", "r8"), ("r16_2", "r16")]
    sweep = dashboard.done(sweep)
    assert [(one.name, one.state) for one in sweep.trials] == [("r8", "complete"), ("r16", "complete")]
    assert attempts(folder) == {"r8": 1, "r16": 1}
    assert dashboard.services.registry.queue.jobs.entries() == () and not dashboard.services.registry.dispatcher.twins()


# -- exactly once ---------------------------------------------------------------------------------------


class Died(BaseException):
    """The process ended here."""


@pytest.mark.parametrize(
    "point", ["sweep.asked", "sweep.named", "queue.before_added", "queue.after_added", "sweep.queued", "sweep.ended"]
)
def test_a_dashboard_that_dies_at_any_write_starts_no_trial_twice_and_loses_none(
    dashboard: Dashboard, folder: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    hits = {"left": 0}

    def hit(name: str) -> None:
        if name == point:
            hits["left"] += 1
            if hits["left"] % 2:  # each second time it gets further
                raise Died(name)

    sweep = dashboard.create()
    monkeypatch.setattr(failpoints, "hit", hit)

    def turned() -> bool:
        one = dashboard
        try:
            one.sweeps = Sweeps(one.services)  # what it had in memory is gone
            one.turn()
        except Died:
            journal = one.sweeps.folders.of(sweep.id) / JOURNAL
            with journal.open("ab") as file:
                file.write(b'{"op_code":4,"worker')  # and the line that it was at is there by half
        return one.look(sweep).state == "done"

    wait_for(turned, 60)
    found = dashboard.look(sweep)
    assert hits["left"] > 1 and states(found) == ["complete"] * 6
    assert len(attempts(folder)) == 6 and set(attempts(folder).values()) == {1}


def test_a_sweep_that_is_made_by_half_is_none(
    dashboard: Dashboard, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hit(name: str) -> None:
        if name == "sweep.written":
            raise Died(name)

    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "hit", hit)
        with pytest.raises(Died):
            dashboard.create()
    whole = dashboard.sweeps.folders
    (whole.root / f"abcd1234{MAKING}").mkdir()  # what kill -9 leaves
    assert whole.ids() == []
    dashboard.turn()
    assert dashboard.sweeps.views() == [] and attempts(folder) == {}


def test_a_sweep_that_another_one_carries_on_is_let_be(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Dashboard(folder), Dashboard(folder)
    sweep = first.create()
    journal = first.sweeps.folders.of(sweep.id) / JOURNAL
    seen: list[int] = []

    def hit(name: str) -> None:
        if name == "sweep.asked":
            before = journal.stat().st_size
            second.turn()
            seen.append(journal.stat().st_size - before)

    monkeypatch.setattr(failpoints, "hit", hit)
    first.sweeps.tick()
    monkeypatch.undo()
    for one in (first, second):
        one.services.close()
    assert seen == [0] * 6


def test_two_dashboards_run_each_trial_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.05)
    both = [Dashboard(folder), Dashboard(folder)]
    sweep = both[0].create(parallel=3)
    for one in both:
        one.services.registry.start()
    try:
        wait_for(lambda: both[1].look(sweep).state == "done", 90)
        found = both[1].look(sweep)
    finally:
        for one in both:
            one.services.close()
    assert states(found) == ["complete"] * 6
    assert len(attempts(folder)) == 6 and set(attempts(folder).values()) == {1}
