"""With a sign-in nothing is served to strangers, against the real server and a real OpenID Connect exchange."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from itsdangerous import URLSafeTimedSerializer
from websockets.exceptions import InvalidStatus

from tests.security.browser import Answer, Tab, ask
from tests.security.conftest import Server, Start, make_workspace
from tests.security.provider import Provider
from tests.security.test_gate import ROUTES, listening, refused

KEY = "0123456789abcdef0123456789abcdef"  # of the cookies
OPEN = {"/_stcore/health", "/auth/login", "/auth/logout", "/oauth2callback"}
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
    return serve("--host", "0.0.0.0", "--users", "Ana@Example.org, @lab.example", root=root)


class Browser:
    """Keeps cookies and follows the way of a sign-in."""

    def __init__(self, server: Server) -> None:
        self.url = server.url
        self.cookies: dict[str, str] = {}

    @property
    def header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def get(self, path: str) -> Answer:
        answer = ask(self.url, path, headers=[("Cookie", self.header), ("Accept", "text/html")])
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


def test_with_a_sign_in_a_public_address_may_be_served(door: Server) -> None:
    assert "00000000" in listening(door.process.pid)
    assert any("ana@example.org, @lab.example" in line for line in door.said)


@pytest.mark.parametrize("path", [*ROUTES, "/evaluate", "/export", "/arguments", "/x/../", "//", "/_stcore/stream"])
def test_a_stranger_gets_nothing(door: Server, path: str) -> None:
    answer = ask(door.url, path)
    if path in OPEN:
        assert answer.status in (200, 302, 307)
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
    browser.get("/auth/logout")
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
    ],
)
def test_who_is_not_on_the_list_stays_out(
    door: Server, provider: Provider, claims: dict[str, object], status: int
) -> None:
    browser = signed_in(door, provider, **claims)
    answer = browser.get("/")
    assert answer.status == status
    if status == 403:
        assert b"Sign out" in answer.body and b"list" in answer.body
        with pytest.raises(InvalidStatus):
            browser.tab().open()


def test_a_token_of_somebody_else_is_not_believed(door: Server, provider: Provider) -> None:
    provider.forge = True
    try:
        browser = signed_in(door, provider)
    finally:
        provider.forge = False
    assert browser.get("/").status == 401


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
