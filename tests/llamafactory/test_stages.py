"""Real runs of every stage and method, through the page's own way: job, plan, registry, llamafactory-cli.

Every day (`make test`): what the presets say, as far as a CPU can do it (each stage, and lora, freeze, full), OFT
with evaluation during training, an evaluation and predictions. All combinations: `make slow`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfdash.engine import context
from lfdash.jobs import checks
from lfdash.jobs.args import build_args, job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.jobs.presets import list_presets
from lfdash.jobs.stages import ADAPTER_METHODS, METHODS, STAGES
from lfdash.llamafactory.locate import Cli
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.predictions import Predictions
from lfdash.runs.record import Handle, RunState
from lfdash.runs.results import read_scores
from lfdash.runs.view import RunView
from tests.support.page import ROOT, Page, Together, asked

pytestmark = pytest.mark.train_env
PRESETS = {preset.name: preset for preset in list_presets(ROOT / "configs" / "presets")}
# What LLaMA-Factory 0.9.5 cannot do here, with the preset it concerns; everything else is trained.
NEEDS_MORE = {
    "sft_qlora": "bitsandbytes needs CUDA",
    "sft_full_ds_z3": "deepspeed is not installed",
    "sft_full_galore": "galore-torch is not installed",
    "ppo": "needs another trl",
    "sft_lora_multimodal": "the demo model takes no images",
    **dict.fromkeys(("lora_0b5", "lora_1b5", "lora_3b", "lora_4b", "lora_8b"), "sft_lora for another model"),
    "demo": "trained by test_train_real.py, and in full by the browser test",
}
COMBINATIONS = [f"{stage.code}-{method}" for stage in STAGES for method in METHODS if stage.code != "ppo"]
TRAINED = [name for name in PRESETS if name not in NEEDS_MORE]
DATA = {"pt": "demo_pt", "sft": "demo_sft", "rm": "demo_pairs", "dpo": "demo_pairs", "kto": "demo_kto"}
SMALL = {
    "model_name_or_path": "models/demo-llama", "template": "default", "use_cpu": True, "max_steps": 2,
    "gradient_accumulation_steps": 1, "max_samples": 40, "cutoff_len": 64, "logging_steps": 1,
    "preprocessing_num_workers": 1, "plot_loss": False, "per_device_train_batch_size": 2,
}
SCORED = {
    **{key: value for key, value in SMALL.items() if key not in ("max_steps", "plot_loss", "logging_steps")},
    "stage": "sft", "eval_dataset": "demo_sft", "max_samples": 6, "per_device_eval_batch_size": 2,
}


def preset_job(name: str) -> JobConfig:
    """A preset with the demo model put in, cut to two steps on the CPU."""
    given = {k: v for k, v in PRESETS[name].args.items() if k not in ("bf16", "warmup_ratio", "num_train_epochs")}
    return named({**given, **SMALL}, f"preset-{name}")


def stage_job(stage: str, method: str, name: str = "", **more: Any) -> JobConfig:
    """A stage with a method, two steps."""
    args = {**SMALL, "stage": stage, "finetuning_type": method, "do_train": True, "dataset": DATA[stage], **more}
    return named(args, name or f"{stage}-{method}")


def named(args: dict[str, Any], name: str, kind: str = "train") -> JobConfig:
    if args.get("stage") == "pt":
        args.pop("template")
    job = job_from_args(args, kind=kind)
    return JobConfig(kind, {**job.values, f"{kind}.output_dir": name}, job.extra)


def evaluation_job(of: str, method: str, name: str, **what: Any) -> JobConfig:
    """The evaluation of an adapter."""
    args = {**SCORED, "finetuning_type": method, "adapter_name_or_path": of, **what}
    return named(args, name, "eval")


def started(page: Page, job: JobConfig) -> Handle:
    """Starts a job, which the page must have nothing against."""
    found = checks.problems(job, context.of(page.services, job))
    assert [problem for problem in found if problem.level == "error"] == []
    return page.start_job(job, job.run_name)


@pytest.fixture(scope="module")
def page(demo_workspace: Path, preloaded: Cli, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    found = Page.open(demo_workspace, tmp_path_factory.mktemp("stages") / "workspace", cli=preloaded)
    yield found
    found.services.close()


@pytest.fixture(scope="module")
def runs(page: Page, request: pytest.FixtureRequest) -> Together:
    jobs: dict[str, Callable[[], JobConfig]] = {
        **{name: partial(preset_job, name) for name in TRAINED},
        "oft": lambda: stage_job("sft", "oft", name="oft", val_size=0.2, eval_strategy="steps", eval_steps=1),
        "scored": lambda: evaluation_job(ends["sft_lora"].output_dir, "lora", "scored", do_eval=True),
        # LLaMA-Factory takes an OFT adapter while the method is called LoRA: the adapter says itself what it is
        "predicted": lambda: evaluation_job(
            ends["oft"].output_dir, "lora", "predicted", do_predict=True, predict_with_generate=True, max_new_tokens=4
        ),
        **{name: partial(stage_job, *name.split("-")) for name in COMBINATIONS},
    }
    ends = Together(page, jobs, partial(started, page), asked(request, "run"))
    return ends


def trained(view: RunView, steps: int = 2) -> RunFeed:
    """What a run of so many steps left, which must be whole: each step charted once, and something saved."""
    assert (view.state, view.exit_code, view.error) == (RunState.SUCCEEDED, 0, None), view
    assert (view.progress.step, view.progress.total, view.saved.step) == (steps, steps, steps)
    tail = RunFeed(view.paths)
    tail.poll()
    losses = tail.frame["step"][np.isfinite(tail.frame["loss"])]
    assert losses.tolist() == list(range(1, steps + 1))
    return tail


@pytest.mark.parametrize("run", TRAINED)
def test_a_preset_is_trained(runs: Together, run: str) -> None:
    view, args = runs[run], PRESETS[run].args
    trained(view)
    assert view.saved.model == ("adapter" if args["finetuning_type"] in ADAPTER_METHODS else "model")
    assert view.record is not None
    assert (view.record.stage, view.record.method) == (args["stage"], args["finetuning_type"])


def test_every_stage_and_method_is_trained_every_day() -> None:
    args = [PRESETS[name].args for name in TRAINED]
    assert {item["stage"] for item in args} == {stage.code for stage in STAGES} - {"ppo"}
    assert {item["finetuning_type"] for item in args} | {"oft"} == set(METHODS)


@pytest.mark.parametrize("run", ["oft"])
def test_oft_with_evaluation_during_training(runs: Together, run: str) -> None:
    view = runs[run]
    tail = trained(view)
    assert view.saved.model == "adapter" and view.output_dir.split("/")[2] == "oft"
    scored = np.isfinite(tail.frame["eval_loss"])
    assert tail.frame["step"][scored].tolist() == [1, 2]
    assert (tail.frame["eval_loss"][scored] > 1).all()


@pytest.mark.parametrize("run", ["scored"])
def test_an_evaluation_has_its_scores(runs: Together, run: str) -> None:
    view = runs[run]
    assert (view.state, view.error) == (RunState.SUCCEEDED, None), view
    scores = read_scores(view.path)
    assert 1 < scores["eval_loss"] < 12
    assert view.record is not None and view.record.kind == "eval"


@pytest.mark.parametrize("run", ["predicted"])
def test_predictions_can_be_read(page: Page, runs: Together, run: str) -> None:
    view = runs[run]
    assert (view.state, view.error) == (RunState.SUCCEEDED, None), view
    rows = Predictions(view.path / "generated_predictions.jsonl")
    assert rows.count() == 6
    first = rows.page(0, 1)[0]
    data = json.loads((page.services.workspace.data / "demo_sft.json").read_text())
    assert first.label.strip() in {row["output"] for row in data}  # the template ends it with a line break
    assert 0 <= read_scores(view.path)["predict_rouge-1"] <= 100


def test_an_oft_adapter_under_its_own_method_is_refused_with_the_way_out(page: Page, runs: Together) -> None:
    folder = runs["oft"].output_dir
    job = evaluation_job(folder, "oft", "refused", do_eval=True)
    (problem,) = [p for p in checks.problems(job, context.of(page.services, job)) if p.code == "adapter_method"]
    assert problem.fix is not None
    cured = JobConfig(job.kind, {**job.values, **{k: v for k, v in problem.fix.items() if v is not None}}, job.extra)
    args = build_args(cured)
    assert (args["finetuning_type"], args["adapter_name_or_path"]) == ("lora", folder)
    assert not [p for p in checks.problems(cured, context.of(page.services, cured)) if p.level == "error"]


@pytest.mark.slow
@pytest.mark.parametrize("run", COMBINATIONS)
def test_every_combination_of_stage_and_method_is_trained(runs: Together, run: str) -> None:
    view = runs[run]
    trained(view)
    assert view.saved.model == ("adapter" if run.split("-")[1] in ADAPTER_METHODS else "model")
