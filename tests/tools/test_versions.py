"""tools/versions.py: environments are used again or made anew, and what is written; and the form of what it wrote."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from lfdash.jobs.versions import table
from tests.support import ROOT
from tests.support.tools import load_tool

PAPER = ROOT / "docs" / "versions.md"
TABLE = json.loads((ROOT / "configs" / "arguments_by_version.json").read_text(encoding="utf-8"))
REPORT = """
<testsuites><testsuite>
 <testcase name="a"><properties><property name="row" value="A"/><property name="seen" value="8 steps."/>
  <property name="result" value="ok"/></properties></testcase>
 <testcase name="b"><properties><property name="row" value="B"/><property name="seen" value="no PPO."/>
  <property name="result" value="told"/></properties></testcase>
 <testcase name="c"><properties><property name="row" value="C"/><property name="result" value="ok"/></properties>
  <failure message="AssertionError: first&#10;second">long</failure></testcase>
 <testcase name="d"><properties><property name="row" value="D"/></properties><skipped message="why"/></testcase>
 <testcase name="no row"/>
 <testcase name="test_e"><error message="broke off">long</error></testcase>
</testsuite></testsuites>
"""
ROWS = [
    {"row": "A", "result": "ok", "seen": "8 steps."},
    {"row": "B", "result": "told", "seen": "no PPO."},
    {"row": "C", "result": "failed", "seen": "AssertionError: first"},
    {"row": "D", "result": "skipped", "seen": "why"},
    {"row": "test_e", "result": "failed", "seen": "broke off"},
]


@pytest.fixture(scope="module")
def versions() -> ModuleType:
    return load_tool("versions")


@pytest.fixture
def ran(versions: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was run in place of venv and pip; it makes the files that they make."""
    commands: list[list[str]] = []

    def run(command: Sequence[str]) -> None:
        commands.append(list(command))
        if "venv" in command:
            folder = Path(command[-1])
            (folder / "bin").mkdir(parents=True)
            (folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages").mkdir(parents=True)
        elif "limits.txt" in str(command):
            (Path(command[0]).with_name("llamafactory-cli")).touch()

    lent = {"folders": ["/lent"], "lent": {"torch": "2.14.1"}}
    monkeypatch.setattr(versions, "run", run)
    monkeypatch.setattr(versions, "lender", lambda: dict(lent))
    monkeypatch.setattr(versions, "installed_version", lambda made, name: "1")
    return commands


def test_an_environment_is_made_beside_what_is_lent(
    versions: ModuleType, ran: list[list[str]], tmp_path: Path
) -> None:
    made = versions.environment(tmp_path, "0.9.3")
    assert [path.read_text() for path in made.folder.glob("lib/*/site-packages/zz_lent.pth")] == ["/lent\n"]
    assert (made.folder / "limits.txt").read_text() == "torch==2.14.1\n"
    own, rest = ran[1:]
    assert own[-3:] == ["--no-deps", "--ignore-installed", "llamafactory==0.9.3"]
    assert rest[-4:] == ["-c", str(made.folder / "limits.txt"), "llamafactory==0.9.3", "pyarrow<21"]
    assert json.loads((made.folder / versions.STAMP).read_text())["packages"]["trl"] == "1"


def test_a_whole_environment_is_used_again(versions: ModuleType, ran: list[list[str]], tmp_path: Path) -> None:
    versions.environment(tmp_path, "0.9.3")
    ran.clear()
    versions.environment(tmp_path, "0.9.3")
    assert ran == []


@pytest.mark.parametrize("spoil", ["half", "broken stamp", "another torch", "no cli"])
def test_a_broken_environment_is_made_anew(
    versions: ModuleType, ran: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    made = versions.environment(tmp_path, "0.9.3")
    stamp = made.folder / versions.STAMP
    if spoil == "half":
        stamp.unlink()
    elif spoil == "broken stamp":
        stamp.write_text("[]")
    elif spoil == "no cli":
        made.cli.unlink()
    else:
        monkeypatch.setattr(versions, "lender", lambda: {"folders": ["/lent"], "lent": {"torch": "3"}})
    (made.folder / "left").touch()
    ran.clear()
    versions.environment(tmp_path, "0.9.3")
    assert len(ran) == 3 and not (made.folder / "left").exists()


def test_what_the_index_offers(versions: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    class Done:
        stdout, stderr = "llamafactory (0.9.5)\nAvailable versions: 0.9.5, 0.9.4\n", "ERROR: no network"

    monkeypatch.setattr(versions.subprocess, "run", lambda *_, **__: Done)
    assert versions.offered() == ("0.9.5", "0.9.4")
    Done.stdout = ""
    with pytest.raises(versions.VersionError, match="no network"):
        versions.offered()


def test_the_rows_of_a_report(versions: ModuleType) -> None:
    assert versions.rows_of(ElementTree.fromstring(REPORT)) == ROWS


def test_rows_of_now_stand_in_place_of_those_of_before(versions: ModuleType) -> None:
    again = {"row": "C", "result": "ok", "seen": "now"}
    more = {"row": "E", "result": "ok", "seen": ""}
    assert versions.merged(ROWS, [more, again]) == [*ROWS[:2], again, ROWS[3], more]


def test_a_version_that_is_skipped_is_told_and_fails(
    versions: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def tried(_cache: Path, version: str, _words: Sequence[str]) -> bool:
        if version == "0.9.3":
            raise versions.VersionError("ERROR: no wheel")
        return True

    told: dict[str, str] = {}
    monkeypatch.setattr(versions, "offered", lambda: ("0.9.6", "0.9.5", "0.9.4", "0.9.3"))
    monkeypatch.setattr(versions, "tried_now", tried)
    monkeypatch.setattr(versions, "write", lambda _cache, wanted, skipped: told.update(skipped, wanted=wanted))
    assert versions.main(["--cache", str(tmp_path)]) == 1
    assert told == {
        "0.9.2": "the package index does not have it", "0.9.3": "ERROR: no wheel",
        "wanted": ["0.9.3", "0.9.4", "0.9.5", "0.9.6"],
    }
    said = capsys.readouterr().out
    assert "0.9.2 is not tried: the package index does not have it" in said
    assert "0.9.3 is not tried: ERROR: no wheel" in said


def test_the_page_that_is_written(versions: ModuleType) -> None:
    tried = [versions.Tried("1", {"trl": "0.9"}, ROWS, "2026-01-02"), versions.Tried("2", {}, ROWS[:1], "2026-01-03")]
    text = versions.paper(tried, {"3": "no wheel"})
    assert "| A | works | works |" in text and "| B | no, told before Start | not tried |" in text
    assert "| C | **fails** | not tried |" in text and "| trl | 0.9 | – |" in text
    assert "| tried on | 2026-01-02 | 2026-01-03 |" in text and "- 3 was not tried: no wheel" in text
    check_form(text, ["1", "2"])


def check_form(text: str, names: list[str]) -> None:
    """Heads, widths, words and days of docs/versions.md."""
    for title in ("What works", "With which packages", "What was seen"):
        assert f"## {title}\n" in text
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert rows[0][-len(names):] == names
    assert {len(re.split(r" \| ", line)) for line in text.splitlines() if line.startswith("| ")} == {len(names) + 1}
    (days,) = [row[1:] for row in rows if row[0] == "tried on"]
    assert all(re.fullmatch(r"\d{4}-\d{2}-\d{2}", day) for day in days)


def test_the_page_in_the_project(versions: ModuleType) -> None:
    names = [one["llamafactory"] for one in TABLE["tried"]]
    text = PAPER.read_text(encoding="utf-8")
    check_form(text, names)
    works = text.split("## What works")[1].split("##")[0]
    cells = [cell.strip() for line in works.splitlines()[4:] for cell in line.strip("|").split("|")[1:]]
    assert cells and set(cells) <= set(versions.WORDS.values())
    assert versions.WORDS["failed"] not in cells
    for name in names:
        assert f"### {name}\n" in text


def test_the_table_in_the_project_is_written_as_the_tool_writes_it(versions: ModuleType) -> None:
    assert versions.as_text(TABLE) == (ROOT / "configs" / "arguments_by_version.json").read_text(encoding="utf-8")
    assert set(TABLE) == set(table([]))
    assert [one["llamafactory"] for one in TABLE["tried"]][: len(versions.WANTED)] == list(versions.WANTED)
