"""Two people on one dashboard are two: their browsers are told apart by Streamlit's own cookie."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st

from lfdash.ui.shared import browser as browsers

TOKEN = bytes(range(16))


def cookie(token: bytes, mask: bytes) -> str:
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(token))
    return f"2|{mask.hex()}|{masked.hex()}|1795707095"


def name(monkeypatch: pytest.MonkeyPatch, value: Any) -> str:
    monkeypatch.setattr(st, "context", SimpleNamespace(cookies={browsers.COOKIE: value} if value else {}))
    return browsers.browser()


def test_a_browser_has_one_name_whatever_the_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    first = name(monkeypatch, cookie(TOKEN, b"\1\2\3\4"))
    assert first == name(monkeypatch, cookie(TOKEN, b"\x90\0\xff\7")) and len(first) == 12 and first.isalnum()
    assert name(monkeypatch, cookie(TOKEN[::-1], b"\1\2\3\4")) != first
    assert TOKEN.hex()[:12] not in first, "the token itself is nobody's business"


@pytest.mark.parametrize("value", ["plain", "2|zz|00|1", "2||00|1", "2|00"])
def test_any_other_cookie_is_a_name_too(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert name(monkeypatch, value) and name(monkeypatch, value) != name(monkeypatch, f"{value}x")


def test_without_a_cookie_there_is_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert name(monkeypatch, "") == name(monkeypatch, object()) == ""
