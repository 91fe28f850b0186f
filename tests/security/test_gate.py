"""Who gets in: addresses, host names and origins, against the real server with raw requests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.security.browser import Tab, ask
from tests.security.conftest import ROOT, Server, Start

# every route that Streamlit has, and the two that would serve files
ROUTES = (
    "/", "/data", "/_stcore/health", "/_stcore/host-config", "/_stcore/metrics", "/_stcore/agent/openapi.json",
    "/media/0.txt", "/component/x/index.html", "/static/js/nothing.js", "/auth/login", "/auth/logout",
    "/oauth2callback", "/app/static/x",
)
STRANGERS = ("evil.example", "evil.example:8501", "localhost.evil.example", "127.0.0.1.evil.example", "10.1.2.3")
ODD = ("a b", "localhost@evil.example", "localhost/x", "localhost:99999", "localhost:x", "127.1", "0x7f000001", "")


def listening(pid: int) -> set[str]:
    """The addresses on which a process listens, as /proc has them."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # closed between the two looks
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{name}"))
            inodes |= {found[1]} if found else set()
    found_at = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}", encoding="ascii") as file:
            rows = [line.split() for line in file][1:]
        found_at |= {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in inodes}
    return found_at


def test_it_listens_on_loopback_and_nowhere_else(server: Server) -> None:
    assert listening(server.process.pid) == {"0100007F"}


@pytest.mark.parametrize("path", ROUTES)
def test_every_route_wants_its_own_host(server: Server, path: str) -> None:
    assert ask(server.url, path).status != 403
    assert ask(server.url, path, host="localhost:8501").status != 403
    for host in STRANGERS:
        assert ask(server.url, path, host=host).status == 403, host


@pytest.mark.parametrize("host", ODD)
def test_a_host_that_is_none_is_refused(server: Server, host: str) -> None:
    assert ask(server.url, host=host).status in (400, 403)
    twice = ask(server.url, headers=[("Host", "evil.example")])
    assert twice.status in (400, 403)


@pytest.mark.parametrize("path", ROUTES)
def test_every_route_wants_its_own_origin(server: Server, path: str) -> None:
    assert ask(server.url, path, headers=[("Origin", server.url)]).status != 403
    for origin in ("http://localhost:9999", "http://127.0.0.1:1", "https://evil.example", "null", "file://", ""):
        got = ask(server.url, path, headers=[("Origin", origin)])
        assert got.status == 403, origin
        assert "access-control-allow-origin" not in got.headers


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "POST"])
def test_no_method_goes_round_the_gate(server: Server, method: str) -> None:
    for path in ("/_stcore/upload_file/s/f", "/_stcore/agent/interact"):
        assert ask(server.url, path, method, host="evil.example").status == 403
        assert ask(server.url, path, method, [("Origin", "http://localhost:9999")]).status == 403


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:9999", ""), ("http://127.0.0.1:9999", ""), ("https://evil.example", ""),
        ("null", ""), (None, ""), ("http://evil.example", "evil.example"),
        ("http://evil.example:8501", "evil.example:8501"), ("http://127.0.0.1", ""),
    ],
)
def test_a_websocket_of_another_page_is_refused(server: Server, origin: str | None, host: str) -> None:
    """Other localhost ports, other sites, rebound names, and clients that say nothing."""
    with pytest.raises(InvalidStatus) as refused:
        Tab(server.url, origin, host).open()
    assert refused.value.response.status_code == 403


def test_a_websocket_of_the_page_itself_is_served(server: Server) -> None:
    tab = Tab(server.url).open()
    assert tab.shows("lfdash") and "start" in tab.ids
    tab.close()
    port = server.url.rpartition(":")[2]
    tab = Tab(f"http://localhost:{port}").open()
    assert "start" in tab.ids
    tab.close()


def test_a_tunnel_may_have_another_port(server: Server) -> None:
    """`ssh -L 9000:127.0.0.1:8501`: the browser says port 9000 in both headers."""
    Tab(server.url, "http://localhost:9000", "localhost:9000").open().close()


def test_no_other_page_may_frame_it_or_read_it(server: Server) -> None:
    for path in ("/", "/data", "/_stcore/health", "/media/0.txt"):
        headers = ask(server.url, path).headers
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert "frame-ancestors 'self'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"


def test_the_interface_for_programs_is_off_whatever_a_folder_says(server: Server) -> None:
    headers = [("Content-Type", "application/json"), ("Origin", server.url)]
    for path in ("/_stcore/agent/interact", "/_stcore/agent/mcp"):
        answer = ask(server.url, path, "POST", headers, b"{}")
        assert answer.status in (400, 403) and b"does not serve the agent API" in answer.body
    put = ask(server.url, "/_stcore/upload_file/s/f", "PUT", body=b"x")
    assert put.status == 403 and b"XSRF" in put.body


def refused(*words: str, env: dict[str, str] | None = None, cwd: Path = Path("/")) -> str:
    """What a start says that must not be."""
    done = subprocess.run(
        [sys.executable, "-m", "lfdash", "--port", "8799", *words], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}, cwd=cwd,
    )
    assert done.returncode == 1 and not done.stdout
    return done.stderr


def test_a_public_address_without_sign_in_is_refused() -> None:
    said = refused("--host", "0.0.0.0")
    assert "--allow-anyone" in said and "SSH tunnel" in said and "secrets.toml" in said
    assert "Traceback" not in said
    assert "--allow-anyone" in refused(env={"LFDASH_HOST": "::"})


def plain(serve: Start, *words: str) -> Server:
    """The page as `streamlit run` serves it: without our entry, so without its gate."""
    return serve(*words, module=("streamlit", "run", str(ROOT / "app.py"), "--server.headless", "true"))


def test_started_by_streamlit_itself_only_this_machine_is_served(serve: Start) -> None:
    server = plain(serve, "--server.address", "127.0.0.1")
    assert "start" in Tab(server.url).open().ids
    other = Tab(server.url, "http://localhost:9999").open()  # Streamlit takes it
    assert "start" not in other.ids and other.shows("streamlit run")
    public = plain(serve, "--server.address", "0.0.0.0")
    tab = Tab(public.url).open()
    assert "start" not in tab.ids and tab.shows("python -m lfdash")


def test_everybody_is_served_only_when_that_is_said(serve: Start) -> None:
    public = serve("--host", "0.0.0.0", "--allow-anyone")
    assert "00000000" in listening(public.process.pid)
    assert any("can start programs on this machine" in line for line in public.said)
    assert ask(public.url, host="192.168.7.7:8501").status == 200  # an address cannot be rebound
    assert ask(public.url, host="evil.example").status == 403
    with pytest.raises(InvalidStatus):
        Tab(public.url, "http://192.168.7.7:9", "192.168.7.7:8501").open()


def test_behind_a_proxy_the_public_name_is_known(behind: Server) -> None:
    """Whether the proxy passes the host on or puts its own there."""
    assert ask(behind.url, host="box.example").status == 200
    assert ask(behind.url, host="evil.example").status == 403
    Tab(behind.url, "https://box.example", "box.example").open().close()
    Tab(behind.url, "https://box.example").open().close()
    for origin in ("http://box.example", "https://box.example:444", "https://evil.example"):
        with pytest.raises(InvalidStatus):
            Tab(behind.url, origin, "box.example").open()
    cookies = ask(behind.url, "/_stcore/health").headers["set-cookie"]
    assert cookies.endswith("; Secure")
