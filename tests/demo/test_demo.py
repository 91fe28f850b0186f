"""The demo's data: readable, of every format, and nobody's file is overwritten."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lfdash.data.dataset_info import read_dataset_info
from lfdash.demo import __main__ as demo


def test_every_format_with_rows(tmp_path: Path) -> None:
    demo.make_data(tmp_path)
    found = read_dataset_info(tmp_path)
    assert found.problem is None
    assert found.names == tuple(demo.DATASETS)
    assert [name for name, ranked in found.ranking.items() if ranked] == ["demo_pairs"]
    rows = {name: json.loads((tmp_path / f"{name}.json").read_text()) for name in found.names}
    assert {name: len(some) for name, some in rows.items()} == {
        "demo_sft": 600, "demo_chat": 200, "demo_pairs": 200, "demo_kto": 200, "demo_pt": 150,
    }
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


@pytest.mark.parametrize(("text", "why"), [("[1]", "not a mapping"), ('{"mine": {}', "line 1 column 12")])
def test_a_broken_dataset_info_is_left(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "dataset_info.json").write_text(text)
    with pytest.raises(ValueError, match=f"{why}.*not changed"):
        demo.make_data(tmp_path)
    assert (tmp_path / "dataset_info.json").read_text() == text
    assert len(list(tmp_path.iterdir())) == 1


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "dataset_info.json")
    with pytest.raises(ValueError, match=r"not a plain file.*not changed"):
        demo.make_data(tmp_path)


def test_the_program_says_what_is_broken_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "make_model", Path.mkdir)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset_info.json").write_text("{")
    with pytest.raises(SystemExit, match=r"^demo: .*dataset_info\.json is not JSON"):
        demo.main([str(tmp_path)])
    assert (tmp_path / "models" / demo.MODEL).is_dir()  # the model does not wait for the data
    assert capsys.readouterr().out == ""


@pytest.mark.train_env
def test_a_second_run_changes_nothing(demo_workspace: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in demo_workspace.rglob("*") if path.is_file()}
    subprocess.run([sys.executable, "-m", "lfdash.demo", str(demo_workspace)], check=True, capture_output=True)
    assert {path: path.stat().st_mtime_ns for path in demo_workspace.rglob("*") if path.is_file()} == before
    assert (demo_workspace / "models" / "demo-llama" / "model.safetensors").stat().st_size < 20_000_000


@pytest.mark.train_env
def test_the_tokenizer_is_named_as_every_transformers_knows_it(demo_workspace: Path) -> None:
    config = json.loads((demo_workspace / "models" / "demo-llama" / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"


def test_a_tokenizer_that_an_earlier_demo_saved_is_named_anew(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    path = tmp_path / "tokenizer_config.json"
    path.write_text('{"tokenizer_class": "TokenizersBackend", "eos_token": "</s>"}')
    demo.make_model(tmp_path)
    assert json.loads(path.read_text()) == {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}
    for other in ('{"tokenizer_class": "Mine"}', "[1]", "{"):
        path.write_text(other)
        demo.make_model(tmp_path)
        assert path.read_text() == other
