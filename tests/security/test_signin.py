"""With a sign-in nothing is served to strangers, against the real server and a real OpenID Connect exchange."""

from __future__ import annotations

import json
import random
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from itsdangerous import URLSafeTimedSerializer
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from tests.security.browser import Answer, Tab, ask
from tests.security.conftest import Server, Start, make_workspace
from tests.security.provider import Provider
from tests.security.test_gate import ROUTES, listening, refused
from tests.support.runs import wait_for

KEY = "0123456789abcdef0123456789abcdef"  # of the cookies
OPEN = {"/_stcore/health", "/auth/login", "/auth/logout", "/oauth2callback"}
OWN_PAGE = {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
SECRETS = """
[auth]
redirect_uri = "http://127.0.0.1:{{port}}/oauth2callback"
cookie_secret = "{key}"
client_id = "lfdash"
client_secret = "client-secret-0123456789"
server_metadata_url = "{url}/.well-known/openid-configuration"
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    found = Provider()
    yield found
    found.close()


def with_secrets(folder: Path, text: str) -> Path:
    """A workspace in a folder that has a secrets.toml; servers are started there."""
    (folder / ".streamlit").mkdir(exist_ok=True)
    (folder / ".streamlit" / "secrets.toml").write_text(text)
    return make_workspace(folder)


@pytest.fixture(scope="module")
def door(serve: Start, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server for every machine, that ana and everybody of lab.example may use."""
    root = with_secrets(tmp_path_factory.mktemp("door"), SECRETS.format(key=KEY, url=provider.url))
    return serve("--host", "0.0.0.0", "--users", "Ana@Example.org, @lab.example, sub:AbC|7, tid:4b8c-1", root=root)


class Browser:
    """Keeps cookies and follows the way of a sign-in."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.cookies: dict[str, str] = {}

    @property
    def header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def get(self, path: str, **headers: str) -> Answer:
        """headers: further ones, with _ for -."""
        more = [(name.replace("_", "-"), value) for name, value in headers.items()]
        answer = ask(self.url, path, headers=[("Cookie", self.header), ("Accept", "text/html"), *more])
        for line in filter(None, answer.headers.get("set-cookie", "").split("\n")):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
            if "max-age=0" in line.lower() or value in ("", '""'):
                del self.cookies[name]
        return answer

    def sign_in(self) -> Answer:
        """From the link on the page through the provider and back; the answer to the last step."""
        path = self.get("/signin?provider=default").headers["location"]
        away = self.get(path).headers["location"]
        parts = urlsplit(away)
        back = ask(f"{parts.scheme}://{parts.netloc}", f"{parts.path}?{parts.query}").headers["location"]
        return self.get(back.removeprefix(self.url))

    def sign_out(self) -> Answer:
        """As a browser goes there when the page leads it."""
        return self.get("/auth/logout", **OWN_PAGE)

    def tab(self, **changes: str) -> Tab:
        """A tab of this browser; Streamlit hands the token of forms on in the websocket's protocol."""
        self.get("/_stcore/health")
        token = self.cookies["_streamlit_xsrf"]
        return Tab(self.url, headers={"Cookie": self.header}, xsrf=token, **changes)


def signed_in(door: Server, provider: Provider, **claims: object) -> Browser:
    provider.claims = {"email": "ana@example.org", "email_verified": True, "name": "Ana", **claims}
    browser = Browser(door)
    browser.sign_in()
    return browser


def who(browser: Browser) -> set[tuple[str, str]]:
    """What is signed of the cookies that say who somebody is."""
    names = [name for name in browser.cookies if name.startswith("_streamlit_user")]
    return {(name, browser.cookies[name].rpartition(".")[0]) for name in names}


def test_with_a_sign_in_a_public_address_may_be_served(door: Server) -> None:
    assert "00000000" in listening(door.process.pid)
    assert any("ana@example.org, @lab.example" in line for line in door.said)


@pytest.mark.parametrize("path", [*ROUTES, "/evaluate", "/export", "/arguments", "/x/../", "//", "/_stcore/stream"])
def test_a_stranger_gets_nothing(door: Server, path: str) -> None:
    answer = ask(door.url, path)
    if path in OPEN:
        assert answer.status in (200, 302, 303)
        assert b"workspace" not in answer.body
    else:
        assert answer.status == 401 and b"Sign in" in answer.body
        assert b"static/js" not in answer.body


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "HEAD", "OPTIONS"])
def test_a_stranger_uploads_and_drives_nothing(door: Server, method: str) -> None:
    for path in ("/_stcore/upload_file/s/f", "/_stcore/agent/interact", "/media/x"):
        assert ask(door.url, path, method, [("Origin", door.url)]).status == 401


