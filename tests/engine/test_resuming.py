"""What refuses a run that goes on by itself: it is tried again while that may pass, and what lasts is said."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lfdash.engine import resuming
from lfdash.engine.rests import FIRST_S, MOST_S, Rests
from lfdash.engine.resuming import Resuming, Standing, standing
from lfdash.launchers.base import Interruption, Launched
from lfdash.outcomes import Refused
from lfdash.runs.record import Handle, RunState
from tests.support.resuming import resumed_words

SILENT = Refused("scheduler_silent", {"reason": "sbatch did not answer"})
LAUNCHED = Launched(cast(Handle, SimpleNamespace(run_id="id-r1")))


@dataclass
class Bench:
    """A run on a target that its time limit has ended, and whoever launches its next attempt."""

    now: float = 0.0
    outcome: Refused | Launched = SILENT
    tried: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.registry: Any = SimpleNamespace(
            rests=Rests(lambda: self.now), launch=self.launch, watcher=SimpleNamespace(views=[]),
            dispatcher=SimpleNamespace(trusts=lambda name: True),
            queue=SimpleNamespace(jobs=SimpleNamespace(settings=lambda: SimpleNamespace(paused=False))),
        )
        self.services: Any = SimpleNamespace(registry=self.registry)
        self.turns = Resuming(self.services)
        self.runs: list[Any] = []
        self.add("id-r1")

    def add(self, run_id: str) -> None:
        attempt = SimpleNamespace(automatic=False)
        record = SimpleNamespace(launcher="slurm:lab", attempts=(attempt,), last=attempt)
        self.runs.append(SimpleNamespace(
            run_id=run_id, attempt=1, state=RunState.STOPPED, record=record, saved=SimpleNamespace(checkpoints=(5,)),
        ))
        self.registry.watcher.views = self.runs

    def launch(self, *_: Any) -> Refused | Launched:
        self.tried.append(self.now)
        return self.outcome

    def turn(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.turns._next = 0.0
        self.turns.tick()

    @property
    def told(self) -> str:
        found = standing(self.services, self.runs[0])
        assert isinstance(found, Standing)
        return found.code

    @property
    def words(self) -> str:
        return resumed_words(self.services, "en", self.runs[0])


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    prepared = SimpleNamespace(plan=None, request=None, record=SimpleNamespace(with_last=lambda **_: None))
    monkeypatch.setattr(resuming, "interruption_of", lambda *_: Interruption("time_limit", 3, 0))
    monkeypatch.setattr(resuming, "why_not_resumed", lambda view: None)
    monkeypatch.setattr(resuming, "newest_whole", lambda view: 5)
    monkeypatch.setattr(resuming, "prepare_resume", lambda *_: prepared)
    return Bench()


@pytest.mark.parametrize("code", ["scheduler_silent", "scheduler_refused", "another_launch", "unseen"])
def test_what_may_pass_is_tried_again_for_ever_and_less_and_less_often(bench: Bench, code: str) -> None:
    bench.outcome = Refused(code, {"reason": "no answer", "path": "saves/other"})
    for _ in range(3 * 3600):
        bench.turn(1.0)
    pauses = [after - before for before, after in zip(bench.tried, bench.tried[1:], strict=False)]
    assert pauses[:4] == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S, 8 * FIRST_S] and set(pauses[6:]) == {MOST_S}
    assert bench.told == "resume_tries" and not bench.turns._settled
    bench.outcome = LAUNCHED
    bench.turn(MOST_S)
    assert bench.turns._settled == {("id-r1", 1)}


def test_the_last_try_is_told(bench: Bench) -> None:
    assert bench.told == "resume_next" and "from step 5" in bench.words
    bench.turn()
    assert "sbatch did not answer" in bench.words and "resume it yourself" in bench.words


@pytest.mark.parametrize("code", ["target_differs", "secret_missing", "exists", "target_unknown", "outside"])
def test_what_lasts_ends_it_and_is_told(bench: Bench, code: str) -> None:
    bench.outcome = Refused(code, {"name": "HF_TOKEN", "path": "saves/r1", "file": "targets.toml"})
    for _ in range(600):
        bench.turn(1.0)
    assert len(bench.tried) == 1 and bench.told == "resume_refused"
    assert "does not go on by itself" in bench.words and "Nothing was started" in bench.words


def test_a_scheduler_that_is_silent_is_not_asked_for_every_run(bench: Bench) -> None:
    for number in range(2, 9):
        bench.add(f"id-r{number}")
    bench.turn()
    bench.turn(1.0)
    assert len(bench.tried) == 1
    bench.outcome = LAUNCHED
    bench.turn(FIRST_S)
    assert len(bench.tried) == 9
