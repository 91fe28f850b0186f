"""Signing in and out in a browser, with a provider of ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, expect

from tests.security.conftest import Server, stand_in, start_server
from tests.security.provider import Provider
from tests.security.test_signin import KEY, SECRETS, with_secrets

pytestmark = pytest.mark.e2e


@pytest.fixture
def provider() -> Iterator[Provider]:
    found = Provider()
    yield found
    found.close()


EVIL = b"""<!DOCTYPE html><a id="a">a prize</a><p id="done"></p><script>
const there = location.search.slice(1); a.href = there;
const image = new Image(), frame = document.createElement("iframe"), ended = [];
for (const part of [image, frame]) ended.push(new Promise(end => part.onload = part.onerror = end));
image.src = frame.src = there; document.body.append(image, frame);
ended.push(fetch(there, {mode: "no-cors", credentials: "include"}).catch(() => 0));
Promise.all(ended).then(() => done.textContent = "done");
</script>"""


@pytest.fixture
def other_site() -> Iterator[str]:
    """A page of another site (localhost is another than 127.0.0.1) that tries what a page can."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(EVIL)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def door(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("door")
    root = with_secrets(folder, SECRETS.format(key=KEY, url=provider.url))
    server = start_server(root, "--users", "ana@example.org", env={"LFDASH_CLI": stand_in(folder)})
    yield server
    server.process.terminate()
    server.process.wait(20)


def test_in_and_out_again(browser: Browser, door: Server, provider: Provider) -> None:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if "Content Security" in message.text else None)
    page.goto(f"{door.url}/data")
    expect(page.get_by_text("Please sign in first")).to_be_visible()
    assert page.locator("[data-testid=stApp]").count() == 0

    provider.claims = {"email": "eve@example.org", "email_verified": True}
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_text("eve@example.org, but this account is not on the dashboard's list")).to_be_visible()
    page.get_by_role("link", name="Sign out").click()
    expect(page.get_by_text("Please sign in first")).to_be_visible()

    provider.claims = {"email": "ana@example.org", "email_verified": True}
    page.get_by_role("link", name="Sign in").click()
    page.wait_for_selector(".st-key-start button", timeout=60_000)
    expect(page.locator(".lf-who")).to_have_text("ana@example.org")
    second = context.new_page()  # the other tabs of this browser come in, too
    second.goto(f"{door.url}/arguments")
    expect(second.locator(".lf-who")).to_have_text("ana@example.org", timeout=60_000)
    kept = context.cookies()
    page.click(".st-key-sign_out button")
    expect(page.get_by_text("Please sign in first")).to_be_visible()
    expect(second.get_by_text("Connection error")).to_be_visible()  # its websocket was closed
    assert errors == []
    copy = browser.new_context(locale="en-US")
    copy.add_cookies(kept)
    again = copy.new_page()
    again.goto(door.url)
    expect(again.get_by_text("Please sign in first")).to_be_visible()
    copy.close()
    context.close()


def test_another_site_signs_nobody_out(browser: Browser, door: Server, provider: Provider, other_site: str) -> None:
    provider.claims = {"email": "ana@example.org", "email_verified": True}
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.goto(door.url)
    page.get_by_role("link", name="Sign in").click()
    page.wait_for_selector(".st-key-start button", timeout=60_000)
    evil = context.new_page()
    asked: list[str] = []
    context.on("response", lambda answer: asked.append(f"{answer.status} {answer.request.resource_type}"))
    evil.goto(f"{other_site}?{door.url}/auth/logout")
    expect(evil.locator("#done")).to_have_text("done")
    evil.get_by_role("link", name="a prize").click()
    expect(evil.get_by_text("Do you want to sign out?")).to_be_visible()
    assert len([word for word in asked if word.endswith(("image", "document", "fetch"))]) >= 3, asked
    page.reload()
    expect(page.locator(".lf-who")).to_have_text("ana@example.org", timeout=60_000)
    evil.get_by_role("link", name="Sign out").click()  # that was asked, and said
    expect(evil.get_by_text("Please sign in first")).to_be_visible()
    context.close()
