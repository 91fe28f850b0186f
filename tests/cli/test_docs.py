"""docs/cli.md shows the shapes that the commands have: the keys of its examples are those of the answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from lfdash.cli.main import COMMANDS
from tests.cli.test_check import job
from tests.support import ROOT
from tests.support.terminal import lfdash

TEXT = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def example(command: str) -> Any:
    """The first JSON in the section of a command."""
    section = re.split(rf"^### .*`lfdash {command}", TEXT, flags=re.MULTILINE)[1]
    found = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert found is not None, command
    return json.loads(found[1])


def test_every_command_has_its_section() -> None:
    headings = " ".join(re.findall(r"^### (.*)$", TEXT, re.MULTILINE))
    assert {name for name in COMMANDS if f"lfdash {name}" not in headings} == set()


def test_the_examples_have_the_keys_of_the_answers(seen: Path, tmp_path: Path) -> None:
    path = job(tmp_path, dataset="gone")
    answers = {
        "check": lfdash("check", path, "--json").json, "preview": lfdash("preview", path, "--json").json,
        "show": lfdash("show", "good", "--json").json, "diagnose": lfdash("diagnose", "bad", "--json").json,
        "data": lfdash("data", "demo_sft", "--json").json, "machine": lfdash("machine", "--json").json,
        "memory": lfdash("memory", path, "--json", "--set", "model_name_or_path=any/any-7B").json,
        "compare": lfdash("compare", "good", "bad", "--json").json,
    }
    for command, answer in answers.items():
        assert list(example(command)) == list(answer), command
    assert list(example("check")["problems"][0]) == list(answers["check"]["problems"][0])
    reasons = ("no_response", "two_answers", "no_pair", "no_mark", "stage")
    assert all(f"`{reason}`" in TEXT for reason in reasons)
