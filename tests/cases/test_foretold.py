"""What is not here, and what does not go together, told on the page before Start."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lfdash.workspace.devices import Gpu
from tests.cases.table import CASES
from tests.support.form_page import FormPage, demo, words

TWO_GPUS = (Gpu(0, "A", True), Gpu(1, "A", True))


def test_e01_a_deepspeed_file_of_another_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with demo(tmp_path / "workspace", monkeypatch, packages="deepspeed") as services:
        page = FormPage(services).open(CASES["E01"].file)
        given = "examples/deepspeed/ds_z3_config.json"
        assert page.told() == [words("train.ds_stage", "named_absent", value=given)] and page.start() == []
        assert page.fix_all().told() == []
        sent = page.sent()["deepspeed"]
        assert sent == "deepspeed/ds_z3_config.json" and (services.workspace.root / sent).is_file()
        assert page.start() == ["x1"]


@pytest.mark.parametrize(
    ("number", "package", "field", "line"),
    [
        ("E02", "wandb", "train.report_to", "pip install wandb"),
        ("E04", "bitsandbytes", "train.optim", "pip install 'bitsandbytes>=0.39.0'"),
    ],
)
def test_e_a_package_that_is_not_installed(
    number: str, package: str, field: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with demo(tmp_path / "without", monkeypatch, packages="") as services:
        page = FormPage(services).open(CASES[number].file)
        told = words(field, "package_missing", package=package, command="").rstrip()
        assert page.told() == [told] and page.start() == []
        assert [item.value for item in page.app.sidebar.code] == [line]
    with demo(tmp_path / "with", monkeypatch, packages=package) as services:
        assert FormPage(services).open(CASES[number].file).told() == []


def test_e05_gpus_that_are_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with demo(tmp_path / "none", monkeypatch) as services:
        page = FormPage(services).open(CASES["E05"].file)
        assert page.warnings == [words("train.devices", "gpus_none", value="0, 1")]
    with demo(tmp_path / "one", monkeypatch, TWO_GPUS[:1]) as services:
        page = FormPage(services).open(CASES["E05"].file)
        assert page.told() == [words("train.devices", "gpus_absent", value="1", have="0")] and page.start() == []
    with demo(tmp_path / "two", monkeypatch, TWO_GPUS) as services:
        page = FormPage(services).open(CASES["E05"].file)
        assert (page.told(), page.warnings, page.start()) == ([], [], ["x1"])


def test_e07_galore_by_layers_on_two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = words("train.use_galore", "layerwise_gpus", name="GaLore")
    for gpus, is_told in ((TWO_GPUS, True), (TWO_GPUS[:1], False)):
        with demo(tmp_path / str(len(gpus)), monkeypatch, gpus, "galore-torch") as services:
            page = FormPage(services).open(CASES["E07"].file)
            assert [line for line in page.told() if line == told] == [told] * is_told, page.told()


def test_t01_the_template_of_the_same_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with demo(tmp_path / "workspace", monkeypatch) as services:
        page = FormPage(services).open(CASES["T01"].file)
        assert (page.told(), page.warnings) == ([], [])
        assert page.sent()["template"] == yaml.safe_load(CASES["T01"].text)["template"] == "qwen3_nothink"
        page.app.session_state["top.template"] = "llama3"
        page.run()
        assert page.warnings == [words("top.template", "template_unfit", value="llama3", fits="qwen3")]
