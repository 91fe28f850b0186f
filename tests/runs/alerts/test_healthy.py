"""No alert on healthy trainings: on the fixtures, on trainings like those of the public, and on the logs themselves
where they lie in a folder."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runs.alerts.test_training import first_alerts
from tests.support import FIXTURES
from tests.support.columns import columns, read_rows

FOLDER = "LFDASH_HEALTHY_LOGS"  # a folder with logs (JSON lines; the first says max_steps) that are healthy as a whole
LIKE = tomllib.loads((FIXTURES / "healthy_logs.toml").read_text(encoding="utf-8"))["log"]
HEALTHY = sorted(
    path
    for pattern in ("logs/*.jsonl", "plain/*.trainer_log.jsonl", "resume/*.trainer_log.jsonl")
    for path in FIXTURES.glob(pattern)
    if path.name not in ("nan.jsonl", "sft_overflow.jsonl", "predict.jsonl")  # the first two deserve it
)
REAL = sorted(Path(os.environ[FOLDER]).glob("*.jsonl")) if FOLDER in os.environ else []


def rows_like(log: dict[str, Any], seed: int) -> list[dict[str, float]]:
    """The rows of a training that is like a log."""
    random, count = np.random.default_rng(seed), int(log["rows"])
    at = np.linspace(0, 1, count)

    def along(values: list[float]) -> Any:
        return np.interp(at, (np.arange(len(values)) + 0.5) / len(values), values)

    losses = along(log["losses"]) + 1.4826 * along(log["spreads"]) * random.normal(size=count)
    rates = along(log["rates"]) if "rates" in log else np.full(count, np.nan)
    rows = [
        {"step": (place + 1) * log["every"], "loss": max(float(loss), 0.0), "learning_rate": float(rate)}
        for place, (loss, rate) in enumerate(zip(losses, rates, strict=True))
    ]
    evaluations = log.get("evaluations", [])
    for place, loss in enumerate(evaluations, 1):
        rows[place * count // len(evaluations) - 1]["eval_loss"] = loss
    return rows


@pytest.mark.parametrize("path", HEALTHY, ids=lambda path: path.name)
def test_a_healthy_fixture_alerts_nothing(path: Path) -> None:
    rows = [row for row in read_rows(path) if row.get("current_steps")]
    assert first_alerts(columns(rows), int(rows[-1].get("total_steps", 0))) == {}


def test_there_are_at_least_twenty_trainings_of_the_public_with_their_sources() -> None:
    assert len({log["source"] for log in LIKE}) == len(LIKE) >= 20 and all(": " in log["source"] for log in LIKE)


@pytest.mark.parametrize("log", LIKE, ids=lambda log: log["source"].partition(":")[0])
def test_a_training_like_one_of_the_public_alerts_nothing(log: dict[str, Any]) -> None:
    assert first_alerts(columns(rows_like(log, 1)), log["planned"]) == {}


@pytest.mark.skipif(not REAL, reason=f"no logs: {FOLDER} names no folder with some")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_a_log_of_the_public_alerts_nothing(path: Path) -> None:
    head, *rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    planned = head.get("max_steps") or rows[-1].get("total_steps") or rows[-1]["step"]
    assert first_alerts(columns(rows), int(planned)) == {}
