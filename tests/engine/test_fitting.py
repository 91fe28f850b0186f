"""Jobs that ask for any GPU where they fit. The machine's GPUs, and what is free on them, are a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from lfdash.engine import fitting
from lfdash.engine.forecast import Forecast, forecast
from lfdash.engine.plans import prepare
from lfdash.engine.services import Services
from lfdash.engine.submit import submit
from lfdash.jobs.args import job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.launchers.base import Launched
from lfdash.launchers.fake import FakeLauncher
from lfdash.machine.sample import Sample
from lfdash.machine.sampler import Machine
from lfdash.outcomes import Refused
from lfdash.queue.store import Queued
from lfdash.queue.turns import CachedDevices
from lfdash.runs.view import RunView
from tests.support import app as pages
from tests.support import bench
from tests.support.gpu import device, sample

ARGS = {
    "stage": "sft", "do_train": True, "finetuning_type": "lora", "model_name_or_path": "Qwen/Qwen2.5-7B-Instruct",
    "bf16": True, "per_device_train_batch_size": 1, "cutoff_len": 2048,
}  # about 20 GiB
CARDS = (device(0, 80, 1), device(1, 8, 0), device(2, 24, 0))


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """Three GPUs: 80, 8 and 24 GB."""
    with pages.with_fake_runs(tmp_path / "workspace", monkeypatch) as found:
        gpus = bench.Machine(3)
        found.registry.dispatcher.cached_devices = CachedDevices(gpus.look, 0, found.registry.workspace)
        found.others = gpus.processes  # type: ignore[attr-defined]
        yield found


def seen(*cards: object) -> mock._patch[Sample]:
    """The machine with these cards, looked at just now."""
    made = replace(sample(*cards), time=2.0**40)  # type: ignore[arg-type]
    return mock.patch.object(Machine, "seen", made)


def job(name: str, env: dict[str, str] | None = None, **changes: object) -> JobConfig:
    args = {**ARGS, **changes, "output_dir": f"saves/m/lora/{name}"}
    return job_from_args({key: value for key, value in args.items() if value is not None},
                         {"LFDASH_FITS": "True", **(env or {})})


def queued(services: Services, name: str, env: dict[str, str] | None = None, **changes: object) -> Queued | Refused:
    prepared = prepare(services, job(name, env, **changes), "a test", f"id-{name}")
    found = services.registry.enqueue(prepared.plan, prepared.record, prepared.request)
    assert isinstance(found, Queued | Refused)
    return found


def tick(services: Services) -> None:
    """One turn of the queue."""
    services.registry.refresh()
    services.registry.dispatcher.advance()
    services.registry.refresh()


def view(services: Services, name: str) -> RunView:
    found = services.registry.get(f"id-{name}")
    assert found is not None
    return found


def given(services: Services, name: str) -> tuple[str, ...] | None:
    """The GPUs that a run got; None while it waits."""
    found = view(services, name)
    return None if found.waiting else found.record and found.record.last.devices


def test_it_gets_the_smallest_gpu_that_it_fits_on_and_the_next_one_the_next(services: Services) -> None:
    with seen(*CARDS):
        assert isinstance(queued(services, "first"), Queued) and isinstance(queued(services, "second"), Queued)
        tick(services)
        assert given(services, "first") == ("2",) and given(services, "second") == ("0",)
        record = view(services, "first").record
        assert record is not None and record.last.env["CUDA_VISIBLE_DEVICES"] == "2"


def test_it_waits_for_those_that_are_where_it_fits_and_says_so(services: Services) -> None:
    with seen(*CARDS):
        for name in ("first", "second", "third"):
            queued(services, name)
        tick(services)
        waiting = view(services, "third").waiting
        assert waiting is not None and waiting.waits is not None and waiting.held is None
        assert waiting.waits.code == "fits_taken" and waiting.waits.params["who"] == "GPU 2: first; GPU 0: second"
        fake = services.registry.launchers.default
        assert isinstance(fake, FakeLauncher)
        first = view(services, "first")
        assert first.record is not None
        handle = fake.adopt(first.paths, first.record)
        fake.begin(handle)
        fake.end(handle, 0)
        tick(services)
        assert given(services, "third") == ("2",)


def test_what_is_free_counts_and_not_what_the_card_has(services: Services) -> None:
    with seen(device(0, 80, 70), device(1, 8, 0), device(2, 24, 10)):
        queued(services, "waits")
        tick(services)
        waiting = view(services, "waits").waiting
        assert waiting is not None and waiting.waits is not None
        assert waiting.waits.code == "fits_full" and waiting.waits.params["gpu"] == "2, 0"
        assert float(waiting.waits.params["need"]) == pytest.approx(20.1, abs=0.5)
    with seen(device(0, 80, 40), device(1, 8, 0), device(2, 24, 10)):
        tick(services)
        assert given(services, "waits") == ("0",)


def test_a_gpu_that_it_can_never_use_is_not_kept_for_it(services: Services) -> None:
    with seen(device(0, 3, 0), device(1, 80, 79)):
        services.registry.dispatcher.cached_devices = CachedDevices(bench.Machine(2).look, 0)
        queued(services, "waits")
        small = prepare(services, job("small", {"LFDASH_FITS": "False", "LFDASH_GPUS": "1"}), "a test", "id-small")
        assert isinstance(services.registry.enqueue(small.plan, small.record, small.request), Queued)
        tick(services)
        assert given(services, "waits") is None and given(services, "small") == ("0",)


def test_another_process_on_a_gpu_keeps_it_from_there(services: Services) -> None:
    services.others[2] = (1,)  # type: ignore[attr-defined]
    with seen(*CARDS):
        queued(services, "elsewhere")
        tick(services)
        assert given(services, "elsewhere") == ("0",)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"model_name_or_path": "nobody/knows-me"}, "fits_unknown"), ({"stage": "ppo"}, "fits_unsure"),
        ({"cutoff_len": 131072}, "fits_none"),
    ],
)
def test_what_nobody_knows_or_never_fits_is_refused_at_once(
    services: Services, changes: dict[str, object], code: str
) -> None:
    with seen(*CARDS):
        found = queued(services, "never", **changes)
        assert isinstance(found, Refused) and (found.code, found.params["code"]) == ("never", code)


def test_several_gpus_were_never_measured_so_they_are_no_promise(services: Services) -> None:
    with seen(*CARDS):
        found = queued(services, "two", {"LFDASH_GPUS": "2"})
        assert isinstance(found, Refused) and found.params["code"] == "fits_unsure"


def test_gpus_that_cannot_be_read_are_waited_for(services: Services) -> None:
    with seen():
        assert isinstance(queued(services, "waits"), Queued)
        tick(services)
        waiting = view(services, "waits").waiting
        assert waiting is not None and waiting.waits is not None and waiting.waits.code == "fits_unread"
    with seen(*CARDS):
        tick(services)
        assert given(services, "waits") == ("2",)


def test_a_start_now_takes_it_too_and_one_that_does_not_want_to_wait_goes_anywhere(services: Services) -> None:
    with seen(*CARDS):
        assert isinstance(submit(services, prepare(services, job("now"), "a test")), Launched)
        services.registry.refresh()
        assert [one.record.last.devices for one in services.registry.watcher.views if one.record] == [("2",)]
    with seen(device(0, 80, 70), device(1, 8, 0), device(2, 24, 10)):
        queued(services, "anyway")
        assert isinstance(services.registry.dispatcher.start_now("id-anyway"), Launched)


def test_the_devices_are_read_again_when_the_last_look_is_old(services: Services) -> None:
    with mock.patch.object(Machine, "look", return_value=sample(*CARDS)) as look, \
         mock.patch.object(Machine, "seen", sample()):
        assert fitting.rooms_of(fitting.fresh(services)).keys() == {"0", "1", "2"}
    look.assert_called_once_with(keep=False)


def test_the_form_s_figure_is_of_one_gpu(services: Services) -> None:
    with seen(*CARDS):
        found = forecast(services, job("form"))
    assert isinstance(found, Forecast) and found.foretold.subject.world_size == 1
