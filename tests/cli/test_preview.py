"""`lfdash preview FILE`: the plan, which is what would be run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cli.test_check import job
from tests.support.terminal import DEMO, lfdash


def test_the_plan_for_a_program(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = lfdash("preview", job(tmp_path), "--json")
    assert (said.code, said.err) == (0, "")
    assert list(said.json) == ["argv", "env", "yaml", "output_dir"]
    cli = str(tmp_path / "bin" / "llamafactory-cli")
    assert said.json["argv"] == [cli, "train", "saves/m/lora/r1/training_args.yaml"]
    assert said.json["env"] == {"LLAMABOARD_ENABLED": "1", "LLAMABOARD_WORKDIR": "saves/m/lora/r1"}
    assert yaml.safe_load(said.json["yaml"]) == yaml.safe_load(job(tmp_path).read_text())
    assert said.json["output_dir"] == "saves/m/lora/r1"
    assert not (workspace / "saves").exists(), "nothing is made"


def test_the_command_for_a_person(workspace: Path, tmp_path: Path) -> None:
    said = lfdash("preview", job(tmp_path))
    assert said.out.startswith(f"cd {workspace} && mkdir -p saves/m/lora/r1 && cat > ")
    assert "max_steps: 20" in said.out


def test_problems_are_told_beside_the_plan(workspace: Path, tmp_path: Path) -> None:
    said = lfdash("preview", job(tmp_path, dataset="gone"), "--json")
    assert (said.code, said.json["output_dir"]) == (1, "saves/m/lora/r1")
    assert said.err.startswith("error: dataset: ")
    assert lfdash("preview", job(tmp_path, save_steps=500)).code == 0


def test_changes_and_a_file_that_cannot_be_opened(workspace: Path, tmp_path: Path) -> None:
    assert "max_steps: 3" in lfdash("preview", DEMO, "--set", "max_steps=3").out
    (tmp_path / "broken.yaml").write_text("a: [")
    said = lfdash("preview", tmp_path / "broken.yaml", "--json")
    assert (said.code, list(said.json), said.json["refused"]) == (1, ["refused", "message"], "not_opened")
