"""The code of lfdash as a tree: what it calls with which words. For promises that no import could tell of."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support import ROOT

PACKAGE = ROOT / "lfdash"


@cache
def trees() -> dict[Path, ast.Module]:
    """Every module of lfdash, and app.py."""
    files = [*sorted(PACKAGE.rglob("*.py")), ROOT / "app.py"]
    return {path: ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in files}


def texts() -> list[str]:
    """Every string that stands in the code, as often as it does; parts of f-strings too."""
    nodes = (node for tree in trees().values() for node in ast.walk(tree))
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def words_of_calls(*names: str) -> set[str]:
    """The strings among the positional arguments of calls of these functions or classes, however they are reached."""
    return {word for call in calls(*names) for word in strings(*call.args)}


def first_words_of_calls(*names: str) -> set[str]:
    """The same, of the first argument only."""
    return {word for call in calls(*names) for word in strings(*call.args[:1])}


def returned_words() -> set[str]:
    """The strings that functions return."""
    nodes = (node for tree in trees().values() for node in ast.walk(tree))
    return {word for node in nodes if isinstance(node, ast.Return) and node.value for word in strings(node.value)}


def calls(*names: str) -> Iterator[ast.Call]:
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", None)) in names:
                yield node


def strings(*nodes: ast.expr) -> Iterator[str]:
    """The values that an expression may have, where they are strings: also both ends of a condition, and of a tuple."""
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.IfExp):
            yield from strings(node.body, node.orelse)
        elif isinstance(node, ast.Tuple):
            yield from strings(*node.elts)
