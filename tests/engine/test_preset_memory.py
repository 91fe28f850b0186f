"""The memory class in a preset's title is the smallest card that its estimate fits on, in every language."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from lfdash.engine.memory import Foretold, of_job
from lfdash.engine.services import Services, find_project
from lfdash.jobs.args import job_from_args
from lfdash.jobs.presets import list_presets
from lfdash.llamafactory.catalogue import load_snapshot
from lfdash.memory.cards import smallest
from tests.support import ROOT

PRESETS = {preset.name: preset for preset in list_presets(ROOT / "configs" / "presets")}
SMALL = {"lora_0b5": 0.5, "lora_1b5": 1.5, "lora_3b": 3, "lora_4b": 4, "sft_lora": 7, "lora_8b": 8, "sft_qlora": 8}
CLASS = re.compile(r"(\d+) (?:GB|ГБ)")


def titles(name: str) -> dict[str, str]:
    """A preset's title in each language, and in its file."""
    files = sorted((ROOT / "lfdash" / "locales").glob("*.toml"))
    found = {path.stem: tomllib.loads(path.read_text(encoding="utf-8"))["presets"][name][0] for path in files}
    return {**found, "file": PRESETS[name].title}


@pytest.mark.parametrize("name", SMALL)
def test_the_title_says_the_smallest_card_that_it_fits_on(name: str, tmp_path: Path) -> None:
    services = Services(find_project(), tmp_path / "workspace")
    foretold = of_job(services, job_from_args(PRESETS[name].args), world=1)
    assert isinstance(foretold, Foretold) and foretold.model.architecture.source == "table", "its own numbers"
    card = smallest(foretold.estimate)
    assert card is not None
    said = {language: CLASS.findall(title) for language, title in titles(name).items()}
    assert said == {language: [card.name.removesuffix(" GB")] for language in said}
    services.close()


@pytest.mark.parametrize("name", SMALL)
def test_the_title_says_the_size_of_its_model(name: str) -> None:
    models = load_snapshot(ROOT / "configs" / "upstream.json").models.values()
    path = PRESETS[name].args["model_name_or_path"]
    assert [model for model in models if path in model.paths.values()], "LLaMA-Factory knows it"
    size = f"{SMALL[name]:g}B"
    assert all(title.count(size) == 2 for title in titles(name).values()), "of the class, and in the model's name"


def test_no_other_title_promises_a_card() -> None:
    assert {name for name in PRESETS if CLASS.search(titles(name)["en"])} == set(SMALL)
