"""`lfdash show RUN`: which run RUN means, and what is told of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.test_ls import COLUMNS
from tests.support.terminal import lfdash


def test_the_row_of_ls(seen: Path) -> None:
    said = lfdash("show", "good", "--json")
    assert said.code == 0
    assert list(said.json) == COLUMNS
    assert said.json == lfdash("ls", "--json").json[1]


@pytest.mark.parametrize("how", ["id", "name", "folder", "absolute", "here"])
def test_what_run_means(seen: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    run_id, folder = (lfdash("show", "good", "--json").json[key] for key in ("id", "folder"))
    monkeypatch.chdir(seen / folder)
    words = {"id": run_id, "name": "good", "folder": folder, "absolute": str(seen / folder), "here": "."}
    assert lfdash("show", words[how], "--json").json["id"] == run_id


def test_the_newest_run_without_a_word(seen: Path) -> None:
    assert lfdash("show", "--json").json["name"] == "bad"


def test_for_a_person(seen: Path) -> None:
    said = lfdash("show", "bad")
    assert "FAILED" in said.out and "Undefined dataset nope" in said.out
    assert str(seen / "saves" / "demo-llama" / "lora" / "bad") in said.out
    assert "Exit code  1" in said.out
    assert "Loss" not in said.out, "what is not known is left out"


def test_a_run_that_there_is_not(seen: Path) -> None:
    said = lfdash("show", "nope")
    assert (said.code, said.out) == (2, "") and "“nope”" in said.err
    told = lfdash("show", "nope", "--json")
    assert told.code == 2
    assert list(told.json) == ["refused", "message"] and told.json["refused"] == "run_unknown"


def test_a_name_that_two_runs_have(copied: Path) -> None:
    folder = copied / "saves" / "demo-llama" / "lora" / "good"
    shutil.copytree(folder, copied / "saves" / "other" / "lora" / "good")
    said = lfdash("show", "good", "--json")
    assert said.code == 2
    assert (said.json["refused"], len(said.json["runs"])) == ("run_ambiguous", 2)
    for run_id in said.json["runs"]:
        assert run_id in lfdash("show", "good").err
        assert lfdash("show", run_id, "--json").json["name"] == "good"


def test_no_run_at_all(workspace: Path) -> None:
    said = lfdash("show", "--json")
    assert (said.code, said.json["refused"]) == (2, "run_none")
