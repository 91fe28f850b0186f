"""The README's recipe for nginx, run as it stands there: only ports, files and TLS are changed."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from tests.security.browser import Tab, ask, multipart
from tests.security.conftest import ROOT, Server, Start, free_port
from tests.support.runs import wait_for

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
ANA = [("Authorization", "Basic " + base64.b64encode(b"ana:right").decode())]
EVE = [("Authorization", "Basic " + base64.b64encode(b"ana:wrong").decode())]

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: apt-get install nginx-light)")


def recipe(folder: Path, port: int, upstream: str, path: str) -> str:
    """The README's configuration for a test: without TLS, unprivileged, in a folder."""
    (text,) = re.findall(r"```nginx\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    changes = {
        "listen 443 ssl;": f"listen 127.0.0.1:{port};", "/etc/nginx/lfdash.htpasswd": str(folder / "htpasswd"),
        "http://127.0.0.1:8501": upstream, "location / {": f"location {path}/ {{",
    }
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    text = re.sub(r"\n *ssl_certificate.*", "", text)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "" if os.geteuid() else "user root;"  # else its workers could not read this folder
    head = f"{user} pid {folder}/pid; error_log {folder}/error.log; events {{}}"
    return f"{head} http {{ access_log off; {temporary}\n{text}\n}}"


@pytest.fixture(scope="module", params=["", "/lfdash"], ids=["at the root", "below a path"])
def proxied(request: pytest.FixtureRequest, serve: Start, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server behind nginx; `url` is the proxy's."""
    folder, port, path = tmp_path_factory.mktemp("nginx"), free_port(), request.param
    behind = serve("--public-url", f"http://box.example:{port}{path}", path=path)
    (folder / "htpasswd").write_text("ana:{PLAIN}right\n")
    (folder / "nginx.conf").write_text(recipe(folder, port, behind.url.removesuffix(path), path))
    proxy = subprocess.Popen([str(NGINX), "-c", folder / "nginx.conf", "-p", folder, "-g", "daemon off;"])
    url = f"http://127.0.0.1:{port}{path}"
    wait_for(lambda: proxy.poll() is not None or up(url))
    assert proxy.poll() is None, (folder / "error.log").read_text()
    yield Server(behind.process, url, behind.workspace)
    proxy.terminate()
    proxy.wait(10)


def up(url: str) -> bool:
    try:
        return ask(url, "/_stcore/health").status == 401
    except OSError:
        return False


def host(server: Server) -> str:
    """The public host and port."""
    return server.url.split("/")[2].replace("127.0.0.1", "box.example")


def test_the_proxy_asks_who_comes(proxied: Server) -> None:
    for path in ("/", "/data", "/_stcore/health", "/media/x"):
        assert ask(proxied.url, path, host=host(proxied)).status == 401
        assert ask(proxied.url, path, headers=EVE, host=host(proxied)).status == 401
    with pytest.raises(InvalidStatus) as refused:
        Tab(proxied.url, f"http://{host(proxied)}", host(proxied)).open()
    assert refused.value.response.status_code == 401


def test_the_page_works_through_it(proxied: Server) -> None:
    assert b"static/js" in ask(proxied.url, "/", headers=ANA, host=host(proxied)).body
    tab = Tab(proxied.url, f"http://{host(proxied)}", host(proxied), dict(ANA)).open()
    assert "start" in tab.ids
    assert tab.run(page__filter="hf_token").shows("top.hf_token")
    tab.close()


def test_host_and_origin_are_checked_behind_it(proxied: Server) -> None:
    assert ask(proxied.url, "/", headers=ANA, host="evil.example").status == 403
    for origin in ("http://evil.example", "http://localhost:9999", f"https://{host(proxied)}"):
        with pytest.raises(InvalidStatus) as refused:
            Tab(proxied.url, origin, host(proxied), dict(ANA)).open()
        assert refused.value.response.status_code == 403


def test_uploads_and_their_limit_pass_through_it(proxied: Server) -> None:
    headers, body = multipart("job.yaml", b"#" * (26 * 1024 * 1024))
    put = ask(proxied.url, "/_stcore/upload_file/s/f", "PUT", [*headers, *ANA], body, host(proxied))
    assert put.status == 413  # nginx's own
    headers, body = multipart("job.yaml", b"a: 1")
    put = ask(proxied.url, "/_stcore/upload_file/s/f", "PUT", [*headers, *ANA], body, host(proxied))
    assert put.status == 403 and b"XSRF" in put.body
