"""The real server, in Chromium and with many tabs: reloads, cleared caches, two servers, kills at a real click."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from lfdash.queue.store import QueueSettings
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView
from lfdash.supervisor.failpoints import VARIABLE
from tests.e2e.conftest import Server, browser, start_server  # noqa: F401  (browser is a fixture)
from tests.faults.runs import alive, becomes, new, seen, starts
from tests.faults.table import LONG, Row, fault
from tests.faults.tabs import Tab
from tests.support.runs import fake_cli, wait_for

MINUTE = 60_000  # ms


@dataclass
class Site:
    """A workspace with the demo's data, the stand-in CLI, and the servers that a test opens on it."""

    workspace: Path
    cli: str
    servers: list[Server]

    def serve(self, port: int, run: dict[str, object] | None = None, points: str = "") -> Server:
        """A real dashboard; what its runs do, and where it is to fail."""
        env = {"LFDASH_CLI": self.cli, "FAKE_ARGS": json.dumps({k: str(v) for k, v in (run or {}).items()})}
        server = start_server(self.workspace, port, {**env, VARIABLE: points})
        self.servers.append(server)
        return server

    def runs(self) -> list[RunView]:
        registry = new(self.workspace)
        registry.refresh()
        return list(registry.snapshot())

    def only(self) -> RunView:
        """The only run there is."""
        (view,) = self.runs()
        return view


@pytest.fixture
def site(demo_workspace: Path, workspace: Path) -> Iterator[Site]:
    for part in ("data", "models", ".lfdash"):
        shutil.copytree(demo_workspace / part, workspace / part)
    found = Site(workspace, fake_cli(workspace.parent), [])
    yield found
    for server in found.servers:
        server.process.kill()
        server.process.wait(20)


def visit(browser: Browser, server: Server) -> Page:  # noqa: F811
    """A fresh tab with the demo's preset chosen, ready to start."""
    tab = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    tab.goto(server.url)
    ready(tab)
    box = tab.locator(".st-key-page-preset_pick input")
    box.click()
    box.fill("Demo")
    tab.get_by_role("option").filter(has_text="Demo").first.click()
    expect(tab.locator(".st-key-top-model_path input")).to_have_value(re.compile("^models/demo-llama"))
    return tab


def ready(tab: Page) -> None:
    tab.wait_for_selector(".st-key-start button:enabled", timeout=MINUTE)


def wait_state(tab: Page, state: str) -> None:
    tab.wait_for_selector(f'.st-key-strip .lf-state[data-state="{state}"]', timeout=MINUTE)


@fault(
    "page reloaded between click and launch", how="Chromium: Start, the launch paused by failpoint, F5, Start again",
    expected="one run, started once, shown after the reload",
)
def test_a_reload_after_the_click(site: Site, browser: Browser, row: Row, tmp_path: Path) -> None:  # noqa: F811
    pause = tmp_path / "pause"
    server = site.serve(8820, {"steps": 2000, "delay": 0.02}, f"launch.locked=pause:{pause}")
    tab = visit(browser, server)
    tab.click(".st-key-start button")
    wait_for(pause.exists)
    tab.reload()
    ready(tab)
    tab.click(".st-key-start button")  # while the first click is still on its way
    pause.unlink()
    wait_for(lambda: site.runs())
    end = time.monotonic() + 15
    while time.monotonic() < end and len(site.runs()) == 1:  # the second click comes to its turn
        if pause.exists():
            pause.unlink()
            break
        time.sleep(0.05)
    wait_state(tab, "RUNNING")
    view = site.only()
    assert (starts(view.paths), alive(view.paths)) == (1, 1)
    row.note("one run, started once, RUNNING after the reload")


@pytest.mark.parametrize("apart", [0, 400], ids=["a double click", "400 ms apart"])
@fault(
    "Start and Resume are clicked twice", how="Chromium, with eight slots free; the second click meets the page as the "
    "first one has left it", expected="one run; one attempt more",
)
def test_two_clicks(site: Site, browser: Browser, row: Row, apart: int) -> None:  # noqa: F811
    server = site.serve(8826 if apart else 8827, {"steps": 3, "fail": "exit:3", "load": 1})
    new(site.workspace).queue.set_settings(QueueSettings(slots=8))
    tab = visit(browser, server)
    twice(tab, ".st-key-start button", apart)
    wait_state(tab, "FAILED")
    view = site.only()
    assert (view.attempt, starts(view.paths)) == (1, 1)
    (view.paths.root / "checkpoint-2").mkdir()
    menu = tab.locator("[class*=st-key-resume_menu_after] button:enabled")

    def offered() -> int:
        tab.reload()
        wait_state(tab, "FAILED")
        return menu.count()

    wait_for(offered)  # until a look has seen the checkpoint
    menu.first.click()
    twice(tab, ".st-key-resume_after button", apart)
    wait_for(lambda: starts(view.paths) == 2)
    wait_state(tab, "FAILED")
    assert (site.only().attempt, starts(view.paths), view.paths.made_attempts()) == (2, 2, [1, 2])
    row.note("one run, two attempts")


def twice(tab: Page, button: str, apart: int) -> None:
    """Clicks where a button is, twice; it may be gone by the second time."""
    tab.wait_for_selector(button)
    box = tab.locator(button).first.bounding_box()
    assert box is not None
    at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    if not apart:
        tab.mouse.dblclick(*at)
        return
    tab.mouse.click(*at)
    tab.wait_for_timeout(apart)  # the time between two clicks of a person
    tab.mouse.click(*at)


