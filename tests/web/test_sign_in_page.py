"""The way in: in which language it is shown, and whose cookie counts. Real sign-ins: tests/security/test_signin.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lfdash.access.ended_sign_ins import EndedSignIns
from lfdash.access.sign_in import SignIn
from lfdash.web import sign_in_page
from lfdash.web.sign_in_page import AUTH_COOKIE_NAME, OPEN, SignInPage, language_of, link, user_of

HERE = "https://box.example"


@pytest.mark.parametrize(
    ("header", "code"),
    [("", "en"), ("ru", "ru"), ("zh-CN,en;q=0.8", "zh"), ("fr-FR, JA;q=0.5", "ja"), ("xx, *", "en"),
     ("../etc,;;,ko", "ko")],
)
def test_the_language_is_the_first_of_the_browsers_that_there_is(header: str, code: str) -> None:
    assert language_of(header) == code


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server at HERE, whose signature is the word "good:"."""

    def decode(_secret: str, _name: str, value: str) -> bytes | None:
        return value.removeprefix("good:").encode() if value.startswith("good:") else None

    monkeypatch.setattr(sign_in_page, "decode_signed_value", decode)
    monkeypatch.setattr(sign_in_page, "get_cookie_secret", lambda: "secret")
    monkeypatch.setattr(sign_in_page, "get_origin_from_redirect_uri", lambda: HERE)


@pytest.mark.usefixtures("signed")
@pytest.mark.parametrize(
    ("cookie", "known"),
    [
        ("good:" + json.dumps({"email": "a", "origin": HERE}), True),
        (json.dumps({"email": "a", "origin": HERE}), False),  # not signed
        ("good:" + json.dumps({"email": "a", "origin": "https://other.example"}), False),
        ("good:" + json.dumps({"email": "a"}), False), ("good:" + json.dumps(["a", HERE]), False),
        ("good:{", False), ("", False),
    ],
)
def test_only_a_signed_cookie_of_this_server_says_who_somebody_is(cookie: str, known: bool) -> None:
    assert user_of({AUTH_COOKIE_NAME: cookie}) == ({"email": "a", "origin": HERE} if known else {})


@pytest.mark.usefixtures("signed")
def test_without_a_cookie_or_an_address_nobody_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert user_of({}) == {}
    monkeypatch.setattr(sign_in_page, "get_origin_from_redirect_uri", lambda: None)
    claims: dict[str, Any] = {"email": "a", "origin": None}
    assert user_of({AUTH_COOKIE_NAME: "good:" + json.dumps(claims)}) == {}


def test_what_a_link_says_is_no_markup() -> None:
    assert link('/a"><script>', "<b>") == '<a href="/a&quot;&gt;&lt;script&gt;">&lt;b&gt;</a>'


@pytest.mark.parametrize(
    ("base", "path", "raw", "is_open"),
    [
        ("", "/auth/login", "/auth/login", True), ("", "/auth/login?", "/auth/login%3f", False),
        ("", "/auth/login", "/auth/%6cogin", False), ("lf", "/lf/auth/login", "/lf/auth/login", True),
        ("lf", "/auth/login", "/auth/login", False), ("lf", "/lf/lf/auth/login", "/lf/lf/auth/login", False),
        ("lf", "/lf/auth/login", "/%6cf/auth/login", False), ("ä", "/ä/auth/login", "/%C3%A4/auth/login", True),
        ("", "", "", False), ("", "/", "/", False), ("", "/data", "/auth/login", False),
    ],
)
def test_what_is_open_is_named_to_the_letter(tmp_path: Path, base: str, path: str, raw: str, is_open: bool) -> None:
    page = SignInPage(lambda *_: None, SignIn(("default",)), EndedSignIns(tmp_path), base)
    found = page.open_path({"path": path, "raw_path": raw.encode()})
    assert found == (path.removeprefix(f"/{base}" if base else "") if is_open else "") and (found in OPEN) is is_open
