"""Which addresses are this machine's alone, which host names are ours, which pages are."""

from __future__ import annotations

import pytest

from lfdash.access.hosts import Access, is_loopback, public_url

LOCAL = Access()
PUBLIC = Access("0.0.0.0", names=("box", "box.lan"), anyone=True)
BEHIND = Access(public="https://box.example/lfdash")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost", "LOCALHOST"])
def test_loopback_needs_no_sign_in(host: str) -> None:
    assert is_loopback(host) and not Access(host).refused and not Access(host).shared


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "192.0.2.1", "example.org", "localhost.example", "127.1", "0x7f.1", "2130706433", "0", "", " ",
     "::ffff:127.0.0.1", "::1%eth0", "fe80::1"],
)
def test_every_other_address_is_refused_until_somebody_is_asked(host: str) -> None:
    """Odd spellings too: what the system makes of `0` or "" is every interface."""
    assert Access(host).refused
    assert not Access(host, signed_in=True).refused and not Access(host, anyone=True).refused
    assert Access(host, "https://box.example").refused  # the port could be reached beside the proxy


@pytest.mark.parametrize(
    ("host", "local", "public", "behind"),
    [
        ("localhost", True, True, True), ("LOCALHOST:9000", True, True, True), ("localhost.", True, True, True),
        ("127.0.0.1:8501", True, True, True), ("[::1]:8501", True, True, True), ("::1", False, False, False),
        ("192.168.7.7:80", False, True, False), ("[fd00::7]", False, True, False), ("box", False, True, False),
        ("BOX.lan:1", False, True, False), ("box.example", False, False, True), ("Box.Example:444", False, False, True),
        ("evil.example", False, False, False), ("box.example.evil.example", False, False, False),
        ("xbox", False, False, False), ("localhost@evil", False, False, False), ("localhost/x", False, False, False),
        ("localhost?x", False, False, False), ("localhost#x", False, False, False), ("local host", False, False, False),
        ("localhost:x", False, False, False), ("localhost:99999", False, False, False), ("", False, False, False),
        ("[::1", False, False, False), ("localhost\\\\evil", False, False, False), (None, False, False, False),
    ],
)
def test_which_host_names_are_ours(host: str | None, local: bool, public: bool, behind: bool) -> None:
    assert (LOCAL.knows(host), PUBLIC.knows(host), BEHIND.knows(host)) == (local, public, behind)


@pytest.mark.parametrize(
    ("origin", "host", "passes"),
    [
        ("http://127.0.0.1:8501", "127.0.0.1:8501", True), ("HTTP://LocalHost:8501", "localhost:8501", True),
        ("https://box", "box", True), ("http://localhost:9999", "localhost:8501", False),
        ("http://localhost", "localhost:8501", False), ("http://127.0.0.1:8501", "localhost:8501", False),
        ("http://evil.example", "127.0.0.1:8501", False), ("null", "null", False), ("", "", False),
        (None, None, False), ("file://", "", False), ("ftp://localhost:8501", "localhost:8501", False),
        ("http://localhost:8501/x", "localhost:8501", False), ("http://a@localhost:8501", "a@localhost:8501", False),
    ],
)
def test_a_page_must_come_from_where_it_asks(origin: str | None, host: str | None, passes: bool) -> None:
    assert LOCAL.trusts(origin, host) is passes


@pytest.mark.parametrize(
    ("origin", "host", "passes"),
    [
        ("https://box.example", "box.example", True), ("https://box.example", "127.0.0.1:8501", True),
        ("https://box.example:443", "box.example", True), ("http://box.example", "box.example", False),
        ("https://box.example:444", "box.example:444", False), ("https://evil.example", "box.example", False),
        ("http://localhost:8501", "localhost:8501", True),
    ],
)
def test_behind_a_proxy_the_public_page_is_ours(origin: str, host: str, passes: bool) -> None:
    assert BEHIND.trusts(origin, host) is passes


def test_a_tunnel_may_be_the_public_address() -> None:
    tunnel = Access(public="http://localhost:9000")
    assert tunnel.trusts("http://localhost:8501", "localhost:8501")
    assert tunnel.trusts("http://localhost:9000", "127.0.0.1:8501")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("https://Box.example/", "https://box.example"), ("https://box.example:443/a/b/", "https://box.example/a/b"),
        ("http://box:8080", "http://box:8080"), ("http://[::1]:80/x", "http://[::1]/x"), ("box.example", None),
        ("ftp://box", None), ("https://", None), ("https://u:p@box", None), ("https://box/?a", None),
        ("https://box/#a", None), ("https://box:x", None), ("javascript:alert(1)", None), ("", None),
    ],
)
def test_a_public_address_is_http_with_a_host(text: str, kept: str | None) -> None:
    assert public_url(text) == kept


def test_the_parts_of_the_public_address() -> None:
    assert (BEHIND.origin, BEHIND.path, BEHIND.shared, BEHIND.exposed) == ("https://box.example", "lfdash", True, False)
    assert (LOCAL.origin, LOCAL.path) == ("", "")
