"""Estimates that past runs of the workspace correct; the card is a sample of the machine, its runs are files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from lfdash.engine import past_runs
from lfdash.engine.forecast import Forecast, forecast
from lfdash.engine.memory import as_json
from lfdash.engine.services import Services
from lfdash.jobs.args import job_from_args
from lfdash.launchers.fake import FakeLauncher
from lfdash.machine.history import History
from lfdash.machine.recording import Recording, row_of
from lfdash.machine.sampler import Machine
from lfdash.memory.estimate import DIFFERS
from lfdash.runs.paths import RunPaths
from lfdash.runs.view import RunView
from lfdash.workspace.devices import Devices, Gpu
from tests.support import app as pages
from tests.support.gpu import GB, device, recorded, sample
from tests.support.runs import launch, plan_for, wait_for

ARGS = {
    "stage": "sft", "do_train": True, "finetuning_type": "lora", "model_name_or_path": "Qwen/Qwen2.5-7B-Instruct",
    "bf16": True, "per_device_train_batch_size": 1, "cutoff_len": 2048, "output_dir": "saves/m/lora/new",
}


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    with pages.with_fake_runs(tmp_path / "workspace", monkeypatch) as found:
        found.devices = Devices((Gpu(0, "", True),), 2)
        with mock.patch.object(Machine, "seen", sample(device(0, 80, 1))):
            yield found


def run(
    services: Services, name: str, used: float, *, before: float = 0.5, total: float = 80, code: int = 0,
    card: str = "", **args: object,
) -> RunPaths:
    """A run that is over. used: GB by which its card of `total` got fuller; before: what was in use when it began;
    card: the name of it that was written."""
    fake = services.registry.launchers.default
    assert isinstance(fake, FakeLauncher)
    handle = launch(services.registry, plan_for(services.registry.workspace, name=name))
    handle.paths.training_args.write_text(json.dumps({**ARGS, **args}))
    recorded(handle.paths.machine, before, used / 2 + before, used + before, used + before, total=total, name=card)
    fake.begin(handle)
    fake.end(handle, code)
    services.registry.refresh()
    return handle.paths


def read(services: Services) -> Forecast:
    """The forecast of a new job once the runs were read."""
    shown = services.registry.snapshot()
    services.past_runs.find(shown, lambda: past_runs.wanted(services, shown))
    return asked(services)


def asked(services: Services) -> Forecast:
    found = forecast(services, job_from_args(ARGS))
    assert isinstance(found, Forecast)
    return found


def need(found: Forecast) -> float:
    """GB of the card."""
    return found.foretold.estimate.driver / GB


def test_a_past_run_on_this_card_corrects_the_figure_and_is_named(services: Services) -> None:
    before = need(asked(services))
    run(services, "yesterday", before * 1.08)
    found = read(services)
    assert need(found) == pytest.approx(before * 1.08, rel=0.001)
    told = as_json(found.foretold)
    assert told["learned"]["run"] == "yesterday" and told["learned"]["runs"] == 1
    assert told["driver"] == found.foretold.estimate.driver


def test_the_form_does_not_wait_for_the_runs_to_be_read(services: Services) -> None:
    before = need(asked(services))
    run(services, "yesterday", before * 1.08)
    wait_for(lambda: need(asked(services)) != before)
    assert as_json(asked(services).foretold)["learned"]["run"] == "yesterday"


def test_what_tells_nothing_of_this_job_corrects_nothing(services: Services) -> None:
    before = need(asked(services))
    run(services, "other-card", before * 1.08, total=24)
    run(services, "beside-another", before * 1.08, before=5)
    run(services, "failed", before * 1.08, code=1)
    run(services, "full", before * 1.08, finetuning_type="full")
    run(services, "other-name", before * 1.08, card="NVIDIA H100 80GB HBM3")
    begun = run(services, "never-stepped", before * 1.08)
    recorded(begun.machine, 0.5, before * 1.08 + 0.5, steps=False)
    found = read(services)
    assert need(found) == before and found.foretold.subject.learned is None
    assert as_json(found.foretold)["learned"] is None


def test_a_card_is_known_again_by_its_product(services: Services) -> None:
    """Two cards of 80 GB take not the same; one card has more than one name."""
    before, card = need(asked(services)), replace(device(0, 80, 1), name="NVIDIA A100-SXM4-80GB")
    run(services, "h100", before * 1.10, card="NVIDIA H100 80GB HBM3")
    run(services, "a100", before * 1.05, card="NVIDIA A100 80GB PCIe")
    with mock.patch.object(Machine, "seen", sample(card)):
        assert need(read(services)) == pytest.approx(before * 1.05, rel=0.001)
    with mock.patch.object(Machine, "seen", sample(replace(card, name=""))):
        assert as_json(read(services).foretold)["learned"]["runs"] == 2, "by the size alone, where there is no name"


def test_the_name_of_a_card_is_written_and_read(tmp_path: Path) -> None:
    card, path = replace(device(0, 80, 1), name="NVIDIA H200"), tmp_path / "machine.jsonl"
    recording = Recording(path)
    history = History(path)
    for step in range(3):
        seen = replace(sample(replace(card, seen=1.0 + 5 * step)), time=1.0 + 5 * step)
        assert recording.add(row_of(seen, seen.devices, 1, step))
        assert history.poll().devices["nvidia:0"].name == "NVIDIA H200"
    path.write_text('{"time": 1.0, "devices": {"nvidia:0": {"load": 1.0, "name": 7}}}\n')
    assert History(path).poll().devices["nvidia:0"].name == ""


def test_a_run_that_differs_by_more_than_it_may_is_said_and_corrects_nothing(services: Services) -> None:
    before = need(asked(services))
    run(services, "odd", before * 1.4)
    found = read(services)
    assert need(found) == before and DIFFERS in found.foretold.estimate.unknown
    assert as_json(found.foretold)["learned"] is None


def test_what_torch_logged_counts_before_what_the_card_shows(services: Services) -> None:
    plain = asked(services).foretold.estimate
    paths = run(services, "logged", plain.driver / GB * 1.3)
    rows = [{"current_steps": n, "total_steps": 2, "loss": 1.0, "vram_allocated": plain.allocated / GB * 1.05,
             "vram_reserved": plain.reserved / GB * 1.1} for n in (1, 2)]
    paths.trainer_log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read(services).foretold.estimate
    assert found.allocated == pytest.approx(plain.allocated * 1.05, rel=0.001)
    assert found.reserved == pytest.approx(plain.reserved * 1.1, rel=0.001)


HOSTILE = {
    "memory_used": [{"memory_used": -1e308, "memory_total": 80 * GB}, {"memory_used": 1e308, "memory_total": 80 * GB}],
    "memory_total": [{"memory_used": GB / 2, "memory_total": 1e308}, {"memory_used": 20 * GB, "memory_total": 1e308}],
    "below 0": [{"memory_used": -5 * GB, "memory_total": 80 * GB}, {"memory_used": 16 * GB, "memory_total": 80 * GB}],
}


@pytest.mark.parametrize("what", [*HOSTILE, "vram"])
def test_numbers_that_no_card_has_are_not_known_and_other_runs_correct_as_before(
    services: Services, what: str
) -> None:
    before = need(asked(services))
    run(services, "good", before * 1.08)
    hostile = run(services, "hostile", before * 1.08)
    if what == "vram":
        rows = [{"current_steps": n, "total_steps": 2, "loss": 1.0, "vram_allocated": -1e308 if n == 1 else 1e308,
                 "vram_reserved": 1e308} for n in (1, 2)]
        hostile.trainer_log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        told = [{"time": 1.7e9 + step, "attempt": 1, "step": step, "devices": {"nvidia:0": one}}
                for step, one in enumerate(HOSTILE[what])]
        hostile.machine.write_text("".join(json.dumps(row) + "\n" for row in told))
    found = read(services)
    assert need(found) == pytest.approx(before * 1.08, rel=0.001)
    learned = as_json(found.foretold)["learned"]
    assert learned["runs"] == (2 if what == "vram" else 1), "what its card shows still counts"
    view = next(view for view in services.registry.snapshot() if view.name == "hostile")
    assert past_runs.logged_peaks(view) == (None, None)


def test_a_run_that_cannot_be_counted_ends_no_correction_by_the_others(services: Services) -> None:
    before = need(asked(services))
    run(services, "good", before * 1.08)
    run(services, "huge", before * 1.08, cutoff_len=10**400, per_device_train_batch_size=10**400)
    real = past_runs.measured

    def measured(services: Services, view: RunView) -> past_runs.OnCard | None:
        if view.name == "worst":
            raise ZeroDivisionError
        return real(services, view)

    run(services, "worst", before * 1.08)
    with mock.patch.object(past_runs, "measured", measured):
        assert as_json(read(services).foretold)["learned"]["run"] == "good"


def test_a_job_without_a_card_asks_no_runs(services: Services) -> None:
    with mock.patch.object(Machine, "seen", sample()), mock.patch.object(services.past_runs, "want") as want:
        asked(services)
    want.assert_not_called()