def test_a_stranger_gets_no_websocket(door: Server) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        Tab(door.url).open()
    assert refusal.value.response.status_code == 403


def test_who_is_on_the_list_comes_in_and_goes_out_again(door: Server, provider: Provider) -> None:
    browser = signed_in(door, provider)
    assert browser.get("/").status == 200
    tab = browser.tab().open()
    assert "start" in tab.ids and tab.shows("ana@example.org") and "sign_out" in tab.ids
    tab.run(sign_out=True)
    assert any(message.auth_redirect.url == "/auth/logout" for message in tab.seen)
    browser.sign_out()
    assert browser.get("/").status == 401
    with pytest.raises(InvalidStatus):
        browser.tab().open()


def test_downloads_and_uploads_are_for_who_signed_in(door: Server, provider: Provider) -> None:
    browser = signed_in(door, provider)
    tab = browser.tab().open()
    paths = [m.delta.new_element.download_button.url for m in tab.seen if m.WhichOneof("type") == "delta"]
    media = [path for path in paths if path.startswith("/media/")]
    assert media
    assert b"model_name_or_path" in browser.get(media[0]).body
    assert ask(door.url, media[0]).status == 401
    stranger = ask(door.url, f"/_stcore/upload_file/{tab.session}/1", "PUT", [("X-Xsrftoken", tab.xsrf)], b"x")
    assert stranger.status == 401


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"email": "ANA@EXAMPLE.ORG"}, 200), ({"email": "bo@lab.example"}, 200), ({"email": "eve@example.org"}, 403),
        ({"email": "ana@example.org.evil"}, 403), ({"email": "ana@evil@lab.example"}, 403), ({"email": None}, 403),
        ({"email": "ana@sub.lab.example"}, 403), ({"email": "bo@lab.example", "email_verified": False}, 403),
        ({"email": "\u212aim@lab.example"}, 403), ({"email": ["ana@example.org"]}, 403),
        ({"email": "bo@lab.example", "email_verified": None}, 403), ({"email": "bo@lab.example\n"}, 403),
        ({"email": "bo@lab.example", "email_verified": "false"}, 403),
        ({"email": "eve@evil.example", "email_verified": None, "sub": "AbC|7"}, 200),
        ({"email": "bo@lab.example", "email_verified": None, "sub": "abc|7"}, 403),
        ({"email": None, "tid": "4b8c-1", "oid": "1"}, 200), ({"email": None, "tid": "4b8c-2", "oid": "1"}, 403),
        ({"email": "tid:4b8c-1", "sub": "tid:4b8c-1"}, 403),
    ],
)
def test_who_is_not_on_the_list_stays_out(
    door: Server, provider: Provider, claims: dict[str, object], status: int
) -> None:
    browser = signed_in(door, provider, **claims)
    answer = browser.get("/")
    assert answer.status == status
    if status == 403:
        assert b"Sign out" in answer.body and b"list" in answer.body and b"default:sub:" in answer.body
        with pytest.raises(InvalidStatus):
            browser.tab().open()


def test_a_token_of_somebody_else_is_not_believed(door: Server, provider: Provider) -> None:
    provider.forge = True
    try:
        browser = signed_in(door, provider)
    finally:
        provider.forge = False
    assert browser.get("/").status == 401


def wait_until_closed(tab: Tab) -> None:
    """Reads what was on its way until the server closes the tab. TimeoutError when it does not."""
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            tab.socket.recv(10)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


def test_an_address_that_nobody_verified_is_told_so(door: Server, provider: Provider) -> None:
    """Microsoft's common endpoint says nothing of it, and anybody writes any address into a tenant of their own."""
    provider.claims = {"email": "ana@example.org", "name": "Ana"}
    browser = Browser(door)
    browser.sign_in()
    answer = browser.get("/")
    assert answer.status == 403 and b"does not confirm that this email address is yours" in answer.body


@pytest.mark.parametrize("long", [False, True], ids=["one cookie", "a cookie in parts"])
def test_signing_out_voids_the_cookie_and_closes_every_tab(door: Server, provider: Provider, long: bool) -> None:
    more = {"groups": [f"{random.Random(7).getrandbits(40_000):x}"]} if long else {}
    browser = signed_in(door, provider, **more)
    # what is signed within one second for the same person is the same
    elsewhere = wait_for(lambda: one if not who(one := signed_in(door, provider, **more)) & who(browser) else None)
    assert elsewhere is not None
    assert ("_streamlit_user_1" in browser.cookies) is long
    kept = Browser(door)
    kept.cookies = dict(browser.cookies)
    count = 0 if long else 3  # Streamlit takes no websocket with more than 8 KB in a header
    tabs = [browser.tab().open() for _ in range(count)]
    others = [elsewhere.tab().open() for _ in range(count)]
    browser.sign_out()
    for tab in tabs:
        wait_until_closed(tab)
    assert kept.get("/").status == 401 and kept.get("/media/x").status == 401
    with pytest.raises(InvalidMessage if long else InvalidStatus):
        kept.tab().open()
    value = kept.cookies["_streamlit_user"]
    for end in ("A", "B", "Q", "g", "w", "=", "!"):  # the last letter of a signature has bits that do not count
        kept.cookies["_streamlit_user"] = value[:-1] + end
        assert kept.get("/").status == 401
    assert elsewhere.get("/").status == 200  # the same person's sign-in in another browser goes on
    assert all("start" in tab.run().ids for tab in others)
    browser.sign_in()
    assert browser.get("/").status == 200


