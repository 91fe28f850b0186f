"""The demo's data: readable, of every format, and nobody's file is overwritten."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lfdash import demo
from lfdash.datasets import read_dataset_info


def test_every_format_with_rows(tmp_path: Path) -> None:
    demo.make_data(tmp_path)
    found = read_dataset_info(tmp_path)
    assert found.problem is None
    assert found.names == tuple(demo.DATASETS)
    assert [name for name, ranked in found.ranking.items() if ranked] == ["demo_pairs"]
    rows = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in found.names}
    assert {name: len(some) for name, some in rows.items()} == {
        "demo_sft": 600, "demo_chat": 200, "demo_pairs": 200, "demo_kto": 200, "demo_pt": 150,
    }  # fmt: skip
    assert all(row["chosen"] != row["rejected"] for row in rows["demo_pairs"])
    assert {row["label"] for row in rows["demo_kto"]} == {True, False}


def test_the_users_entries_and_files_stay(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text(
        '{"mine": {"file_name": "x.json"}, "demo_sft": {"file_name": "y.json"}}'
    )
    (tmp_path / "demo_pt.json").write_text("[]")
    demo.make_data(tmp_path)
    known = json.loads((tmp_path / "dataset_info.json").read_text())
    assert known["mine"] == {"file_name": "x.json"}
    assert known["demo_sft"] == {"file_name": "y.json"}
    assert "demo_kto" in known
    assert (tmp_path / "demo_pt.json").read_text() == "[]"


def test_a_broken_dataset_info_is_left(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text("[1]")
    with pytest.raises(ValueError, match="left as it is"):
        demo.make_data(tmp_path)
    assert (tmp_path / "dataset_info.json").read_text() == "[1]"


@pytest.mark.train_env
def test_a_second_run_changes_nothing(demo_workspace: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in demo_workspace.rglob("*") if path.is_file()}
    subprocess.run([sys.executable, "-m", "lfdash.demo", str(demo_workspace)], check=True, capture_output=True)
    assert {path: path.stat().st_mtime_ns for path in demo_workspace.rglob("*") if path.is_file()} == before
    assert (demo_workspace / "models" / "demo-llama" / "model.safetensors").stat().st_size < 20_000_000
