"""The whole specifications of the view of a setting against a metric."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from lfdash.ui.compare import specs
from tests.support import GOLDEN

SPECS = GOLDEN / "relation"
CASES: dict[str, Callable[[], dict[str, Any]]] = {
    "points_log": lambda: specs.scatter("learning_rate", "log", "Best loss", "linear"),
    "points_few": lambda: specs.scatter("lora_rank", "linear", "Best loss", "linear", numbers=(8.0, 16.0)),
    "points_words": lambda: specs.scatter("dataset", "words", "bleu", "linear", ticks=("a", "b"), coloured=False),
    "lines": lambda: specs.parallel(("learning_rate", "lora_rank", "Best loss"), "Best loss"),
    "lines_many": lambda: specs.parallel(("learning_rate", "Best loss"), "Best loss", coloured=False),
}


@pytest.mark.parametrize("case", CASES)
def test_golden_specification(case: str) -> None:
    golden = SPECS / f"{case}.json"
    text = json.dumps(CASES[case](), indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("LFDASH_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text


def test_every_golden_specification_is_of_a_case() -> None:
    assert {path.stem for path in SPECS.glob("*.json")} == set(CASES)
