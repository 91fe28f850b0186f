"""The whole training, and lengths of rows that were measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from lfdash.demo.__main__ import make_data
from lfdash.engine import whole_run as module
from lfdash.engine.forecast import Forecast, forecast
from lfdash.engine.services import Project, Services
from lfdash.engine.whole_run import WholeRun, every_length, measure_lengths, whole_run
from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.token_lengths import Lengths
from lfdash.outcomes import Refused
from lfdash.workspace.allowed_paths import Roots
from tests.support import ROOT


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    make_data(tmp_path / "workspace" / "data")
    found = Services(Project(ROOT), tmp_path / "workspace")
    found.cli = Cli("/a/llamafactory-cli", "/a/python")
    yield found
    found.close()


def job(**changes: object) -> JobConfig:
    args = {
        "stage": "sft", "do_train": True, "finetuning_type": "lora", "model_name_or_path": "Qwen/Qwen2.5-7B-Instruct",
        "dataset": "demo_sft", "dataset_dir": "data", "per_device_train_batch_size": 4, "num_train_epochs": 1.0,
        "output_dir": "saves/a/lora/b", "save_steps": 50, "bf16": True, "cutoff_len": 1024, "template": "qwen",
    }
    return job_from_args({**args, **changes})


def told(services: Services, wanted: JobConfig) -> WholeRun | None:
    found = forecast(services, wanted)
    assert isinstance(found, Forecast)
    return whole_run(services, wanted, found.foretold.subject)


def measure(services: Services, wanted: JobConfig, each: int = 20) -> Lengths | Refused:
    rows = services.data.rows("data", ["demo_sft"])["demo_sft"]
    with mock.patch.object(module, "count_tokens", return_value=Lengths((each,) * rows)):
        return measure_lengths(services, wanted)


def test_without_lengths_there_are_steps_and_disk_and_no_tokens(services: Services) -> None:
    rows = services.data.rows("data", ["demo_sft"])["demo_sft"]
    found = told(services, job())
    assert found is not None and not found.measured
    assert found.totals.rows == rows and found.totals.steps == -(-rows // 4)
    assert found.totals.tokens is None and found.totals.seen is None
    assert found.totals.disk == found.totals.model_bytes + found.totals.checkpoint_bytes * len(found.totals.checkpoints)
    assert told(services, job(packing=True)) is None


def test_measured_lengths_count_until_a_file_changes(services: Services) -> None:
    assert isinstance(measure(services, job()), Lengths)
    rows = services.data.rows("data", ["demo_sft"])["demo_sft"]
    found = told(services, job(num_train_epochs=2.0))
    assert found is not None and found.measured and found.totals.tokens == 20 * rows
    assert found.totals.seen == 40 * rows
    packed = told(services, job(packing=True))
    assert packed is not None and packed.totals.sequences < rows / 20
    assert told(services, job(template="llama3")) != found  # other tokens
    other = Services(Project(ROOT), services.workspace.root)
    assert other.row_lengths.of(build_args(job())) is not None  # kept for the next server
    other.close()
    with next((services.workspace.root / "data").glob("demo_sft*")).open("a", encoding="utf-8") as file:
        file.write(" ")
    assert services.row_lengths.of(build_args(job())) is None


def test_the_memory_of_short_rows_is_told_by_their_lengths(services: Services) -> None:
    before = forecast(services, job())
    measure(services, job())
    after = forecast(services, job())
    assert isinstance(before, Forecast) and isinstance(after, Forecast)
    assert after.foretold.estimate.driver < before.foretold.estimate.driver
    assert "lengths" in before.foretold.estimate.unknown and "lengths" not in after.foretold.estimate.unknown


def test_a_sample_tells_nothing_of_the_longest_row(services: Services) -> None:
    measure(services, job())
    args = build_args(job())
    assert every_length(services, args) and len(every_length(services, {**args, "max_samples": 7})) == 7
    with mock.patch.object(module, "SAMPLE", 10):
        assert every_length(services, args) == ()


def test_datasets_that_were_measured_one_by_one_are_known_together(services: Services) -> None:
    args = build_args(job())
    for name, length in (("demo_sft", 5), ("demo_chat", 7)):
        services.row_lengths.keep({**args, "dataset": name}, Lengths((length,)))
    assert services.row_lengths.of({**args, "dataset": "demo_sft,demo_chat"}) == Lengths((5, 7))
    assert services.row_lengths.of({**args, "dataset": "demo_sft,demo_dpo"}) is None


def test_what_cannot_be_counted_is_refused_and_nothing_kept(services: Services) -> None:
    with mock.patch.object(module, "count_tokens", return_value=Refused("asked_time", {"reason": "3"})):
        assert measure_lengths(services, job()) == Refused("asked_time", {"reason": "3"})
    services.roots = Roots.of(services.workspace.root, (), shared=True)
    found = measure_lengths(services, job(dataset_dir="/etc"))
    assert isinstance(found, Refused) and found.code == "sees_outside"
    assert services.row_lengths.of(build_args(job())) is None
