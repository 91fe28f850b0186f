"""A fresh run name: the minute, then what differs, then the second."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from lfdash.engine import defaults


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defaults, "now", lambda: datetime(2026, 11, 26, 12, 5, 31))


def services(*names: str) -> Any:
    views = [SimpleNamespace(name=name) for name in names]
    return SimpleNamespace(registry=SimpleNamespace(snapshot=lambda: views))


@pytest.mark.parametrize(
    ("taken", "differs", "name"),
    [
        ((), "", "lora-1126-1205"), ((), "lr2e-5", "lora-1126-1205"), (("lora-1126-1204",), "", "lora-1126-1205"),
        (("lora-1126-1205",), "lr2e-5_r8", "lora-1126-1205-lr2e-5_r8"), (("lora-1126-1205",), "", "lora-1126-120531"),
        (("lora-1126-1205", "lora-1126-120531"), "", "lora-1126-120531-2"),
        (("lora-1126-1205", "lora-1126-1205-r8", "lora-1126-1205-r8-2"), "r8", "lora-1126-1205-r8-3"),
    ],
)
def test_a_fresh_name_says_when_and_what(taken: tuple[str, ...], differs: str, name: str) -> None:
    assert defaults.fresh_name(services(*taken), "lora", differs) == name
