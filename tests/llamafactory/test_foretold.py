"""What is foretold happens: the real LLaMA-Factory dies of it; and what is evaluated at its end is not told off."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lfdash.engine import context
from lfdash.jobs import checks
from lfdash.jobs.packages import canonical
from lfdash.llamafactory.locate import Cli
from lfdash.runs.record import RunState
from tests.support.page import Page

pytestmark = pytest.mark.train_env
INSTALLED = {canonical(dist.metadata["Name"] or ""): dist.version for dist in importlib.metadata.distributions()}
CHANGES: dict[str, Any] = {"max_steps": 2, "num_train_epochs": None, "max_samples": 20, "save_steps": 2}
# what is asked for -> the code that foretells it, the package that is not installed here, what LLaMA-Factory says
DIES = {
    "tracker": ({"report_to": "wandb"}, "package_missing", "wandb", "WandbCallback requires wandb"),
    "optimizer": ({"optim": "paged_adamw_8bit"}, "package_missing", "bitsandbytes", "need to install `bitsandbytes`"),
    "adapter": ({"adapter_name_or_path": "/old/saves/a"}, "named_absent", "", "Can't find 'adapter_config.json'"),
    "newest": ({"resume_from_checkpoint": True}, "resume_newest", "", "No valid checkpoint found in output directory"),
    "checkpoint": (
        {"resume_from_checkpoint": "saves/x/checkpoint-7"}, "named_absent", "", "Can't find a valid checkpoint",
    ),
}


@pytest.fixture(scope="module")
def page(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory, preloaded: Cli) -> Iterator[Page]:
    found = Page.open(demo_workspace, tmp_path_factory.mktemp("foretold") / "workspace", cli=preloaded)
    found.services.upstream = replace(found.services.upstream, packages=INSTALLED, source="installed")
    yield found
    found.services.close()


def told(page: Page, changes: dict[str, Any]) -> set[str]:
    job = page.job({**CHANGES, **changes}, name="told")
    return {problem.code for problem in checks.problems(job, context.of(page.services, job))}


@pytest.mark.parametrize("name", DIES)
def test_what_is_foretold_happens(name: str, page: Page) -> None:
    args, code, package, words = DIES[name]
    if package in INSTALLED:
        pytest.skip(f"{package} is installed here")
    assert told(page, args) == {code}
    view = page.run(name, {**CHANGES, **args})
    assert view.state is RunState.FAILED
    assert words in view.paths.console.read_text(encoding="utf-8", errors="replace")


def test_an_evaluation_that_no_step_reaches_is_made_at_the_end(page: Page) -> None:
    args = {"val_size": 0.2, "eval_strategy": "steps", "eval_steps": 100}
    assert told(page, args) == {"few_steps_evaluating"}
    view = page.run("evaluated", {**CHANGES, **args})
    assert view.state is RunState.SUCCEEDED
    assert json.loads((view.paths.root / "eval_results.json").read_text())["eval_loss"] > 0


def test_a_checkpoint_at_its_end_trains_nothing_that_is_asked_for(page: Page) -> None:
    first = page.run("whole", CHANGES)
    assert first.state is RunState.SUCCEEDED
    resumed = {"resume_from_checkpoint": "saves/demo-llama/lora/whole/checkpoint-2"}
    assert told(page, resumed) == {"nothing_left"}
    assert told(page, {**resumed, "max_steps": 4}) == set()
