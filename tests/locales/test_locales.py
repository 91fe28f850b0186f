"""Every language says everything English says, and nothing else."""

from __future__ import annotations

import string
import tomllib
from typing import Any

import pytest

from lfdash.jobs.presets import list_presets
from lfdash.locales import FOLDER as LOCALES
from lfdash.locales import LANGUAGES, available

ENGLISH = tomllib.loads((LOCALES / "en.toml").read_text(encoding="utf-8"))


def entries(catalogue: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """section.key -> its texts (one, or label and help)."""
    return {
        f"{section}.{key}": tuple(value) if isinstance(value, list) else (value,)
        for section, rows in catalogue.items()
        for key, value in rows.items()
    }


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_english_is_there_and_every_file_is_a_known_language() -> None:
    assert "en" in available()
    assert {path.stem for path in LOCALES.glob("*.toml")} <= set(LANGUAGES)


@pytest.mark.parametrize("code", available())
def test_same_keys_and_placeholders(code: str) -> None:
    english = entries(ENGLISH)
    other = entries(tomllib.loads((LOCALES / f"{code}.toml").read_text(encoding="utf-8")))
    assert set(english) - set(other) == set(), "missing"
    assert set(other) - set(english) == set(), "left over"
    for key, texts in english.items():
        assert len(other[key]) == len(texts), key
        for mine, theirs in zip(texts, other[key], strict=True):
            assert placeholders(theirs) == placeholders(mine), key
            assert theirs.strip(), key


@pytest.mark.parametrize("code", [code for code in available() if code != "en"])
def test_it_is_translated(code: str) -> None:
    """Most texts differ from English: names and codes may be the same, sentences may not."""
    other = entries(tomllib.loads((LOCALES / f"{code}.toml").read_text(encoding="utf-8")))
    same = [key for key, texts in entries(ENGLISH).items() if other[key] == texts and " " in texts[-1]]
    same = [key for key in same if not key.startswith("choices.")]  # names of products
    assert same == []


def test_every_preset_has_its_texts() -> None:
    """The locale's are those of the file, so that a preset reads the same in an editor."""
    found = {p.name: [p.title, p.advice] for p in list_presets(LOCALES.parents[1] / "configs" / "presets")}
    assert ENGLISH["presets"] == found
