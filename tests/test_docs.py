"""The pages of documentation agree with the program: views, commands, links, pictures."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from lfdash.cli.main import COMMANDS, SERVE
from lfdash.jobs.kinds import KINDS
from lfdash.locales import catalogue
from lfdash.ui.shared.layout import PAGES
from tests.support import ROOT

GUIDE = ROOT / "docs/guide.md"
PAPERS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PICTURES = sorted((ROOT / "docs/pictures").glob("*.png"))
LINK = re.compile(r"\]\(([^()\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
# Words before the command: `lfdash --workspace DIR ls`.
COMMAND = re.compile(r"(?:^|[`($|&;]\s*)lfdash((?: +--workspace[ =]\S+| +--json)*) +([a-z][\w-]*)", re.MULTILINE)


def sections(text: str) -> dict[str, str]:
    """What stands below each heading of the second level."""
    _, *parts = re.split(r"^## +(.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def links(paper: Path) -> list[str]:
    """What a page links to, pictures too; not what looks so in code."""
    return LINK.findall(FENCE.sub("", paper.read_text(encoding="utf-8")))


def commands(text: str) -> set[str]:
    """Names of the commands that a text calls."""
    return {name for _, name in COMMAND.findall(text)}


def test_every_kind_of_job_is_a_view() -> None:
    assert {kind.page for kind in KINDS} <= {page for page, _ in PAGES}


@pytest.mark.parametrize("key", [key for _, key in PAGES])
def test_every_view_has_a_section_with_a_picture(key: str) -> None:
    section, _, name = key.partition(".")
    title = catalogue("en")[section][name]
    body = sections(GUIDE.read_text(encoding="utf-8")).get(str(title))
    assert body is not None, f"docs/guide.md has no section {title!r}"
    shown = [target for target in re.findall(r"!\[[^]]+\]\(([^()\s]+)\)", body) if target.startswith("pictures/")]
    assert len(shown) == 1, f"section {title!r} shows {shown}"
    assert (GUIDE.parent / shown[0]) in PICTURES


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_every_picture_is_shown(path: Path) -> None:
    assert f"pictures/{path.name}" in links(GUIDE)


def test_commands_are_found_where_they_are_called() -> None:
    assert {"start", "ls", "data", SERVE} <= commands(GUIDE.read_text(encoding="utf-8"))
    assert commands("`lfdash --workspace /x --json ls` && lfdash show\n$ lfdash.open") == {"ls", "show"}


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_only_commands_that_exist_are_called(paper: Path) -> None:
    assert commands(paper.read_text(encoding="utf-8")) <= {*COMMANDS, SERVE}


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_relative_links_lead_to_files(paper: Path) -> None:
    for link in links(paper):
        target, _, _ = link.partition("#")
        if target and not re.match(r"[a-z]+:", target):
            assert (paper.parent / unquote(target)).exists(), f"{paper.name} links to {link}"


def test_the_tests_that_reliability_names_are_there() -> None:
    named = re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", (ROOT / "docs/reliability.md").read_text(encoding="utf-8"))
    assert len(named) > 15
    assert [name for name in named if not any((ROOT / top / name).exists() for top in ("", "tests", "lfdash"))] == []
