"""Every case has a test of its number, and every input is there once."""

from __future__ import annotations

import ast
import hashlib
import re
from collections import Counter
from pathlib import Path

from tests.cases.table import CASES
from tests.support import FIXTURES

HERE = Path(__file__).parent
NUMBER = re.compile(r"[A-Z]\d\d")


def numbers_of_tests() -> Counter[str]:
    """The numbers that tests take the input of, those of the table's keys in their source."""
    found: Counter[str] = Counter()
    for path in HERE.glob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if path.name != Path(__file__).name:
            strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
            found.update(text for text in strings if isinstance(text, str) and NUMBER.fullmatch(text))
    return found


def test_every_case_is_tested() -> None:
    assert len(CASES) == 51
    assert set(numbers_of_tests()) == set(CASES)
    assert all(case.wanted and case.file.is_file() for case in CASES.values())


def test_no_case_is_skipped() -> None:
    for path in HERE.glob("test_*.py"):
        assert not re.search(r"mark\.(?:skip|xfail)|pytest\.(?:skip|xfail)\(", path.read_text(encoding="utf-8")), path


def test_an_input_lies_once_among_the_fixtures() -> None:
    marks = Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in FIXTURES.rglob("*") if path.is_file())
    for number, case in CASES.items():
        assert marks[hashlib.sha256(case.file.read_bytes()).hexdigest()] == 1, number
    assert len({case.file for case in CASES.values()}) == len(CASES)
    used = {case.file for case in CASES.values()}
    assert set((FIXTURES / "cases").iterdir()) <= used
