"""The files around the code agree with each other: metadata, pins, server configuration, README, Makefile."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from streamlit import config as streamlit_config

from lfdash.web.server import settings
from tests.support import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = {
    name.lower().replace("_", "-"): version
    for name, _, version in (
        line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:1] != "#"
    )
}


def requirements() -> list[str]:
    extras = PROJECT["project"]["optional-dependencies"].values()
    return PROJECT["project"]["dependencies"] + [line for extra in extras for line in extra]


@pytest.mark.parametrize("requirement", requirements())
def test_every_requirement_is_pinned(requirement: str) -> None:
    found = re.match(r"([\w.-]+)(?:\[.*\])?(==)?(.*)", requirement)
    assert found is not None
    version = PINS[found[1].lower().replace("_", "-")]
    assert re.fullmatch(r"[\w.+]+", version)
    if found[2]:
        assert version == found[3]


def options(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested TOML table as dotted names."""
    found = {}
    for key, value in table.items():
        found |= options(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


CONFIG = options(tomllib.loads((ROOT / ".streamlit/config.toml").read_text()))


@pytest.mark.parametrize("name", sorted(CONFIG))
def test_streamlit_knows_the_option(name: str) -> None:
    assert name in streamlit_config._config_options_template


def test_both_ways_of_starting_have_the_same_settings() -> None:
    in_code = settings(8501)
    differing = {name for name in CONFIG.keys() & in_code.keys() if CONFIG[name] != in_code[name]}
    assert not differing
    assert {name for name in CONFIG if not name.startswith("theme.")} <= in_code.keys()


def test_the_readme_shows_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    block = text.split("## The file tree")[1].split("```")[1]
    folder, paths = Path(), []
    for line in block.splitlines():
        names = re.match(r" *((?:[\w.]+(?:/[\w.]*)*\s?)+)(?: {2,}|$)", line)
        if names is None or line.lstrip().startswith("--"):
            continue
        if not line.startswith(" "):
            folder = Path()
        paths += [folder / name for name in names[1].split()]
        if not line.startswith(" ") and names[1].strip().endswith("/"):
            folder = Path(names[1].strip())
    missing = [str(path) for path in paths if not (ROOT / path).exists()]
    assert len(paths) > 12
    assert not missing


def test_the_readme_installs_what_there_is() -> None:
    """Behind `pip install`: extras that exist, the wheel of this version, and of an index only what is pinned (lfdash
    itself is in none). That this folder, a wheel and a source distribution can be installed: test_install.py."""
    asked = re.findall(r"pip install (.*?)`", (ROOT / "README.md").read_text())
    assert len(asked) >= 5
    for line in asked:
        assert set(re.findall(r"\[(\w+)\]", line)) <= PROJECT["project"]["optional-dependencies"].keys(), line
        assert ".whl" not in line or line == f"lfdash-{PROJECT['project']['version']}-py3-none-any.whl"
        assert set(re.findall(r"(?<!\S)\w[\w-]*(?!\S)", line)) <= PINS.keys(), line


def test_every_target_has_a_line_of_help() -> None:
    text = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.*)", text, re.M)
    assert phony is not None
    for target in phony[1].split():
        assert re.search(rf"^{target}:", text, re.M), target
        assert target.startswith("setup-") or re.search(rf"^{target}:.*## \w", text, re.M), target
