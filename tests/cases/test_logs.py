"""What runs of the plain CLI have left, and the causes that logs of failures tell."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

import lfdash
from lfdash.engine.facade import Run
from lfdash.runs.diagnose import diagnose
from lfdash.runs.record import RunState
from lfdash.runs.report import explain
from lfdash.ui.shared.text import t
from tests.cases.table import CASES
from tests.support import app as pages
from tests.support.failure_texts import START
from tests.support.form_page import demo
from tests.support.world import World

# -- runs of the plain CLI --------------------------------------------------------------------------------


def plain(number: str, workspace: Path, lines: int | None = None, age_s: float = 86_400.0) -> Path:
    """The folder of a run that has a case's log, or its first lines; it was written to last so long ago."""
    folder = workspace / "saves" / "m" / "lora" / "old"
    folder.mkdir(parents=True)
    log = folder / "trainer_log.jsonl"
    log.write_text("".join(CASES[number].text.splitlines(keepends=True)[:lines]))
    os.utime(log, (time.time() - age_s,) * 2)
    return folder


def run_of(workspace: Path) -> Run:
    """The only run of a workspace."""
    found = lfdash.open(workspace).run("old")
    assert isinstance(found, Run), found
    return found


def test_r01_a_log_of_2024(tmp_path: Path) -> None:
    plain("R01", tmp_path)
    run = run_of(tmp_path)
    assert run.state is RunState.SUCCEEDED
    frame = run.frame()
    counts = {name: int(np.isfinite(frame[name]).sum()) for name in ("loss", "eval_loss", "learning_rate")}
    assert counts == {"loss": 6, "eval_loss": 3, "learning_rate": 6}
    assert frame["loss"].tolist() == pytest.approx([1.85, 1.7, 1.55, 1.4, 1.25, 1.1])
    assert [list(values) for values in frame.series("eval_loss")] == [[10, 20, 30], pytest.approx([1.9, 1.7, 1.5])]
    assert frame["learning_rate"][0] == pytest.approx(4.5e-5)


def test_r03_an_early_stop(tmp_path: Path) -> None:
    plain("R03", tmp_path)
    view = run_of(tmp_path).view
    assert (view.state, view.progress.step, view.progress.total) == (RunState.SUCCEEDED, 300, 1000)


def test_r05_an_evaluation_on_each_dataset(tmp_path: Path) -> None:
    folder = plain("R05", tmp_path)
    history = [{"step": step, "epoch": step / 2, f"eval_{name}_loss": loss - step / 10}
               for step in (2, 4, 6) for name, loss in (("mine", 2.0), ("yours", 3.0))]
    state = {"global_step": 6, "max_steps": 6, "log_history": history}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    run = run_of(tmp_path)
    frame = run.frame()
    assert run.state is RunState.SUCCEEDED and frame.each_eval == ("eval_mine_loss", "eval_yours_loss")
    assert frame.series("eval_mine_loss")[1].tolist() == pytest.approx([1.8, 1.6, 1.4])
    assert frame.series("eval_yours_loss")[1].tolist() == pytest.approx([2.8, 2.6, 2.4])
    assert frame["loss"].tolist() == [2.0, 1.9, 1.8]


def test_r05_the_first_line_of_the_last_step_is_no_end(tmp_path: Path) -> None:
    plain("R05", tmp_path / "old", lines=7)
    assert run_of(tmp_path / "old").state is RunState.LOST
    plain("R05", tmp_path / "young", lines=7, age_s=1.0)
    assert run_of(tmp_path / "young").state is RunState.RUNNING


def test_r07_a_checkpoint_that_was_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain("R07", tmp_path / "workspace")
    with demo(tmp_path / "workspace", monkeypatch) as services:
        services.registry.refresh()
        (view,) = services.registry.snapshot()
        assert view.state is RunState.SUCCEEDED
        app = pages.start()
        told = f"{t('ui.past_end', step=3, total=2)} {t('outcomes.resume_plain')}"
        assert [item.value for item in app.warning] == [told]


# -- causes of failures -----------------------------------------------------------------------------------


def cause(world: World, number: str, code: int) -> tuple[str, str] | None:
    """What the page says of a run that printed a case's log and ended so: the cause, and the line that proves it."""
    handle = world.add("r1")
    shutil.copy(CASES[number].file, handle.paths.console)
    world.fake.end(handle, code)
    (view,) = world.scan()
    assert view.state is RunState.FAILED
    found = explain(view)
    return (found.id, found.line) if found else None


@pytest.mark.parametrize(
    ("number", "code", "wanted"),
    [
        ("G01", -9, ("host_memory", "SIGKILL")), ("G01", 1, None),
        ("G03", 1, ("host_memory", "E failed (exitcode: -9) local_rank: 1 (pid: 9) of binary: python")),
        (
            "G07", 1,
            ("no_samples",
             "RuntimeError: Cannot find valid samples, check `data/README.md` for the data format."),
        ),
    ],
)
def test_g_the_cause_of_a_failure(
    number: str, code: int, wanted: tuple[str, str] | None, workspace: Path
) -> None:
    assert cause(World(workspace), number, code) == wanted


def test_g01_nobody_saw_how_it_ended() -> None:
    assert diagnose(CASES["G01"].text.splitlines()) is None


def test_g08_the_runs_own_memory(workspace: Path) -> None:
    found = cause(World(workspace), "G08", 1)
    assert found is not None and found[0] == "gpu_memory"
    assert found[1].startswith("torch.OutOfMemoryError: CUDA out of memory.")


SEEN = {  # a part of each line -> its cause
    "WandbCallback": "package_missing", "Using `bitsandbytes`": "package_missing", "model_type": "model_config",
    "no file named": "weights_missing", "FlashAttention": "flash_gpu", "device-side assert": "index_range",
    "DataLoader worker": "shared_memory", "IntervalStrategy": "yaml_no", "tool description": "data_tools",
    "api_key": "tracker_key", "NoneType": "value_missing", "img/1.png": "media_file", "grad_fn": "no_gradient",
}


@pytest.mark.parametrize("before", ["", START], ids=["alone", "after a healthy start"])
def test_g05_a_cause_for_each_line(before: str) -> None:
    lines = CASES["G05"].text.splitlines()
    found = {}
    for line in lines:
        (part,) = [part for part in SEEN if part in line]
        head = "Traceback (most recent call last):\n  File \"train.py\", line 1, in main\n    run()"
        one = diagnose([*before.splitlines(), *head.splitlines(), line], 1)
        found[part] = one.id if one else None
        assert one is not None and one.line == line
    assert found == SEEN and len(lines) == 13


def test_g05_the_package_is_named() -> None:
    lines = CASES["G05"].text.splitlines()
    found = [one.params["what"] for line in lines if (one := diagnose([line], 1)) and one.id == "package_missing"]
    assert found == ["wandb", "bitsandbytes"]
