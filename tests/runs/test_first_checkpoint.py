"""The step of a training's first checkpoint, as transformers saves it."""

from __future__ import annotations

import pytest

from lfdash.runs.arguments import Value
from lfdash.runs.first_checkpoint import NEVER, first_checkpoint


@pytest.mark.parametrize(
    ("args", "total", "step"),
    [
        ({}, None, 500),
        ({}, 39, 39),  # the end saves one
        ({"save_steps": 100}, 1000, 100),
        ({"save_steps": "100"}, 1000, 100),
        ({"save_steps": 0.25}, 1001, 251),
        ({"save_steps": 0.25}, None, None),
        ({"save_strategy": "epoch", "num_train_epochs": 4.0}, 100, 25),
        ({"save_strategy": "epoch"}, 100, 34),
        ({"save_strategy": "epoch", "num_train_epochs": 0.5}, 100, 100),
        ({"save_strategy": "epoch", "max_steps": 100}, 100, None),
        ({"save_strategy": "epoch"}, None, None),
        ({"save_strategy": "best"}, 100, None),
        ({"save_strategy": "no"}, 100, NEVER),
        ({"save_steps": "often"}, 1000, 500),
        ({"save_steps": 50, "max_steps": 32}, None, 32),
        ({"save_steps": 0}, 32, 32),
        ({"save_steps": 0}, None, None),
    ],
)
def test_the_first_checkpoint(args: dict[str, Value], total: int | None, step: int | None) -> None:
    assert first_checkpoint(args, total) == step
