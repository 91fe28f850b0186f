"""Another version of LLaMA-Factory, for real, with the demo's model: each test is a row of docs/versions.md.

`make versions` calls it once for each version (tools/versions.py), with LFDASH_VERSIONS_CLI naming that version's
llamafactory-cli. What a version cannot do must be told before Start; that is "told", not a failure.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lfdash
from lfdash.jobs.args import build_args
from lfdash.jobs.importing import read_config
from lfdash.jobs.secret_arguments import is_secret
from lfdash.llamafactory.catalogue import Upstream
from lfdash.llamafactory.deep_check import deep_check
from lfdash.llamafactory.locate import VARIABLE, Cli, described
from lfdash.llamafactory.probe import probe
from lfdash.locales import problem_in
from lfdash.outcomes import Problem
from lfdash.runs.paths import marker
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.results import read_scores
from lfdash.supervisor.processes import marked
from tests.support import ROOT
from tests.support.board import ELSEWHERE, IMAGES, PRESETS, Board, job_of, open_in_board
from tests.support.preloaded import preload
from tests.support.runs import wait_for
from tests.support.terminal import end_runs

pytestmark = pytest.mark.versions
SECONDS = 900.0
DEMO = ROOT / "configs" / "presets" / "demo.yaml"
LACKING = ("argument_of_other", "argument_unknown", "argument_unknown_near")
BY_NAME = ("argument_of_other", "argument_renamed", "argument_pixels", "argument_merged", "argument_opposite")
SMALL = {
    "model_name_or_path": "models/demo-llama", "template": "default", "use_cpu": True, "max_steps": 2,
    "gradient_accumulation_steps": 1, "max_samples": 40, "cutoff_len": 64, "logging_steps": 1, "lora_target": "all",
    "per_device_train_batch_size": 2, "do_train": True,
}
DATA = {
    "pt": "demo_pt", "sft": "demo_sft", "rm": "demo_pairs", "dpo": "demo_pairs", "kto": "demo_kto", "ppo": "demo_sft",
}
WAYS = ("pt-lora", "sft-full", "sft-freeze", "sft-oft", "rm-lora", "dpo-lora", "kto-lora", "ppo-lora")
SCORED = {
    "stage": "sft", "model_name_or_path": "models/demo-llama", "template": "default", "use_cpu": True,
    "finetuning_type": "lora", "eval_dataset": "demo_sft", "max_samples": 6, "per_device_eval_batch_size": 2,
    "cutoff_len": 64,
}


@dataclass
class Row:
    """A row of the table. note: says what was seen, and as what it counts."""

    note: Callable[[str, str], None]

    def saw(self, text: str, result: str = "ok") -> None:
        self.note("seen", text)
        self.note("result", result)


@pytest.fixture
def row(request: pytest.FixtureRequest, record_property: Callable[[str, str], None]) -> Row:
    """The row that a test is: the first line of its docstring, with what it was parametrised with."""
    of = "".join(f" ({value})" for value in getattr(request.node, "callspec", Of()).params.values())
    record_property("row", f"{request.function.__doc__.splitlines()[0].rstrip('.')}{of}")
    return Row(record_property)


class Of:
    """Stands for the parameters of a test that has none."""

    params: Mapping[str, str] = {}


@pytest.fixture(scope="module")
def cli() -> Cli:
    path = os.environ.get("LFDASH_VERSIONS_CLI")
    if not path:
        pytest.skip("LFDASH_VERSIONS_CLI names no llamafactory-cli; `make versions` does")
    return described(path)


@pytest.fixture(scope="module")
def folder(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The demo's workspace."""
    root = tmp_path_factory.mktemp("version") / "workspace"
    shutil.copytree(demo_workspace, root)
    yield root
    end_runs(root)


def opened(folder: Path, cli: Cli) -> lfdash.Workspace:
    """The workspace as a dashboard has it that LFDASH_CLI gives this LLaMA-Factory, once it has asked it."""
    found = probe(cli, folder / ".lfdash")
    assert not isinstance(found, lfdash.Refused), found
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, cli.path)
        return lfdash.open(folder)


@pytest.fixture(scope="module")
def workspace(cli: Cli, folder: Path) -> lfdash.Workspace:
    """The workspace with that version, started as everybody starts it."""
    return opened(folder, cli)


