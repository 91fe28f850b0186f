"""The trials of one sweep, kept and proposed by Optuna (https://optuna.org): ask and tell, no server.

The journal is one file beside the sweep's own. Whoever writes holds the sweep's lock, so that Optuna's own lock file,
which a killed process leaves behind, is not used. A line that a killed process wrote by half is cut off first; who only
reads passes over it (optuna/storages/journal/_file.py: read_logs).
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution as Distribution
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from lfdash.files import PLAIN, Unreadable, read_edges
from lfdash.jobs.sweep import Sweep
from lfdash.jobs.sweep_values import Dimension

JOURNAL = "journal.log"
NAME = "sweep"
TAIL = 1 << 20  # bytes in which a last line ends
LONGEST_REASON = 200  # characters
FAILED = ("failed", "gone", "problems")  # why a trial has ended that may do better the next time
BY_HAND = ("stopped", "gone", "by_hand")
FIRST_FAILED = 3  # runs of a sweep that fail before any has trained, after which it stops itself
MOST_REPEATS = 20  # proposals in a row that were tried already, after which there is nothing new to try
THIRD = 3  # of successive halving: the best third goes on (Li et al., arXiv:1810.05934, reduction factor)
FEWEST, MOST_AT_RANDOM = 3, 10  # first trials of TPE that are drawn at random; Optuna's own number is 10

optuna.logging.set_verbosity(optuna.logging.WARNING)


class HeldOutside(JournalFileOpenLock):
    """No lock: whoever writes holds the sweep's."""

    def __init__(self) -> None:
        super().__init__("")

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


def mend(journal: Path) -> None:
    """Cuts off a last line that was written by half. To be called by who holds the sweep's lock. OSError."""
    descriptor = os.open(journal, os.O_RDWR | PLAIN)
    try:
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, min(size, TAIL), max(0, size - TAIL))
        if tail and not tail.endswith(b"\n"):
            os.ftruncate(descriptor, size - len(tail) + tail.rfind(b"\n") + 1)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create(folder: Path, sweep: Sweep) -> None:
    """Makes the journal of a new sweep; a grid's combinations wait in it, in order. OSError."""
    storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL), HeldOutside()))
    study = optuna.create_study(storage=storage, study_name=NAME, direction=StudyDirection[sweep.direction.upper()])
    if sweep.strategy == "grid":
        for values in sweep.grid():
            study.enqueue_trial(dict(values))


def distribution(dimension: Dimension) -> Distribution:
    """What Optuna draws a setting's values from."""
    if not dimension.continuous:
        return CategoricalDistribution(list(dimension.values))  # type: ignore[arg-type]
    assert dimension.low is not None and dimension.high is not None
    if dimension.row.kind == "int":
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def opened(folder: Path, sweep: Sweep) -> Study | Unreadable:
    """A sweep's journal; Unreadable where it is none."""
    path = folder / JOURNAL
    try:
        refuse_spoiled_end(path)
        return Study(folder, sweep)
    except OSError as error:
        return Unreadable(error.strerror or type(error).__name__, error.errno or errno.EIO)
    except Exception as error:  # noqa: BLE001 Optuna reads its lines unchecked, and a strange one may raise anything
        return Unreadable(f"{type(error).__name__}: {error}"[:LONGEST_REASON])


def refuse_spoiled_end(journal: Path) -> None:
    """Optuna passes over a last line that is no JSON, and can read nothing once there is a line behind it. ValueError
    for such a one, OSError. A line without an end is what a killed process leaves, see `mend`."""
    tail = read_edges(journal, TAIL)[1]
    *whole, _ = tail.split(b"\n")
    if whole:
        json.loads(whole[-1])


