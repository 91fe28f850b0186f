"""Without a mouse, and without eyes: axe's rules on every page, the way of the Tab key, what is read aloud."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Server
from tests.support.many import add_run

pytestmark = pytest.mark.e2e
PAGES = ("", "runs", "evaluate", "export", "data", "arguments")
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
MOST_TABS = 45  # from the top of the page to Start, with the demo's preset; a skip link and Ctrl+Enter are shorter


@pytest.fixture(params=["light", "dark"])
def tab(request: pytest.FixtureRequest, browser: Browser, server: Server) -> Iterator[Page]:
    """A tab of a workspace with a run that is over."""
    if not (server.workspace / "saves/demo-llama/lora/over").exists():
        add_run(server.workspace, "over").console.write_text("the end\n")
    context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme=request.param)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_no_rule_of_axe_is_broken(tab: Page, server: Server, path: str) -> None:
    tab.goto(f"{server.url}/{path}")
    tab.wait_for_selector("h1.lf-spoken", state="attached", timeout=60_000)
    tab.wait_for_selector(IDLE)
    if path == "":
        expect(tab.locator(".lf-name")).to_have_text("over")
        expect(tab.locator(".st-key-console")).to_have_attribute("tabindex", "0")
    found = Axe().run(tab)
    told = [f"{item['id']}: {item['nodes'][0]['html'][:200]}" for item in found.response["violations"]]
    assert told == []


def test_the_tab_key_comes_to_start(tab: Page, server: Server) -> None:
    tab.goto(server.url)
    tab.wait_for_selector(".st-key-start button:enabled", timeout=60_000)
    tab.wait_for_selector(IDLE)
    names = []
    while len(names) < MOST_TABS:
        tab.keyboard.press("Tab")
        names.append(tab.evaluate("document.activeElement.getAttribute('aria-label') || ''"))
        if tab.evaluate("Boolean(document.activeElement.closest('.st-key-start'))"):
            break
    else:
        raise AssertionError(f"Start is not among the first {MOST_TABS}: {names}")
    assert not [name for name in names if name.startswith(("Help for", "Clear"))]


def test_the_state_of_the_run_is_there_to_be_read_aloud(tab: Page, server: Server) -> None:
    tab.goto(server.url)
    expect(tab.get_by_role("status").filter(has_text="over: FINISHED")).to_be_attached(timeout=60_000)
    expect(tab.get_by_role("progressbar", name="Progress")).to_have_attribute("aria-valuenow", "100")
    expect(tab.get_by_role("heading", level=1)).to_have_text("lfdash · Train")
    expect(tab.get_by_role("heading", level=2)).to_have_text("over")


def test_what_streamlit_says_in_english_is_said_in_the_pages_language(browser: Browser, server: Server) -> None:
    context = browser.new_context(locale="ru-RU")
    tab = context.new_page()
    tab.goto(server.url)
    box = tab.locator(".st-key-train-dataset input:visible")
    box.click(timeout=60_000)
    box.press_sequentially("zzzz")
    expect(tab.get_by_role("option")).to_have_text("Добавить: zzzz")
    tab.keyboard.press("Escape")
    for name in ("Справка: Датасеты", "Список вариантов: Датасеты"):
        expect(tab.locator(f'.st-key-train-dataset [aria-label="{name}"]')).to_be_attached()
    context.close()