@pytest.fixture(scope="module")
def quick(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """That version with its imports done (tests/support/preloaded.py)."""
    return preload(cli, tmp_path_factory.mktemp("preloaded"), os.getpid())


@pytest.fixture(scope="module")
def fast(quick: Cli, folder: Path) -> lfdash.Workspace:
    """The same workspace, for what is not about the start and the end of processes."""
    return opened(folder, quick)


def upstream_of(workspace: lfdash.Workspace) -> Upstream:
    """What the workspace knows of the version."""
    return workspace.services.upstream


def errors_of(workspace: lfdash.Workspace, config: Any) -> list[Problem]:
    found = workspace.check(config)
    assert not isinstance(found, lfdash.Refused), found
    return [problem for problem in found if problem.level == "error"]


def words(problems: list[Problem]) -> str:
    return " ".join(problem_in("en", problem) for problem in problems)


def done(run: lfdash.Run | lfdash.Refused) -> lfdash.Run:
    """A run that was started, at its end, which must be a good one."""
    assert isinstance(run, lfdash.Run), run
    state = run.wait(SECONDS)
    assert (state, run.view.exit_code) == (RunState.SUCCEEDED, 0), run.log(3000)
    return run


def beyond(run: lfdash.Run, step: int) -> bool:
    """Whether a run is beyond a step, or will never be."""
    view = run.view
    return (view.progress.step or 0) > step or view.state in TERMINAL


def config(**args: Any) -> dict[str, Any]:
    """A configuration; None takes an argument out."""
    return {name: value for name, value in args.items() if value is not None}


def test_probe(row: Row, workspace: lfdash.Workspace) -> None:
    """What it offers is read."""
    found = upstream_of(workspace)
    assert found.source == "installed"
    assert found.llamafactory in workspace.services.by_version.arguments["stage"].versions
    row.saw(
        f"{len(found.arguments)} arguments, {len(found.models)} models, {len(found.templates)} templates; "
        f"transformers {found.transformers}."
    )


def test_presets(row: Row, quick: Cli, fast: lfdash.Workspace) -> None:
    """Every preset is checked; its own parser agrees on the arguments that it lacks."""
    told, jobs = {}, {}
    for name, preset in PRESETS.items():
        problems = errors_of(fast, preset.text)
        told[name] = sorted(str(p.params["name"]) for p in problems if p.code in LACKING)
        jobs[name] = {**preset.args, "output_dir": f"saves/x/lora/{name}"}
    verdicts = deep_check(quick, fast.path, list(jobs.values()))
    assert not isinstance(verdicts, lfdash.Refused), verdicts
    for name, verdict in zip(jobs, verdicts, strict=True):
        assert ("not used by the HfArgumentParser" in verdict.text) == bool(told[name]), (name, verdict, told[name])
    lacking = ", ".join(f"{name}: {' '.join(names)}" for name, names in told.items() if names)
    row.saw(f"{len(PRESETS)} presets; {lacking or 'it has every argument in them'}.")


def test_lacking_arguments(row: Row, quick: Cli, fast: lfdash.Workspace) -> None:
    """What another version has and it lacks is told by name, with the versions that have it."""
    found = upstream_of(fast)
    table = fast.services.by_version.arguments
    lacking = [name for name in table if name not in found.arguments and not is_secret(name)]  # those are never kept
    base = {**SMALL, "stage": "sft", "dataset": "demo_sft", "output_dir": "saves/x/lora/y"}
    jobs = [{**base, name: "1"} for name in lacking]
    verdicts = deep_check(quick, fast.path, jobs) if jobs else []
    assert not isinstance(verdicts, lfdash.Refused), verdicts
    for name, job, verdict in zip(lacking, jobs, verdicts, strict=True):
        assert "not used by the HfArgumentParser" in verdict.text, (name, verdict)
        problems = [p for p in errors_of(fast, job) if p.params.get("name") == name]
        problem = next((p for p in problems if p.code in BY_NAME), None)
        assert problem is not None, (name, problems)
        if problem.code == "argument_of_other":
            assert all(version in problem_in("en", problem) for version in table[name].versions)
    row.saw(f"{len(lacking)} arguments that its parser refuses, too.")


def test_demo(row: Row, workspace: lfdash.Workspace) -> None:
    """The demo trains to its end."""
    run = done(workspace.start(DEMO, {"max_steps": 8, "save_steps": 4, "output_dir": "saves/demo-llama/lora/demo"}))
    losses = run.frame()["loss"]
    assert run.view.saved.model == "adapter" and len(losses) == 8 and losses[-1] < losses[0] - 0.5
    row.saw(f"8 steps, loss {losses[0]:.2f} to {losses[-1]:.2f}.")


def test_stop_and_resume(row: Row, workspace: lfdash.Workspace) -> None:
    """A run is stopped, keeps what it learned, and goes on from its checkpoint."""
    long = {"max_steps": 4000, "save_steps": 2, "logging_steps": 1, "per_device_train_batch_size": 4}
    run = workspace.start(DEMO, {**long, "output_dir": "saves/demo-llama/lora/long"})
    assert isinstance(run, lfdash.Run), run
    wait_for(lambda: beyond(run, 2), SECONDS)
    assert run.stop() is None
    assert run.wait(SECONDS) is RunState.STOPPED, run.log(3000)
    saved = run.view.saved
    assert saved.model == "adapter" and saved.checkpoints, run.log(3000)
    step = max(saved.checkpoints)
    again = run.resume()
    assert isinstance(again, lfdash.Run), again
    wait_for(lambda: run.view.attempt == 2 and beyond(run, step + 1), SECONDS)
    assert run.stop("kill") is None, run.log(3000)
    assert run.wait(SECONDS) is RunState.STOPPED, run.log(3000)
    assert list(marked(marker(run.view.paths, 2))) == []
    row.saw(f"Stopped at step {saved.step}, went on from checkpoint-{step}.")


def test_predict(row: Row, fast: lfdash.Workspace) -> None:
    """Predictions of the trained adapter, with scores."""
    what = {"do_predict": True, "predict_with_generate": True, "max_new_tokens": 4}
    adapter = {"adapter_name_or_path": "saves/demo-llama/lora/demo"}
    run = done(fast.start({**SCORED, **what, **adapter, "output_dir": "saves/demo-llama/lora/predicted"}))
    rows = (run.path / "generated_predictions.jsonl").read_text().splitlines()
    scores = json.loads((run.path / "predict_results.json").read_text())
    assert len(rows) == 6 and 0 <= scores["predict_rouge-1"] <= 100
    row.saw(f"6 rows, ROUGE-1 {scores['predict_rouge-1']:.1f}.")


def test_evaluate(row: Row, fast: lfdash.Workspace) -> None:
    """An evaluation of the trained adapter."""
    adapter = {"adapter_name_or_path": "saves/demo-llama/lora/demo"}
    run = done(fast.start({**SCORED, "do_eval": True, **adapter, "output_dir": "saves/demo-llama/lora/scored"}))
    (name,) = [key for key in read_scores(run.path) if key.endswith("_loss")]  # 0.9.2 names the data set in it
    assert 1 < read_scores(run.path)[name] < 12
    row.saw(f"{name} {read_scores(run.path)[name]:.2f}.")


def test_export(row: Row, fast: lfdash.Workspace) -> None:
    """The adapter is merged into the model."""
    args = {
        "model_name_or_path": "models/demo-llama", "adapter_name_or_path": "saves/demo-llama/lora/demo",
        "template": "default", "finetuning_type": "lora", "export_dir": "exports/merged", "export_device": "cpu",
        "export_size": 5,
    }
    run = done(fast.start(args))
    assert run.view.record is not None and run.view.record.kind == "export"
    weights = list((fast.path / "exports" / "merged").glob("*.safetensors"))
    assert weights and (fast.path / "exports" / "merged" / "config.json").exists()
    row.saw(f"{sum(file.stat().st_size for file in weights) / 1e6:.0f} MB.")


@pytest.mark.parametrize("way", WAYS)
def test_way(row: Row, fast: lfdash.Workspace, way: str) -> None:
    """Two steps of a stage with a method."""
    stage, method = way.split("-")
    args = {
        **SMALL, "stage": stage, "finetuning_type": method, "dataset": DATA[stage],
        "output_dir": f"saves/demo-llama/{method}/{way}",
        "template": None if stage == "pt" else "default", "lora_target": "all" if method == "lora" else None,
        **({"reward_model": "saves/demo-llama/lora/rm-lora"} if stage == "ppo" else {}),
    }
    errors = errors_of(fast, config(**args))
    if errors:
        row.saw(words(errors), "told")
        return
    run = done(fast.start(config(**args)))
    assert run.view.progress.step == 2 and run.view.saved.model in ("adapter", "model")
    row.saw("2 steps.")


@pytest.fixture(scope="module")
def board(quick: Cli, fast: lfdash.Workspace, tmp_path_factory: pytest.TempPathFactory) -> Board:
    return open_in_board(quick, tmp_path_factory.mktemp("board"), fast.services.board_lacks)


def test_its_board_opens_ours(row: Row, fast: lfdash.Workspace, request: pytest.FixtureRequest) -> None:
    """Its LlamaBoard opens a run of ours of each preset, and would run what we ran."""
    board: Board = request.getfixturevalue("board")  # after the row has its name
    known = upstream_of(fast).arguments
    for name in PRESETS:
        ours, theirs = build_args(job_of(name)), board.results[name]["args"]
        assert board.results[name]["found"] > 50, name
        kept = {key: value for key, value in ours.items() if key not in ELSEWHERE and value is not False}
        wanted = {key: value for key, value in kept.items() if key in known}
        assert {key: theirs.get(key) for key in wanted} == wanted, name
    row.saw(f"{len(PRESETS)} forms.")


def test_we_open_its_forms(row: Row, request: pytest.FixtureRequest) -> None:
    """We open what its LlamaBoard saved, with what it would run."""
    board: Board = request.getfixturevalue("board")  # after the row has its name
    for name in PRESETS:
        text = (board.folder / f"{name}-board.yaml").read_text(encoding="utf-8")
        loaded = read_config(text, lambda model: model == IMAGES)
        assert loaded.kind == "llamaboard", name
        ours, theirs = build_args(loaded.job), board.results[name]["args"]
        elsewhere = ELSEWHERE | {"model_name_or_path", "output_dir"}
        wanted = {key: value for key, value in theirs.items() if key not in elsewhere}
        assert {key: ours.get(key) for key in wanted} == wanted, name
    row.saw(f"{len(PRESETS)} forms.")
