"""The CSV of a run's numbers: every row, as it was logged, in pieces that are put together without a seam."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from lfdash.runs import metrics_csv
from lfdash.runs.metrics_csv import as_csv, pieces
from tests.support.feeds import fed


def test_every_row_is_there_as_it_was_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_csv, "PIECE", 7)
    rows = [{"current_steps": step, "loss": 1 / step, "total_tokens": 3 * step} for step in range(1, 31)]
    history = [{"step": 3, "rewards/a,b": float("nan"), "kl": 0.5}, {"step": 4, "rewards/a,b": 1.5}]
    frame = fed(tmp_path, rows, history=history).frame
    told = list(csv.DictReader(io.StringIO(as_csv(frame).decode())))
    assert [row["step"] for row in told] == [str(step) for step in range(1, 31)]
    assert [float(row["loss"]) for row in told] == [1 / step for step in range(1, 31)]
    assert told[2]["kl"] == "0.5" and told[9]["tokens"] == "30"
    assert [row["rewards/a,b"] for row in told[2:5]] == ["", "1.5", ""]
    assert len(list(pieces(frame))) == 6


def test_a_run_that_logged_nothing_has_a_head(tmp_path: Path) -> None:
    assert as_csv(fed(tmp_path, []).frame) == b"step\n"
