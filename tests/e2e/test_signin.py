"""Signing in and out in a browser, with a provider of ours."""

from __future__ import annotations

from collections.abc import Iterator

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
    expect(page.get_by_text("please say who you are")).to_be_visible()
    assert page.locator("[data-testid=stApp]").count() == 0

    provider.claims = {"email": "eve@example.org", "email_verified": True}
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_text("eve@example.org, who is not on this dashboard's list")).to_be_visible()
    page.get_by_role("link", name="Sign out").click()
    expect(page.get_by_text("please say who you are")).to_be_visible()

    provider.claims = {"email": "ana@example.org", "email_verified": True}
    page.get_by_role("link", name="Sign in").click()
    page.wait_for_selector(".st-key-start button", timeout=60_000)
    expect(page.locator(".lf-who")).to_have_text("ana@example.org")
    second = context.new_page()  # the other tabs of this browser come in, too
    second.goto(f"{door.url}/arguments")
    expect(second.locator(".lf-who")).to_have_text("ana@example.org", timeout=60_000)
    page.click(".st-key-sign_out button")
    expect(page.get_by_text("please say who you are")).to_be_visible()
    assert errors == []
    context.close()
