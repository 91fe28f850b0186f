"""`lfdash resume RUN`: its next attempt, from a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cli.test_ls import COLUMNS
from tests.support.terminal import lfdash

FOLDER = Path("saves", "demo-llama", "lora", "bad")


@pytest.fixture
def resumable(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The failed run, as if it had saved checkpoints before."""
    for step in (2, 4):
        (copied / FOLDER / f"checkpoint-{step}").mkdir()
    monkeypatch.setenv("FAKE_ARGS", '{"steps": 6}')
    return copied


@pytest.mark.parametrize(("words", "step"), [((), 4), (("--from", "2"), 2)])
def test_from_a_checkpoint(resumable: Path, words: tuple[str, ...], step: int) -> None:
    said = lfdash("resume", "bad", *words, "--json")
    assert (said.code, list(said.json)) == (0, COLUMNS)
    args = yaml.safe_load((resumable / FOLDER / "training_args.yaml").read_text())
    assert args["resume_from_checkpoint"] == f"{FOLDER}/checkpoint-{step}"
    assert lfdash("logs", "-f", "bad").code == 0
    assert lfdash("show", "bad", "--json").json["state"] == "SUCCEEDED"


def test_why_not(resumable: Path) -> None:
    def refused(*words: str) -> str:
        said = lfdash("resume", *words, "--json")
        assert said.code == 1
        code: str = said.json["refused"]
        return code

    assert refused("bad", "--from", "3") == "no_checkpoint"
    assert "2, 4" in lfdash("resume", "bad", "--from", "3").err
    assert refused("good") == "resume_finished"
    assert lfdash("resume", "bad", "--from", "x").code == 2
    (resumable / FOLDER / "training_args.yaml").unlink()
    assert refused("bad") == "no_configuration"


def test_more_epochs_are_a_new_run(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ARGS", '{"steps": 6}')
    said = lfdash("resume", "good", "--epochs", "6", "--json")
    assert (said.code, list(said.json), said.json["name"]) == (0, COLUMNS, "good-6ep")
    args = yaml.safe_load((copied / said.json["folder"] / "training_args.yaml").read_text())
    assert args["num_train_epochs"] == 2.0  # the demo has had 4: only its weights are there
    assert args["adapter_name_or_path"] == "saves/demo-llama/lora/good"
    assert lfdash("logs", "-f", "good-6ep").code == 0
    less = lfdash("resume", "good", "--epochs", "4", "--json")
    assert (less.code, less.json["refused"]) == (1, "more_less")
    assert lfdash("resume", "good", "--epochs", "6", "--from", "2").code == 2
