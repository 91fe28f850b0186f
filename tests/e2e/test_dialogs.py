"""A dialog that somebody reads stays open, whatever happens to runs meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from lfdash.demo.__main__ import make_data
from tests.cli.conftest import speak
from tests.e2e.conftest import Server, drawn, start_server
from tests.support.models import pretend_model
from tests.support.runs import fake_cli
from tests.support.terminal import DEMO, end_runs, lfdash

pytestmark = pytest.mark.e2e
STATE = ".st-key-strip .lf-state"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A dashboard with a run that goes on until it is stopped."""
    speak(monkeypatch, tmp_path)
    monkeypatch.setenv("FAKE_ARGS", '{"steps": 600, "delay": 1}')
    make_data(tmp_path / "ws" / "data")
    pretend_model(tmp_path / "ws")
    assert lfdash("start", DEMO, "--set", "output_dir=saves/demo-llama/lora/live").code == 0
    found = start_server(tmp_path / "ws", env={"LFDASH_CLI": fake_cli(tmp_path)})
    yield found
    found.end()
    end_runs(tmp_path / "ws")


@pytest.fixture
def page(browser: Browser, served: Server) -> Iterator[Page]:
    """A tab that shows the run."""
    tab: Page = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US").new_page()
    tab.goto(served.url)
    expect(tab.locator(f'{STATE}[data-state="RUNNING"]')).to_be_visible(timeout=60_000)
    drawn(tab)
    yield tab
    tab.context.close()


@pytest.mark.parametrize("opener", ["targets_open", "sweep", "alerts_open"])
def test_a_closed_dialog_leaves_the_buttons_of_a_run_that_has_ended_meanwhile(page: Page, opener: str) -> None:
    expect(page.locator(".st-key-stop button").first).to_be_visible()
    page.click(f".st-key-{opener} button")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    drawn(page)
    assert lfdash("stop", "live").code == 0
    expect(page.locator(f'{STATE}[data-state="STOPPED"]')).to_be_attached(timeout=60_000)
    drawn(page)
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator(".st-key-stop")).to_have_count(0)
    expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_the_preview_stays_open_when_a_run_ends(page: Page) -> None:
    page.click(".st-key-preview button")
    preview = page.get_by_role("dialog")
    expect(preview.get_by_text("Command").first).to_be_visible()
    page.evaluate("document.querySelector('[role=dialog]').here = true")
    assert lfdash("stop", "live").code == 0
    expect(page.locator(f'{STATE}[data-state="STOPPED"]')).to_be_attached(timeout=60_000)
    drawn(page)
    expect(preview.get_by_text("Command").first).to_be_visible()
    assert page.evaluate("document.querySelector('[role=dialog]').here") is True  # the same one: it has not flickered
    page.keyboard.press("Escape")
    expect(preview).to_have_count(0)
    page.locator(".st-key-curves-tab, .st-key-head").first.click()
    drawn(page)
    expect(preview).to_have_count(0)
    expect(page.locator(".st-key-stop")).to_have_count(0)