def test_what_was_ended_stays_ended_after_a_restart(
    serve: Start, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = with_secrets(tmp_path_factory.mktemp("again"), SECRETS.format(key=KEY, url=provider.url))
    first = serve("--users", "ana@example.org", root=root)
    gone, stays = signed_in(first, provider), signed_in(first, provider)
    kept = dict(gone.cookies)
    gone.sign_out()
    first.process.kill()
    first.process.wait(20)
    serve("--users", "ana@example.org", root=root, port=int(first.url.rpartition(":")[2]))
    gone.cookies = kept
    assert gone.get("/").status == 401 and stays.get("/").status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "document", "Referer": "http://evil.example/"},
        {"Sec_Fetch_Site": "same-site", "Sec_Fetch_Dest": "document"}, {"Sec_Fetch_Site": "none"}, {},
        {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Dest": "image"},
        {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Dest": "iframe"}, {"Sec_Fetch_Dest": "document"},
    ],
)
def test_no_other_page_signs_anybody_out(door: Server, provider: Provider, headers: dict[str, str]) -> None:
    browser = signed_in(door, provider)
    tab = browser.tab().open()
    other = signed_in(door, provider)
    (token,) = re.findall(rb'/auth/logout\?token=([0-9a-f]{64})"', other.get("/auth/logout").body)
    for query in ("", "?token=", "?token=%D0%B6", f"?token={token.decode()}"):
        answer = browser.get(f"/auth/logout{query}", **headers)
        assert answer.status == 200 and b"Do you want to sign out?" in answer.body
        assert "set-cookie" not in answer.headers and browser.get("/").status == 200
    assert "start" in tab.run().ids
    (link,) = re.findall(rb'href="([^"]+)"', answer.body)
    assert browser.get(link.decode()).status == 302  # of its own page, where the browser does not say whose it is
    assert browser.get("/").status == 401
    wait_until_closed(tab)


def test_who_is_not_signed_in_cannot_sign_out(door: Server) -> None:
    answer = ask(door.url, "/auth/logout", headers=[("Sec-Fetch-Site", "cross-site")])
    assert answer.status == 303 and answer.headers["location"] == "/" and "set-cookie" not in answer.headers


NEAR = (
    "{0}%3f", "{0}%23", "{0}%09", "{0}/", "{0}//", "/{0}", "{0};", "{0};x", "{0}%3b", "{0}%2f", "{0}%00", "{0}%20",
    "{0}.", "{0}/.", "{0}/..", "{0}/../", "/x/..{0}", "/.{0}", "/%2e{0}", "%2f{0}", "{0}%0a", "{0}%0d%0a", "{0}%3fa=b",
    "{0}%3F", "{0}%26", "{0}%25", "{0}%2525", "{0}%253f", "{0}\\", "{0}%5c", "{0}%80", "{0}%c3%28", "{0}%e2%80%8b",
    "{0}*", "{0}:80", "http://{1}{0}x", "http://{1}{0}%3f", "http://{1}{0}", "//{1}{0}", "http:{0}", "{0}\t", "{0}@",
    "http://evil.example{0}", "{0},", "{0}index.html", "{0}%u0041", "{0}#", "{0}#x",
)


def near_misses(path: str, host: str) -> Iterator[str]:
    """What looks like an open path and is none: appended, spelled in another way, every letter encoded or in the other
    case."""
    yield from (form.format(path, host) for form in NEAR)
    for place, letter in enumerate(path[1:], 1):
        yield f"{path[:place]}%{ord(letter):02x}{path[place + 1:]}"
        if letter.isalpha():
            yield path[:place] + letter.swapcase() + path[place + 1 :]


