"""English says everything; the others may lag, and say nothing else."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest

from lfdash import locales
from lfdash.jobs.presets import list_presets
from lfdash.locales import DEFAULT_LANGUAGE, available, catalogue, from_environment, in_language, label_in, name_of
from lfdash.outcomes import Problem
from tests.support import ROOT

ENGLISH = catalogue(DEFAULT_LANGUAGE)
OTHERS = [code for code in available() if code != DEFAULT_LANGUAGE]


def entries(texts: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    """section.key -> its texts (one, or label and help)."""
    return {
        f"{section}.{key}": tuple(value) if isinstance(value, list) else (value,)
        for section, rows in texts.items()
        for key, value in rows.items()
    }


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_english_comes_first_and_every_file_says_its_name() -> None:
    assert available()[0] == "en" and set(available()) == {path.stem for path in locales.FOLDER.glob("*.toml")}
    names = [name_of(code) for code in available()]
    assert names == [catalogue(code)["language"]["name"] for code in available()]
    assert names[0] == "English" and len(set(names)) == len(names)


def test_no_english_text_is_empty() -> None:
    assert [key for key, texts in entries(ENGLISH).items() if not all(text.strip() for text in texts)] == []


PAIRS = ("fields", "presets")  # sections whose lists are a title and a help; elsewhere they are plural forms


def forms(code: str) -> set[int]:
    """The plural forms that a language takes for the numbers up to 200."""
    return {locales.plural(code)(count) for count in range(201)}


@pytest.mark.parametrize("code", available())
def test_a_text_that_counts_has_every_plural_form_of_its_language(code: str) -> None:
    assert sorted(forms(code)) == list(range(len(forms(code))))
    counting = {
        f"{section}.{key}": value
        for section, rows in catalogue(code).items() if section not in PAIRS
        for key, value in rows.items() if isinstance(value, list)
    }
    assert {key: len(value) for key, value in counting.items()} == dict.fromkeys(counting, len(forms(code)))
    assert [key for key, value in counting.items() if not all("count" in placeholders(text) for text in value)] == []


@pytest.mark.parametrize(
    ("code", "count", "said"),
    [
        ("en", 0, "0 errors"), ("en", 1, "1 error"), ("en", 21, "21 errors"), ("zh", 1, "1 个错误"),
        ("ru", 0, "0 ошибок"), ("ru", 1, "1 ошибка"), ("ru", 2, "2 ошибки"), ("ru", 5, "5 ошибок"),
        ("ru", 11, "11 ошибок"), ("ru", 12, "12 ошибок"), ("ru", 21, "21 ошибка"), ("ru", 112, "112 ошибок"),
        ("ru", 1234, "1234 ошибки"),
    ],
)
def test_a_number_takes_the_form_that_its_language_says(code: str, count: int, said: str) -> None:
    assert in_language(code, "ui.errors_count", count=count) == said


@pytest.mark.parametrize("code", OTHERS)
def test_what_it_says_is_said_in_english_with_the_same_placeholders(code: str) -> None:
    """It may lack texts: `make texts` lists them."""
    english, other = entries(ENGLISH), entries(catalogue(code))
    assert set(other) - set(english) == set(), "left over"
    for key, texts in other.items():
        if key.partition(".")[0] in PAIRS:
            assert len(texts) == len(english[key]), key
        for place, theirs in enumerate(texts):
            mine = english[key][min(place, len(english[key]) - 1)]
            assert placeholders(theirs) == placeholders(mine), key
            assert theirs.strip(), key


@pytest.mark.parametrize("code", OTHERS)
def test_it_is_translated(code: str) -> None:
    """Most texts differ from English: names and codes may be the same, sentences may not."""
    english = entries(ENGLISH)
    same = [key for key, texts in entries(catalogue(code)).items() if english[key] == texts and " " in texts[-1]]
    same = [key for key in same if not key.startswith(("choices.", "language.", "units."))]  # products, separators
    assert same == []


@pytest.mark.parametrize("code", available())
def test_a_command_of_a_problem_ends_its_sentence(code: str) -> None:
    """The page shows it below the sentence, with a button that copies it."""
    problems = catalogue(code).get("problems", {})
    told = [text for text in problems.values() if isinstance(text, str) and "{command}" in text]
    assert (len(told) >= 5 or not problems) and all(text.endswith("{command}") for text in told)


def test_words_are_separated_as_the_language_does() -> None:
    assert locales.list_in("en", ["a", "b"]) == "a, b" and locales.list_in("zh", ["a", "b"]) == "a、b"
    assert locales.parts_in("ru", ["a, b", "c"]) == "a, b; c" and locales.parts_in("ja", ["a", "c"]) == "a；c"
    assert locales.pair_in("ko", "a", "1") == "a: 1" and locales.pair_in("zh", "a", "1") == "a：1"


def test_roles_of_columns_and_kinds_of_values_are_words() -> None:
    odd = Problem(None, "data_odd", {"file": "a.json", "column": "x", "kind": "list", "role": "response"})
    assert "Answer" in locales.problem_in("en", odd) and "a list" in locales.problem_in("en", odd)
    value = Problem(None, "datasets_value", {"file": "f", "name": "n", "key": "tags", "kind": "object"})
    assert "an object" in locales.problem_in("en", value)


def test_english_stands_in_for_what_a_language_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "en.toml").write_text(
        '[language]\nname = "English"\nplural = "n != 1"\n'
        '[ui]\na = "one"\nb = "two"\nd = ["{count} a", "{count} b"]\n'
    )
    (tmp_path / "xx.toml").write_text('[ui]\nb = "zwei"\n')
    monkeypatch.setattr(locales, "FOLDER", tmp_path)
    cached = (locales.available, locales.name_of, locales.catalogue, locales.plural)
    for function in cached:
        function.cache_clear()
    try:
        assert (available(), name_of("xx"), from_environment({"LANG": "xx_XX.UTF-8"})) == (("en", "xx"), "xx", "xx")
        assert [in_language("xx", f"ui.{key}") for key in "ab"] == ["one", "zwei"]
        assert [in_language("xx", "ui.d", count=count) for count in (1, 2)] == ["1 a", "2 b"]  # as English counts
        assert label_in("xx", "train.zzz") == "zzz"
        with pytest.raises(KeyError, match=r"ui\.c"):
            in_language("xx", "ui.c")
    finally:
        for function in cached:
            function.cache_clear()


def test_every_preset_has_its_texts() -> None:
    """The locale's are those of the file, so that a preset reads the same in an editor."""
    found = {p.name: [p.title, p.advice] for p in list_presets(ROOT / "configs" / "presets")}
    assert ENGLISH["presets"] == found