class Study:
    """A sweep's journal, opened. Methods that change it are for who holds the sweep's lock."""

    def __init__(self, folder: Path, sweep: Sweep) -> None:
        self.sweep = sweep
        storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL), HeldOutside()))
        self.study = optuna.load_study(study_name=NAME, storage=storage, pruner=pruner_of(sweep))

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials as the journal has them now, by number; not those that wait to be asked for."""
        return [one for one in self.study.get_trials(deepcopy=False) if one.state is not TrialState.WAITING]

    @property
    def left(self) -> int:
        """Trials that may still be asked for."""
        every = self.study.get_trials(deepcopy=False)
        waiting = sum(one.state is TrialState.WAITING for one in every)
        if self.sweep.strategy == "grid" or (len(every) > MOST_REPEATS and all(map(is_repeat, every[-MOST_REPEATS:]))):
            return waiting
        again = {one.user_attrs.get("again") for one in every}
        counted = sum(not is_repeat(one) and one.number not in again for one in every)
        return max(waiting, self.sweep.count - counted + waiting)

    def ask(self) -> FrozenTrial | None:
        """The next trial, RUNNING; None when there is nothing new to try."""
        for _ in range(MOST_REPEATS):
            self.study.sampler = sampler_of(self.sweep, len(self.study.get_trials(deepcopy=False)))
            trial = self.study.ask()
            self.suggest(trial)
            if not self.is_known(trial):
                return self.frozen(trial.number)
            trial.set_user_attr("reason", "repeat")
            self.study.tell(trial.number, state=TrialState.FAIL)
        return None

    def suggest(self, trial: Trial) -> None:
        """Gives every setting a value; those that have one keep it."""
        for one in self.sweep.dimensions:
            drawn = distribution(one)
            if isinstance(drawn, CategoricalDistribution):
                trial.suggest_categorical(one.field, drawn.choices)
            elif isinstance(drawn, IntDistribution):
                trial.suggest_int(one.field, drawn.low, drawn.high, log=drawn.log)
            elif isinstance(drawn, FloatDistribution):
                trial.suggest_float(one.field, drawn.low, drawn.high, log=drawn.log)

    def is_known(self, trial: Trial) -> bool:
        """Whether the same values were tried already, so that another run would only cost."""
        if self.sweep.seed == "varied" or "again" in trial.user_attrs or self.sweep.strategy == "grid":
            return False
        earlier = [one for one in self.trials if one.number != trial.number and not is_repeat(one)]
        return any(one.params == trial.params for one in earlier)

    def frozen(self, number: int) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    def live(self, trial: FrozenTrial) -> Trial:
        """A trial that goes on, to be reported to; also one that another process has asked for."""
        return Trial(self.study, trial._trial_id)

    def complete(self, trial: FrozenTrial) -> FrozenTrial:
        """A trial that goes on, with all of its values: a killed process may have asked and not drawn them."""
        if len(trial.params) < len(self.sweep.dimensions):
            self.study.sampler = sampler_of(self.sweep, trial.number)
            self.suggest(self.live(trial))
        return self.frozen(trial.number)

    def note(self, trial: FrozenTrial, **marks: Any) -> FrozenTrial:
        """Writes down what became of a trial that goes on."""
        for name, value in marks.items():
            if trial.user_attrs.get(name) != value:
                self.live(trial).set_user_attr(name, value)
        return self.frozen(trial.number)

    def report(self, trial: FrozenTrial, values: Mapping[int, float]) -> bool:
        """Tells what a trial has reached so far, by part of its run in percent; whether it should be stopped.

        Each new part is judged by itself, so that it does not matter when somebody looks; those of the first trials
        too, since successive halving notes there what later ones are held to.
        """
        live = self.live(trial)
        hopeless = False
        for percent, value in sorted(values.items()):
            if percent not in trial.intermediate_values:
                live.report(value, percent)
                hopeless |= live.should_prune()
        ended = sum(one.state in (TrialState.COMPLETE, TrialState.PRUNED) for one in self.trials)
        return hopeless and ended >= self.sweep.after_trials

    def tell(self, trial: FrozenTrial, state: TrialState, value: float | None = None, reason: str = "") -> None:
        """Ends a trial. value: of a COMPLETE one; a PRUNED one has that of its last report."""
        if reason:
            self.note(trial, reason=reason)
        self.study.tell(trial.number, value if state is TrialState.COMPLETE else None, state)

    def ended_for(self, reasons: Collection[str]) -> list[FrozenTrial]:
        """The trials that have ended for one of these reasons, and were not tried again since."""
        return [one for one in self.current if one.user_attrs.get("reason") in reasons]

    def repeat(self, reasons: Collection[str]) -> None:
        """Lets these trials wait again; each once, however often this is called."""
        for one in self.ended_for(reasons):
            self.study.enqueue_trial(dict(one.params), user_attrs={"again": one.number})

    @property
    def current(self) -> list[FrozenTrial]:
        """The trials without those that are tried again since, or wait for it, and those that were never run."""
        again = {one.user_attrs.get("again") for one in self.study.get_trials(deepcopy=False)}
        return [one for one in self.trials if one.number not in again and not is_repeat(one)]

    @property
    def only_fails(self) -> bool:
        """Whether the first runs have failed one after the other, without a step by any, so that the next ones would,
        too; not those that were stopped or taken away by hand."""
        trials = self.current
        failed = [one for one in trials if one.state is TrialState.FAIL and one.user_attrs.get("reason") not in BY_HAND]
        return len(failed) >= FIRST_FAILED and not any(map(has_begun, trials))

    def importance(self) -> dict[str, float]:
        """How much each setting matters for being among the best tenth, in parts of 1 (PED-ANOVA, arXiv:2304.10255);
        empty before there are results that differ."""
        values = [one.value for one in self.trials if one.state is TrialState.COMPLETE and one.value is not None]
        finite = [value for value in values if math.isfinite(value)]
        if len(finite) < 3 or len(set(finite)) < 2:
            return {}
        found = get_param_importances(self.study, evaluator=PedAnovaImportanceEvaluator(evaluate_on_local=False))
        return {name: float(value) for name, value in found.items()}


def has_begun(trial: FrozenTrial) -> bool:
    """Whether its run has trained a step, as far as it was seen."""
    marks = trial.user_attrs
    reached = trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or marks.get("reason") in ("dead", "no_metric")
    return reached or bool(marks.get("began"))


def is_repeat(trial: FrozenTrial) -> bool:
    """Whether it was proposed, known already, and never run."""
    return trial.user_attrs.get("reason") == "repeat"


def sampler_of(sweep: Sweep, number: int) -> BaseSampler:
    """What proposes trial `number`. Its seed follows from that alone, so a restart changes nothing."""
    seed = (sweep.sampler_seed * 1_000_003 + number) % 2**32
    if sweep.strategy == "tpe":
        first = min(MOST_AT_RANDOM, max(FEWEST, sweep.count // 3))
        return TPESampler(seed=seed, n_startup_trials=first, constant_liar=sweep.parallel > 1)
    return RandomSampler(seed=seed)


def pruner_of(sweep: Sweep) -> BasePruner:
    """What says that a run is hopeless. Steps are percents of a run, so runs of different length compare."""
    if sweep.stop_early == "median":
        return MedianPruner(n_startup_trials=sweep.after_trials, n_warmup_steps=sweep.after_percent)
    if sweep.stop_early == "halving":
        return SuccessiveHalvingPruner(min_resource=max(1, sweep.after_percent), reduction_factor=THIRD)
    return NopPruner()


def run_id_of(sweep_id: str, number: int) -> str:
    """The id of a trial's run: the same whoever makes it, and however often."""
    return hashlib.sha256(f"{sweep_id}/{number}".encode()).hexdigest()[:12]
