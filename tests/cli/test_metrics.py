"""`lfdash metrics RUN`: columns by name."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from tests.support.terminal import lfdash


def test_columns_for_a_program(seen: Path) -> None:
    said = lfdash("metrics", "good", "--json")
    assert said.code == 0
    columns = said.json
    assert list(columns) == ["step", "loss", "learning_rate", "epoch", "tokens", "seconds", "tokens_per_s"]
    assert columns["step"] == [1, 2, 3, 4, 5, 6]
    assert columns["loss"] == [5.0, 2.5, 5 / 3, 1.25, 1.0, 5 / 6]
    assert columns["tokens_per_s"][0] is None, "nothing is known of the first step's speed"


def test_csv(seen: Path) -> None:
    said = lfdash("metrics", "good", "--csv")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert said.code == 0 and len(rows) == 6
    assert (rows[1]["step"], rows[1]["loss"], rows[0]["tokens_per_s"]) == ("2", "2.5", "")


def test_a_table_for_a_person(seen: Path) -> None:
    lines = lfdash("metrics", "good").out.splitlines()
    assert lines[0].split() == ["step", "loss", "learning_rate", "epoch", "tokens", "seconds", "tokens_per_s"]
    assert lines[1].split() == ["1", "5", "0.0001", "0.1", "100", "1", "–"]


def test_a_run_that_logged_nothing(seen: Path) -> None:
    assert lfdash("metrics", "bad", "--json").json == {"step": []}
    assert lfdash("metrics", "bad", "--csv").out == "step\n"
