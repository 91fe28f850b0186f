"""Sweeps whose runs are over, made without running any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import TrialState

from lfdash.engine.opening import open_config
from lfdash.engine.services import Services
from lfdash.engine.sweep_records import new_record
from lfdash.engine.sweep_study import Study, create
from lfdash.engine.sweep_views import SweepView
from lfdash.engine.sweeps import Sweeps
from lfdash.jobs.sweep import Sweep, read_sweep
from lfdash.jobs.sweep_values import name_of
from lfdash.outcomes import Refused
from tests.support import ROOT

PRESET = ROOT / "configs" / "presets" / "demo.yaml"
End = float | str | None  # a trial's value; "pruned" or why it failed; None = it goes on


def sweep_of(services: Services, settings: Mapping[str, Any], args: Mapping[str, Any] = {}, **options: Any) -> Any:
    """(job, sweep) of the demo preset with these settings."""
    opened = open_config(services, PRESET, args)
    assert not isinstance(opened, Refused), opened
    sweep = read_sweep({"settings": settings, **options}, opened.job)
    assert isinstance(sweep, Sweep), sweep
    return opened.job, sweep


def add_sweep(
    sweeps: Sweeps, settings: Mapping[str, Any], ends: Sequence[End], args: Mapping[str, Any] = {}, **options: Any
) -> SweepView:
    """A sweep as it is after its first trials have ended so. args: of the job; options: of the sweep."""
    job, sweep = sweep_of(sweeps.services, settings, args, **options)
    record = new_record(sweep.name, job, sweep)
    with sweeps.folders.making(record) as folder:
        create(folder, sweep)
    study = Study(sweeps.folders.of(record.id), sweep)
    for end in ends:
        trial = study.ask()
        assert trial is not None
        name = name_of([(one.field, trial.params[one.field]) for one in sweep.dimensions])
        trial = study.note(trial, name=name, queued=True)
        if isinstance(end, float):
            study.tell(study.note(trial, at=30), TrialState.COMPLETE, end)
        elif end == "pruned":
            study.report(trial, {20: 9.0, 34: 8.0})
            study.tell(trial, TrialState.PRUNED)
        elif end is not None:
            study.tell(trial, TrialState.FAIL, reason=end)
    found = sweeps.get(record.id)
    assert isinstance(found, SweepView), found
    return found
