"""What a model is called in few words."""

from __future__ import annotations

import pytest

from lfdash.jobs.model_words import short_name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("exports/demo-1127-1456", "exports/demo-1127-1456"),
        ("/data/exports/demo-1127-1456/", "exports/demo-1127-1456"),
        ("saves/demo-llama/lora/demo-1127-1456", "demo-1127-1456"),
        ("Qwen/Qwen2.5-0.5B", "Qwen2.5-0.5B"),
        ("exports", "exports"),
        ("", ""),
    ],
)
def test_an_export_is_told_from_the_run_that_it_was_made_from(path: str, name: str) -> None:
    assert short_name(path) == name
