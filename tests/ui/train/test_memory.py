"""A run's GPU memory on its page: estimated beside measured, and what was in the way of one that failed for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.launchers.fake import FakeLauncher
from lfdash.machine.history import EMPTY
from lfdash.runs.out_of_memory import OutOfMemory
from lfdash.ui.launch import memory_fit
from lfdash.ui.shared import dialogs
from lfdash.ui.shared.text import t
from lfdash.ui.train import memory
from tests.support import ROOT
from tests.support import app as pages
from tests.support.gpu import recorded
from tests.support.runs import launch, plan_for

LOGS = ROOT / "tests" / "fixtures" / "memory"
GB = 1 << 30
ARGS = {
    "stage": "sft", "do_train": True, "finetuning_type": "lora", "model_name_or_path": "Qwen/Qwen2.5-7B-Instruct",
    "bf16": True, "per_device_train_batch_size": 16, "cutoff_len": 8192, "output_dir": "saves/m/lora/r1",
}


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.setenv("LFDASH_CLI", "/no/llamafactory-cli")
    with pages.opened(tmp_path / "workspace") as found:
        found.registry.launchers.default = FakeLauncher()
        found._started = True
        yield found


def page(services: Services, *, log: str = "", used: float = 0, code: int = 0, **args: object) -> AppTest:
    """The page of a run that is over. log: what it printed; used: GB of 80 that were in use at most."""
    fake = services.registry.launchers.default
    assert isinstance(fake, FakeLauncher)
    handle = launch(services.registry, plan_for(services.registry.workspace))
    handle.paths.training_args.write_text(json.dumps({**ARGS, **args}))
    if log:
        handle.paths.console.write_text((LOGS / f"out_of_memory_{log}.txt").read_text(encoding="utf-8"))
    if used:
        recorded(handle.paths.machine, 1, used, used / 2)
    fake.begin(handle)
    fake.end(handle, code)
    services.registry.refresh()
    return pages.start()


def said(item: Any) -> str:
    """What it shows, without what makes it safe in Markdown."""
    return str(item.value).replace("\\", "")


def test_a_failure_for_want_of_memory_says_what_was_estimated_and_in_the_way(services: Services) -> None:
    app = page(services, log="batch", code=1)
    (told,) = [said(item) for item in app.main.error]
    assert "Estimated for this run: about " in told and "139.8 GiB" not in told  # written as 140
    assert "this run had 84.1 GiB" in told and "74.2 GiB more" in told
    assert t("memory.oom_logits")[:30] in told and "Other processes" not in told
    app.button(key="oom_fit").click()
    pages.good(app.run())
    assert app.session_state[dialogs.MEMORY] and app.session_state[memory_fit.CARD] == "141 GB"
    assert app.session_state["train.batch_size"] == "16" and app.session_state["train.cutoff_len"] == "8192"


def test_a_foreign_process_is_named(services: Services) -> None:
    app = page(services, log="load_gpu_held", code=1)
    (told,) = [said(item) for item in app.main.error]
    assert "Other processes held 134." in told or "Other processes held 135" in told
    assert "1919" in told and t("memory.oom_loading")[:20] in told


def test_loading_in_8_bit_is_told_apart(services: Services) -> None:
    app = page(services, log="load_gpu_held", code=1, quantization_bit=8)
    assert any("loaded in 8 bits" in said(item) for item in app.main.error)


def test_a_run_whose_settings_are_gone_has_no_offer(services: Services) -> None:
    app = page(services, log="batch", code=1, model_name_or_path="nobody/knows-me")
    assert app.button(key="oom_fit").disabled
    assert not any("Estimated for this run" in said(item) for item in app.main.error)


def test_estimated_stands_beside_measured_and_a_card_that_was_nearly_full_is_told(services: Services) -> None:
    app = page(services, used=78.5, per_device_train_batch_size=1, cutoff_len=2048)
    (line,) = [said(item) for item in app.main.caption if "GPU memory: estimated" in said(item)]
    assert "at most 78.5 of 80 GiB in use on GPU 0" in line
    assert any("only 1.5 GiB were left" in said(item) for item in app.main.warning)


def test_a_card_with_room_is_no_warning_and_a_run_without_figures_has_no_line(services: Services) -> None:
    app = page(services, used=70)
    assert any("at most 70.0 of 80 GiB" in said(item) for item in app.main.caption)
    assert not any("were left" in said(item) for item in app.main.warning)


def test_each_figure_stands_beside_the_same_one(services: Services) -> None:
    """Of a small model, whose CUDA context is more than all the rest."""
    fake = services.registry.launchers.default
    assert isinstance(fake, FakeLauncher)
    handle = launch(services.registry, plan_for(services.registry.workspace))
    handle.paths.training_args.write_text(json.dumps({**ARGS, "per_device_train_batch_size": 1, "cutoff_len": 2048}))
    recorded(handle.paths.machine, 0.5, 17, 18.5)
    row = {"current_steps": 1, "total_steps": 1, "loss": 1.0, "vram_allocated": 16.25, "vram_reserved": 17.5}
    handle.paths.trainer_log.write_text(json.dumps(row) + "\n")
    fake.begin(handle)
    fake.end(handle, 0)
    services.registry.refresh()
    (line,) = [said(item) for item in pages.start().main.caption if "GPU memory: estimated" in said(item)]
    assert "measured 18.0 GiB (this run's share of the card)" in line, "without what was there before"
    assert "at most 18.5 of 80 GiB in use on GPU 0" in line
    for words in (r"reserved by PyTorch: estimated [\d.]+ GiB, measured 17.5 GiB",
                  r"allocated by PyTorch: estimated [\d.]+ GiB, measured 16.2 GiB"):
        assert re.search(words, line), line


def test_nothing_measured_is_no_line(services: Services) -> None:
    app = page(services)
    assert not any("GPU memory" in said(item) for item in app.main.caption)


def test_the_card_that_was_full_is_the_largest_common_one_that_is_no_larger() -> None:
    assert memory.full_card(OutOfMemory(1, total=24 * GB), EMPTY) == "24 GB"
    assert memory.full_card(OutOfMemory(1, total=int(79.2 * GB)), EMPTY) == "80 GB"
    assert memory.full_card(OutOfMemory(1), EMPTY) == memory.full_card(None, EMPTY) == ""
