"""What `[auth]` says and whom it lets in. The exchange with a provider is in tests/security."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from lfdash.access.sign_in import SignIn, named_users, read, who
from lfdash.outcomes import Refused

GOOD: dict[str, Any] = {
    "redirect_uri": "https://box.example/lfdash/oauth2callback", "cookie_secret": "0123456789abcdef" * 2,
    "client_id": "a", "client_secret": "b", "server_metadata_url": "https://idp.example/.well-known/openid-configuration",
}
PART = {name: GOOD[name] for name in ("client_id", "client_secret", "server_metadata_url")}
SHARED = {name: GOOD[name] for name in ("redirect_uri", "cookie_secret")}


def test_a_whole_sign_in_and_where_it_is() -> None:
    assert read(GOOD, ()) == SignIn(("default",), (), "https://box.example/lfdash")
    local = {**GOOD, "redirect_uri": "http://localhost:{port}/oauth2callback"}
    assert read(local, ("a@b",)) == SignIn(("default",), ("a@b",), "")
    several = {**SHARED, "one": PART, "two": PART, "client_kwargs": {"scope": "openid"}}
    assert read(several, ()) == SignIn(("one", "two"), (), "https://box.example/lfdash")
    assert read({**GOOD, "one": PART}, ()) == SignIn(("default", "one"), (), "https://box.example/lfdash")


@pytest.mark.parametrize(
    ("changes", "users", "code"),
    [
        ({"redirect_uri": "https://box.example/"}, (), "auth_redirect"), ({"redirect_uri": ""}, (), "auth_redirect"),
        ({"redirect_uri": "box.example/oauth2callback"}, (), "auth_redirect"),
        ({"cookie_secret": "0123456789"}, (), "auth_cookie"), ({"client_secret": ""}, (), "auth_provider"),
        ({"server_metadata_url": None}, (), "auth_provider"), ({"my_idp": PART}, (), "auth_provider"),
        ({"one": {"client_id": "x"}}, (), "auth_provider"), ({}, ("ana",), "auth_users"), ({}, ("@",), "auth_users"),
    ],
)
def test_what_is_wrong_with_one(changes: dict[str, Any], users: tuple[str, ...], code: str) -> None:
    found = read({**GOOD, **changes}, users)
    assert isinstance(found, Refused) and found.code == code
    assert str(GOOD["cookie_secret"]) not in str(found.params)


@pytest.mark.parametrize(
    "url",
    [
        "https://accounts.google.com/.well-known/openid-configuration",
        "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration",
        "HTTPS://login.microsoftonline.com/consumers/v2.0/.well-known/openid-configuration",
    ],
)
def test_where_anybody_has_an_account_people_must_be_named(url: str) -> None:
    auth = {**GOOD, "server_metadata_url": url}
    assert read(auth, ()) == Refused("auth_everybody", {"what": url})
    for users in (("ana@example.org",), ("@example.org",), ("*",)):
        assert isinstance(read(auth, users), SignIn)
    tenant = "https://login.microsoftonline.com/11111111-2222/v2.0/.well-known/openid-configuration"
    assert isinstance(read({**auth, "server_metadata_url": tenant}, ()), SignIn)


def test_without_the_package_nothing_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert read(GOOD, ()) == Refused("auth_package")


IN = {"is_logged_in": True, "email": "ana@example.org", "email_verified": True}


@pytest.mark.parametrize(
    ("users", "changes", "admitted"),
    [
        ((), {}, True), (("*",), {"email": None}, True), ((), {"is_logged_in": False}, False),
        (("*",), {"is_logged_in": 1}, False), (("ana@example.org",), {}, True), (("@example.org",), {}, True),
        (("ana@example.org",), {"email": "ANA@Example.ORG"}, True), (("bo@example.org",), {}, False),
        (("@example.org",), {"email": "ana@sub.example.org"}, False),
        (("@example.org",), {"email": "@example.org"}, False),
        (("@example.org",), {"email": "ana@evil@example.org"}, False), (("@example.org",), {"email": "ana"}, False),
        (("ana@example.org",), {"email_verified": "false"}, False),
        (("ana@example.org",), {"email_verified": None}, False),
        (("ana@example.org",), {"email_verified": "true"}, True), (("kim@a.org",), {"email": "\u212aim@a.org"}, False),
        (("ana@example.org",), {"email": ["ana@example.org"]}, False),
    ],
)
def test_who_is_admitted(users: tuple[str, ...], changes: dict[str, Any], admitted: bool) -> None:
    assert SignIn(("default",), users).admits({**IN, **changes}) is admitted


@pytest.mark.parametrize("said", [{}, {"email_verified": None}, {"email_verified": 1}, {"email_verified": "yes"}])
def test_an_address_counts_only_where_it_is_said_to_be_verified(said: dict[str, Any]) -> None:
    """Where nothing is said of it, anybody may have typed it (Microsoft's common endpoint)."""
    user = {"is_logged_in": True, "email": "ana@example.org", **said}
    assert not SignIn(("default",), ("ana@example.org", "@example.org")).admits(user)
    assert SignIn(("default",), ("*",)).admits(user) and not SignIn(("default",)).admits({})


@pytest.mark.parametrize(
    ("users", "changes", "admitted"),
    [
        (("sub:AbC",), {"sub": "AbC"}, True), (("sub:AbC",), {"sub": "abc"}, False), (("tid:7",), {"tid": "7"}, True),
        (("oid:7",), {"oid": "7"}, True), (("oid:7",), {"sub": "7"}, False), (("oid:7",), {"oid": 7}, False),
        (("one:sub:7",), {"sub": "7"}, True), (("two:sub:7",), {"sub": "7"}, False), (("sub:7",), {"sub": None}, False),
        (("sub:7",), {"sub": "7", "is_logged_in": "yes"}, False),
    ],
)
def test_who_is_named_by_subject_or_tenant(users: tuple[str, ...], changes: dict[str, Any], admitted: bool) -> None:
    user = {"is_logged_in": True, "provider": "one", "email": "eve@evil.example", "email_verified": True, **changes}
    assert SignIn(("one",), users).admits(user) is admitted


def test_with_several_providers_an_identity_says_whose_it_is() -> None:
    """The subject 7 of one provider is somebody else at another."""
    several = {**SHARED, "one": PART, "two": PART}
    found = read(several, ("one:sub:7",))
    assert isinstance(found, SignIn)
    user = {"is_logged_in": True, "sub": "7"}
    assert found.admits({**user, "provider": "one"}) and not found.admits({**user, "provider": "two"})
    for word in ("sub:7", "three:sub:7"):
        assert read(several, (word,)) == Refused("auth_identity", {"what": word, "names": "one, two"})
    assert isinstance(read(GOOD, ("default:sub:7", "tid:8")), SignIn)


def test_people_are_named_by_commas_or_spaces() -> None:
    assert named_users(" Ana@Example.org,@lab.example  *\n") == ("ana@example.org", "@lab.example", "*")
    assert named_users("sub:AbC|7 one:oid:X,Tid:Y") == ("sub:AbC|7", "one:oid:X", "tid:y")
    assert named_users("") == ()
    assert [who(user) for user in (IN, {"name": "Ana"}, {"sub": "1"}, {})] == ["ana@example.org", "Ana", "1", "?"]
