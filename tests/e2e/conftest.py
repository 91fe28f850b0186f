"""A real server on loopback, and a real Chromium that drives it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, TimeoutError, expect, sync_playwright

from lfdash.runs.paths import RunPaths, marker
from lfdash.supervisor.processes import marked, send
from lfdash.ui.launch.actions import SECOND_CLICK_S
from tests.support.server import Server, start_server

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
PICTURES = os.environ.get("LFDASH_PICTURES")  # a folder that gets a picture of each stage of some tests
# Two cores are shared with the trainings that the tests start: a page may take its time.
expect.set_options(timeout=20_000)


# The files that take longest begin, so that no worker waits at the end for the other's.
LONGEST_FIRST = ("test_sweep", "test_after", "test_chat", "test_runs", "test_train", "test_configurations")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sorts the tests of this folder for `make e2e`, which gives whole files to two workers."""
    order = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pick_option(page: Page, box: Locator, words: str, *, search: bool = False) -> None:
    """Opens a box and clicks the option with these words; search: types them first. Streamlit closes a list when the
    page is drawn anew: then it is opened again, as a person would."""
    option = page.get_by_role("option").filter(has_text=words).first
    for _ in range(8):
        box.click()
        if search:
            box.fill(words)
        try:
            option.click(timeout=4_000)
            drawn(page)  # what is typed while the box is drawn anew is lost
            return
        except TimeoutError:
            page.keyboard.press("Escape")
    raise AssertionError(f"no option {words!r}")


def drawn(page: Page) -> None:
    """Waits until what was just clicked or typed is drawn to its end: widgets that make room for new ones are gone."""
    page.wait_for_timeout(200)  # the event is sent, and the run of the page begins
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    page.wait_for_function("() => !document.querySelector('[data-stale=true]')")


def picture(page: Page, name: str, sizes: int = 3) -> None:
    """Keeps how the page looks, where somebody wants to see it: three widths, light and dark."""
    if not PICTURES:
        return
    before = page.viewport_size
    for width, height in ((1440, 900), (1280, 720), (800, 900))[:sizes]:
        page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            drawn(page)
            page.screenshot(path=f"{PICTURES}/{name}-{width}-{scheme}.png")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(before)


def no_double_click(page: Page) -> None:
    """Waits until a click on Start is no second half of a double click on it any more: there is nothing to be seen."""
    page.wait_for_timeout(1000 * SECOND_CLICK_S + 100)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.fail("Chromium is missing; on Debian: apt-get install -y chromium")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def server(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on a copy of the demo workspace without runs."""
    with serving(demo_workspace, tmp_path_factory.mktemp("e2e") / "workspace") as running:
        yield running


@contextmanager
def serving(demo: Path, workspace: Path, **env: str) -> Iterator[Server]:
    """A server on a copy of the demo workspace without runs, which it makes. env: what is set for it besides."""
    for part in ("data", "models", ".lfdash"):
        shutil.copytree(demo / part, workspace / part)
    running = start_server(workspace, env=env)
    try:
        yield running
    finally:
        running.process.terminate()
        running.process.wait(20)
        end_runs(workspace)


def end_runs(workspace: Path) -> None:
    """Ends what a failed test left running: runs survive their dashboard."""
    signal_trainers(workspace, signal.SIGKILL)


def signal_trainers(workspace: Path, number: int) -> None:
    """Sends a signal to all processes of LLaMA-Factory that runs of the workspace started; not to what watches them."""
    for attempt in workspace.glob("saves/*/*/*/attempts/*"):
        if attempt.name.isdigit():
            paths = RunPaths(attempt.parents[1])
            send(marked(marker(paths, int(attempt.name))), number)


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A fresh tab at 1440x900 on the dashboard, usable."""
    for draft in (server.workspace / ".lfdash").glob("draft-*.json"):  # of the test before
        draft.unlink()
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    tab = context.new_page()
    tab.goto(server.url)
    tab.wait_for_selector(".st-key-start button:enabled", timeout=60_000)
    yield tab
    context.close()
