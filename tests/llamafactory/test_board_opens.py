"""LlamaBoard opens our runs and we open its files: through its own functions and its own form."""

from __future__ import annotations

import pytest

from lfdash.jobs.args import build_args
from lfdash.jobs.importing import read_config
from lfdash.llamafactory.locate import Cli
from tests.support.board import ELSEWHERE, IMAGES, PRESETS, Board, job_of, open_in_board

pytestmark = pytest.mark.train_env


@pytest.fixture(scope="module")
def board(preloaded: Cli, tmp_path_factory: pytest.TempPathFactory) -> Board:
    return open_in_board(preloaded, tmp_path_factory.mktemp("board"))


@pytest.mark.parametrize("name", PRESETS)
def test_llamaboard_opens_a_run_of_ours(board: Board, name: str) -> None:
    """It finds the folder by its name, takes every element, and would run what we ran."""
    ours = build_args(job_of(name))
    theirs = board.results[name]["args"]
    assert board.results[name]["found"] > 50
    wanted = {key: value for key, value in ours.items() if key not in ELSEWHERE and value is not False}
    assert {key: theirs.get(key) for key in wanted} == wanted
    assert ("deepspeed" in theirs) == ("deepspeed" in ours)


@pytest.mark.parametrize("name", PRESETS)
def test_we_open_what_llamaboard_saved(board: Board, name: str) -> None:
    """The file that it saves from its form gives the arguments that it would run."""
    text = (board.folder / f"{name}-board.yaml").read_text(encoding="utf-8")
    loaded = read_config(text, lambda model: model == IMAGES)
    assert (loaded.kind, loaded.unknown) == ("llamaboard", ())
    found = build_args(loaded.job)
    not_in_its_files = {"model_name_or_path", "output_dir"}
    theirs = board.results[name]["args"]
    wanted = {key: value for key, value in theirs.items() if key not in ELSEWHERE | not_in_its_files}
    assert {key: found.get(key) for key in wanted} == wanted
