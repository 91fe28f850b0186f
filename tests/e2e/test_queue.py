"""Several runs and the queue in a browser, with the real llamafactory-cli."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import Server, no_double_click
from tests.e2e.test_train import MINUTES, choose_preset, processes_of, run_folder, run_name, wait_state

pytestmark = [pytest.mark.e2e, pytest.mark.train_env]


def show(page: Page, server: Server, name: str) -> None:
    """Looks at a run by its address, as a bookmark does."""
    jobs = server.workspace.glob(".lfdash/queue/*.job.json")
    records = [json.loads(path.read_text())["record"] for path in jobs]
    records += [json.loads(path.read_text()) for path in server.workspace.glob("saves/*/*/*/run.json")]
    (run_id,) = {record["run_id"] for record in records if record["name"] == name}
    page.goto(f"{server.url}/?run={run_id}")
    page.wait_for_selector(f".lf-name:text-is('{name}')", timeout=MINUTES)


def until(seconds: float, look: object) -> None:
    """Waits for a condition outside of the browser."""
    assert callable(look)
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end
        time.sleep(0.1)


def started(workspace: Path, name: str) -> bool:
    return any(workspace.glob(f"saves/*/*/{name}/attempts/001/child.json"))


def test_a_job_waits_is_held_cancelled_put_back_and_starts_without_a_tab(browser: Browser, server: Server) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_selector(".st-key-start button:enabled", timeout=MINUTES)
    choose_preset(page, "Demo")
    first = run_name(page)
    page.click(".st-key-start button")
    wait_state(page, "RUNNING", 1)

    no_double_click(page)
    second = run_name(page)
    page.click(".st-key-start button")
    expect(page.locator(".st-key-busy")).to_contain_text(first)
    page.click(".st-key-queue_it button")
    expect(page.locator(".st-key-train-output_dir input:visible")).not_to_have_value(second)
    third = run_name(page)
    expect(page.locator(".st-key-busy")).to_have_count(0)  # what stood above the button has gone: it moves no more
    page.click(".st-key-enqueue button")
    expect(page.locator(".st-key-train-output_dir input:visible")).not_to_have_value(third)

    show(page, server, third)
    wait_state(page, "QUEUED", 1)
    page.locator("[class*='st-key-queue_up_shown'] button").first.click()
    expect(page.locator("[data-testid=stAlert]").first).to_contain_text("Position 1")
    page.locator("[class*='st-key-queue_hold_shown'] button").first.click()
    wait_state(page, "HELD", 1)
    page.click(".st-key-stop button")  # cancels
    expect(page.locator(".st-key-cancelled")).to_contain_text(third)
    page.click(".st-key-queue_undo button")
    expect(page.locator(".st-key-cancelled")).to_have_count(0)  # it is back
    show(page, server, third)
    wait_state(page, "HELD", 1)

    show(page, server, first)
    page.click(".st-key-stop button")
    context.close()  # nobody looks on
    until(180, lambda: started(server.workspace, second))
    assert not started(server.workspace, third)

    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_selector(f".lf-name:has-text('{second}')", timeout=MINUTES)
    show(page, server, third)
    page.locator("[class*='st-key-queue_now_shown'] button").first.click()  # beside the other
    page.wait_for_selector(f".lf-name:has-text('{third}')", timeout=MINUTES)
    wait_state(page, "RUNNING", 1)
    show(page, server, second)
    wait_state(page, "RUNNING", 1)
    for name in (second, third):
        show(page, server, name)
        page.click(".st-key-stop button")
        wait_state(page, "STOPPED", 3)
        folder = run_folder(server, name)
        assert processes_of(folder) == []
        assert json.loads((folder / "run.json").read_text())["attempts"][-1]["devices"] == []
    context.close()