def raw_status(url: str, target: str) -> int:
    """The answer to a request line that no library would send."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), 20) as link:
        link.sendall(f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        return int(link.makefile("rb").readline().split()[1])


@pytest.mark.parametrize("path", ["/signin", *sorted(OPEN)])
def test_only_an_open_path_to_the_letter_is_open(door: Server, path: str) -> None:
    host = door.url.removeprefix("http://")
    passed = {target: raw_status(door.url, target) for target in near_misses(path, host)}
    assert {target: status for target, status in passed.items() if status not in (400, 401)} == {}
    assert raw_status(door.url, path) in (200, 302, 303) and raw_status(door.url, f"{path}?a=b") in (200, 302, 303)


@given(st.sampled_from(["/signin", *sorted(OPEN)]), st.text(max_size=4), st.text(max_size=4), st.booleans())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_nothing_else_is_open(door: Server, path: str, before: str, after: str, spelled: bool) -> None:
    text = f"{before}{path}{after}"
    target = "".join(f"%{byte:02X}" if spelled or byte in b" %?#" or not 32 < byte < 127 else chr(byte)
                     for byte in text.encode("utf-8", "replace"))
    target = target if target.startswith("/") else f"/{target}"
    if target != path:
        assert raw_status(door.url, target) in (400, 401), target


def cookie(claims: dict[str, object], key: str = KEY, name: str = "_streamlit_user") -> list[tuple[str, str]]:
    signed = URLSafeTimedSerializer(key, salt=name).dumps(json.dumps(claims))
    return [("Cookie", f"_streamlit_user={signed}")]


def test_a_cookie_must_be_signed_and_of_this_address(door: Server) -> None:
    good = {"origin": door.url, "is_logged_in": True, "email": "ana@example.org", "email_verified": True}
    assert ask(door.url, headers=cookie(good)).status == 200
    assert ask(door.url, headers=cookie(good, key="f" * 32)).status == 401
    assert ask(door.url, headers=cookie(good, name="_streamlit_xsrf")).status == 401
    assert ask(door.url, headers=cookie({**good, "origin": "https://elsewhere.example"})).status == 401
    assert ask(door.url, headers=cookie({**good, "is_logged_in": "yes"})).status == 403
    assert ask(door.url, headers=[("Cookie", "_streamlit_user=" + json.dumps(good))]).status == 401
    assert ask(door.url, headers=[("Cookie", "_streamlit_user=x.y.z; _streamlit_user_1=a")]).status == 401


def test_the_way_in_leads_to_a_provider_that_there_is(door: Server) -> None:
    for name in ("other", "", "../x", "default%0d%0aSet-Cookie:a=b"):
        answer = ask(door.url, f"/signin?provider={name}")
        assert answer.status == 303 and answer.headers["location"] == "/"
    page = ask(door.url, headers=[("Accept-Language", "ja, en;q=0.5")])
    assert "サインイン".encode() in page.body and f'href="{door.url}/signin?provider=default"'.encode() in page.body


def test_behind_a_proxy_the_way_in_lies_below_its_path(
    serve: Start, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The public address is that of redirect_uri; nobody has to say it twice."""
    text = SECRETS.format(key=KEY, url=provider.url).replace("http://127.0.0.1:{port}", "https://box.example/lf")
    behind = serve(root=with_secrets(tmp_path_factory.mktemp("behind"), text), path="/lf")
    answer = ask(behind.url, "/data", host="box.example")
    assert answer.status == 401 and b'href="https://box.example/lf/signin?provider=default"' in answer.body
    start = ask(behind.url, "/signin?provider=default", host="box.example")
    assert start.status == 303 and start.headers["location"].startswith("/lf/auth/login?provider=")
    good = {"origin": "https://box.example", "is_logged_in": True, "email": "ana@example.org", "email_verified": True}
    assert ask(behind.url, "/data", headers=cookie(good), host="box.example").status == 200
    assert ask(behind.url, "/media/x", headers=cookie(good), host="box.example").status == 404


def test_the_gate_stands_in_front_of_the_door(door: Server) -> None:
    assert ask(door.url, host="evil.example").status == 403
    assert ask(door.url, headers=[("Origin", "https://evil.example")]).status == 403


def test_nothing_of_the_sign_in_is_printed(door: Server) -> None:
    said = "".join(door.said)
    assert KEY not in said and "client-secret-0123456789" not in said


GOOD = SECRETS.format(key=KEY, url="https://idp.example")


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        ("[auth\nbroken", (), "TOML"), (GOOD.replace(KEY, "short"), (), "cookie_secret"),
        (GOOD, ("--public-url", "https://box.example"), "redirect_uri"),
    ],
)
def test_a_sign_in_that_is_not_whole_serves_nobody(
    tmp_path: Path, text: str, words: tuple[str, ...], says: str
) -> None:
    """Also on loopback: whoever wrote [auth] does not want to be open. More of them: tests/access/test_sign_in.py."""
    with_secrets(tmp_path, text)
    said = refused(*words, cwd=tmp_path)
    assert says in said and KEY not in said and "client-secret" not in said
