"""The real LLaMA-Factory with the demo model, through the registry, to its end. Stopped half-way: test_cli.py."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.local import LocalLauncher
from lfdash.llamafactory.locate import Cli
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.plan import make_plan
from lfdash.runs.record import RunState
from tests.conftest import CLI
from tests.support import ROOT
from tests.support.runs import launch, members, wait_end

pytestmark = pytest.mark.train_env
PRESET = ROOT / "configs" / "presets" / "demo.yaml"


@pytest.fixture(scope="module")
def registry(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessRegistry]:
    root = tmp_path_factory.mktemp("real") / "workspace"
    shutil.copytree(demo_workspace, root)
    found = ProcessRegistry(root, LocalLauncher(), interval=0.1)
    found.start()
    yield found
    found.close()


def start(registry: ProcessRegistry, name: str, cli: str = str(CLI), **changes: Any) -> Any:
    """Starts the demo preset with changes; None takes an argument out."""
    args = {**yaml.safe_load(PRESET.read_text(encoding="utf-8")), **changes}
    args = {key: value for key, value in args.items() if value is not None}
    output_dir = f"saves/demo/lora/{name}"
    plan = make_plan(
        run_id=f"id-{name}", args={**args, "output_dir": output_dir}, env={}, secrets=(), files={}, cli=cli,
        cwd=str(registry.workspace), output_dir=output_dir,
    )
    return launch(registry, plan)


def test_a_run_is_trained_to_its_end(registry: ProcessRegistry, preloaded: Cli) -> None:
    """That the real start ends so too: tests/support/test_preloaded.py."""
    handle = start(registry, "done", preloaded.path, max_steps=25, save_steps=100)
    view = wait_end(registry, handle.run_id, 400)
    assert (view.state, view.exit_code, view.error) == (RunState.SUCCEEDED, 0, None), view
    assert (view.saved.model, view.saved.step, view.progress.step, view.progress.total) == ("adapter", 25, 25, 25)
    tail = RunFeed(view.paths)
    tail.poll()
    assert tail.frame["step"].tolist() == list(range(1, 26))
    for name in ("loss", "learning_rate", "grad_norm", "tokens"):
        assert np.isfinite(tail.frame[name]).all(), name
    losses = tail.frame["loss"]
    assert losses[0] > 6  # about the logarithm of the vocabulary
    assert losses[-3:].mean() < 3.4  # half of that, in a quarter of the demo
    assert (tail.frame.series("tokens_per_s")[1] > 0).all()
    assert members(handle) == []
