"""A part of our own JavaScript in Chromium, on a server that `streamlit run` started."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.support import PROGRAMS, ROOT
from tests.support.server import serve

pytestmark = pytest.mark.e2e


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "server.address": "127.0.0.1", "server.port": port, "server.headless": "true",
        "browser.gatherUsageStats": "false",
    }
    words = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "streamlit", "run", str(PROGRAMS / "browser_part/app.py"), *words]
    server = serve(command, ROOT, {**os.environ, "PYTHONPATH": str(ROOT)}, tmp_path)
    yield server.url
    server.end()


def test_its_files_come_once_and_it_is_updated_in_place(browser: Browser, address: str) -> None:
    page = browser.new_page()
    files: list[str] = []
    page.on("request", lambda request: files.append(request.url.rsplit("/", 1)[1]) if "bidi" in request.url else None)
    page.goto(address)
    button = page.locator("button", has_text="n = ")
    expect(button).to_have_text("n = 3")
    button.click()
    expect(page.get_by_text("asked 7")).to_be_visible()
    assert files == ["counter.js", "counter_words.js"]
    assert page.evaluate("window.made") == 1
    page.close()