@fault(
    "cache cleared during a run", how="key C in Chromium; its message sent from another tab",
    expected="the run is listed, followed and stopped as before; one registry",
)
def test_the_cache_is_cleared(site: Site, browser: Browser, row: Row) -> None:  # noqa: F811
    server = site.serve(8822, {"steps": 5000, "delay": 0.02})
    tab = visit(browser, server)
    tab.click(".st-key-start button")
    wait_state(tab, "RUNNING")
    threads = psutil.Process(server.process.pid).num_threads()
    tab.locator(".st-key-strip").click()  # the key counts where nothing is typed
    tab.keyboard.press("c")
    other = Tab(server.url)
    wait_for(lambda: other.finished)
    for _ in range(3):
        other.clear_cache()
        done = other.finished
        other.ask()
        wait_for(lambda: other.finished > done)  # noqa: B023
    before = site.only().progress.step or 0
    tab.reload()
    wait_state(tab, "RUNNING")
    wait_for(lambda: (site.only().progress.step or 0) > before)
    expect(tab.get_by_role("dialog")).to_have_count(0)  # the key C asks nothing here: that is for developers
    assert psutil.Process(server.process.pid).num_threads() < threads + 15  # no second registry each time
    tab.click(".st-key-stop button")
    wait_state(tab, "STOPPED")
    view = site.only()
    assert (view.state, view.exit_code, view.saved.model, starts(view.paths)) == (RunState.STOPPED, 0, "adapter", 1)
    assert other.failed == 0
    other.close()
    row.note("RUNNING through three clears, then STOPPED, 0, adapter saved")


@fault(
    "two dashboards, both press Start", how="two servers on one workspace, two Chromium tabs, the same moment",
    expected="one run; the other page says what runs",
)
def test_two_servers(site: Site, browser: Browser, row: Row) -> None:  # noqa: F811
    run: dict[str, object] = {"steps": 3000, "delay": 0.02}
    tabs = [visit(browser, site.serve(port, run)) for port in (8824, 8825)]
    for tab in tabs:
        tab.evaluate("document.querySelector('.st-key-start button').click()")
    wait_for(lambda: site.runs())
    for tab in tabs:
        wait_state(tab, "RUNNING")
    view = site.only()
    assert (starts(view.paths), alive(view.paths)) == (1, 1)
    for server in site.servers:
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)
    assert seen(new(site.workspace), view.run_id).state is RunState.RUNNING
    row.note("one run, shown by both", restarts=2)


@fault(
    "20 tabs on one run", how="20 sessions on the real server, ticking as the page asks them to",
    expected="one run; no tab fails; bounded CPU; the run's end is shown",
)
def test_twenty_tabs(site: Site, browser: Browser, row: Row) -> None:  # noqa: F811
    server = site.serve(8826, {"steps": 4000, "delay": 0.02})
    tab = visit(browser, server)
    tab.click(".st-key-start button")
    wait_state(tab, "RUNNING")
    tabs = [Tab(server.url) for _ in range(20)]
    wait_for(lambda: all(one.finished for one in tabs), 120)
    process = psutil.Process(server.process.pid)
    before, finished, began = sum(process.cpu_times()[:2]), sum(one.finished for one in tabs), time.monotonic()
    wait_for(lambda: sum(one.finished for one in tabs) >= finished + 40, 60)  # every tab twice, in the mean
    spent = sum(process.cpu_times()[:2]) - before
    share = spent / (time.monotonic() - began)
    assert share < 0.8, f"{share:.0%} of a core"
    view = site.only()
    assert (starts(view.paths), alive(view.paths)) == (1, 1)
    assert [one.failed for one in tabs] == [0] * 20
    tab.click(".st-key-stop button")
    wait_state(tab, "STOPPED")
    wait_for(lambda: all("STOPPED" in one.texts for one in tabs), 60)
    for one in tabs:
        one.close()
    row.note(f"{share:.0%} of a core, {spent / 40 * 1000:.0f} ms a tick; all show STOPPED", faults=20)


KILLS = [("launch.checked", "TERM"), ("launch.after_popen", "KILL")]
MORE = [("launch.checked", "KILL"), ("launch.after_popen", "HUP"), ("launch.submitted", "TERM"),
        ("launch.submitted", "INT")]


@pytest.mark.parametrize(("point", "action"), KILLS + (MORE if LONG else []))
@fault(
    "python -m lfdash killed at a real click on Start", how="failpoint, in Chromium, on the real server",
    expected="no run, or one that goes on; a new server shows it with its true exit code",
)
def test_killed_at_a_click(site: Site, browser: Browser, row: Row, point: str, action: str) -> None:  # noqa: F811
    run: dict[str, object] = {"steps": 40, "delay": 0.02}
    server = site.serve(8830, run, f"{point}={action.lower()}")
    tab = visit(browser, server)
    tab.click(".st-key-start button")
    server.process.wait(60)
    views = site.runs()
    if point == "launch.checked" and action == "KILL":
        assert views == []
        row.note(f"{point}, {action}: nothing was made", restarts=1)
        return
    (view,) = views
    again = site.serve(8830, run)
    tab.goto(again.url)
    wait_state(tab, "SUCCEEDED")
    view = becomes(new(site.workspace), RunState.SUCCEEDED, view.run_id)
    assert (view.exit_code, starts(view.paths)) == (0, 1)
    row.note(f"{point}, {action}: SUCCEEDED, 0", restarts=1)


