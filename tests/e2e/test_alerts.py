"""Alerts of real trainings: received with no tab open, once for two dashboards; on the page, in the tab's title and as
notifications of the browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

import lfdash
from lfdash.runs.alerts import file
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import RunState
from tests.e2e.conftest import Server, drawn, end_runs, start_server
from tests.support import ROOT
from tests.support.receiver import Receiver, receiving
from tests.support.runs import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.train_env]
FOLDER = "saves/demo-llama/lora/too-hot"
HOT = {
    "learning_rate": 1000.0, "warmup_steps": 0, "num_train_epochs": 30.0, "cutoff_len": 64, "max_samples": 120,
    "save_steps": 1000, "output_dir": FOLDER,
}
# What the page asks of the browser, and shows: kept, so that a test can see it.
NOTIFICATIONS = """
window.asked = 0;
window.notified = [];
class Fake {
  static permission = localStorage.getItem("test.permission") || "default";
  static requestPermission() {
    window.asked += 1;
    Fake.permission = "granted";
    localStorage.setItem("test.permission", "granted");
    return Promise.resolve("granted");
  }
  constructor(title, options) { window.notified.push([title, options.body, options.tag]); }
}
window.Notification = Fake;
"""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def server(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Server]:
    """A server that sends to the receiver, and stops runs whose loss is no number; another one beside it."""
    workspace = tmp_path_factory.mktemp("alerts") / "workspace"
    for part in ("data", "models", ".lfdash"):
        shutil.copytree(demo_workspace / part, workspace / part)
    settings = workspace / ".lfdash" / "alerts" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"language": "en", "rules": {"nan": {"stop": True}}}))
    env = {"LFDASH_ALERT_WEBHOOK": receiver.url}
    running = [start_server(workspace, env=env), start_server(workspace, env=env)]
    yield running[0]
    for one in running:
        one.end()
    end_runs(workspace)


@pytest.fixture(scope="module")
def hot(server: Server) -> Path:
    """The folder of a training that diverged, once it is over. No page was open."""
    opened = lfdash.open(server.workspace)
    run = opened.start(ROOT / "configs" / "presets" / "demo.yaml", HOT)
    assert isinstance(run, lfdash.Run), run
    assert run.wait(240) is RunState.STOPPED
    return run.path


def test_a_training_that_diverges_is_stopped_and_told_once_with_no_tab_open(
    server: Server, hot: Path, receiver: Receiver
) -> None:
    wait_for(lambda: len(receiver.got) >= 2, 60)
    assert receiver.titles == ["too-hot: NaN loss or zero gradient", "too-hot: Run stopped"]
    assert "lfdash asks it to stop" in receiver.got[0]["message"]
    wait_for(lambda: [one.rule for one in file.read(RunPaths(hot).alerts)] == ["nan", "auto_stop", "ended"])
    third = start_server(server.workspace, env={"LFDASH_ALERT_WEBHOOK": receiver.url})
    time.sleep(8)  # longer than between two looks
    third.end()
    assert len(receiver.got) == 2, "a restart tells nothing again"


def test_no_run_and_no_file_has_the_address(server: Server, hot: Path) -> None:
    for path in [*server.workspace.joinpath(".lfdash").rglob("*"), *hot.rglob("*")]:
        if path.is_file() and not path.is_symlink():
            assert b"hush-hush" not in path.read_bytes(), path


def test_the_command_line_lists_them(server: Server, hot: Path) -> None:
    command = [sys.executable, "-m", "lfdash", "--workspace", str(server.workspace), "alerts", "too-hot", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    told = json.loads(done.stdout)
    assert [one["rule"] for one in told] == ["nan", "auto_stop", "ended"] and hot.name == told[0]["run"]


@pytest.fixture
def page(browser: Browser, server: Server, hot: Path) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_init_script(NOTIFICATIONS)
    tab = context.new_page()
    tab.goto(server.url)
    tab.wait_for_selector(".st-key-alerts_open button", timeout=60_000)
    drawn(tab)
    yield tab
    context.close()


def test_the_page_says_what_since_when_and_what_to_do_and_leads_to_the_thresholds(page: Page) -> None:
    bar = page.locator(".st-key-alert_bar_0")
    expect(bar).to_contain_text("NaN loss or zero gradient")
    expect(bar).to_contain_text("Since step")
    expect(bar).to_contain_text("lower learning rate")
    expect(page.locator(".st-key-alert_bar_1")).to_contain_text("lfdash asked this run to stop")
    expect(page).to_have_title("⚠ NaN STOPPED too-hot")
    page.get_by_role("button", name="Thresholds").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator('[class*="st-key-alert_rule_"]').first).to_contain_text("NaN loss or zero gradient")
    rows = dialog.locator(".st-key-alert_rule_nan input[type=number]")
    rows.fill("1")
    rows.press("Tab")
    drawn(page)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_contain_text("Logged losses in a row: 1 is not possible. Enter a whole number from 3 to 10000")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_what_is_dismissed_stays_away(page: Page, server: Server) -> None:
    expect(page.locator(".st-key-alerts_open")).to_contain_text("Alerts 1")
    page.locator(".st-key-alert_bar_0").get_by_role("button", name="Dismiss").click()
    expect(page.locator(".st-key-alert_bar_0")).not_to_contain_text("Since step")
    page.goto(server.url)
    drawn(page)
    expect(page.locator(".st-key-alert_bar_0")).to_contain_text("Stopped by lfdash")
    expect(page.locator(".st-key-alerts_open")).not_to_contain_text("1")


def test_the_browser_is_asked_by_a_click_only_and_shows_what_is_new_once(page: Page, server: Server) -> None:
    assert page.evaluate("window.asked") == 0
    page.locator(".st-key-alerts_open button").click()
    page.get_by_role("dialog").get_by_text("Where it is sent").click()
    allow = page.get_by_role("button", name="Allow notifications")
    expect(allow).to_be_enabled()
    allow.click()
    expect(page.get_by_text("shows alerts as notifications")).to_be_visible()
    expect(allow).to_be_disabled()
    assert page.evaluate("window.asked") == 1 and page.evaluate("window.notified") == []
    line = {"rule": "overfit", "run_id": "id-x", "run": "run-x", "attempt": 1, "occasion": "", "step": 7}
    line |= {"time": time.time(), "params": {"eval_loss": "2", "best": "1", "at": 7}}
    with (server.workspace / ".lfdash" / "alerts" / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
    page.wait_for_function("() => window.notified.length > 0", timeout=30_000)
    assert page.evaluate("window.notified.map((one) => one[0])") == ["run-x: Overfitting"]
    second = page.context.new_page()
    second.goto(server.url)
    second.wait_for_selector("[data-alerts]", state="attached", timeout=60_000)
    drawn(second)
    assert second.evaluate("window.notified") == [], "another tab shows it not again"


def test_what_cannot_be_done_in_the_dialog_says_why(page: Page) -> None:
    """The browser forbids notifications, until that is changed; the address is one of the server's environment."""
    page.evaluate("() => { Notification.permission = 'denied'; }")
    page.locator(".st-key-alerts_open button").click()
    page.get_by_role("dialog").get_by_text("Where it is sent").click()
    allow = page.get_by_role("button", name="Allow notifications")
    expect(allow).to_be_disabled()
    expect(allow).to_have_attribute("title", re.compile("^This browser forbids notifications"))
    allow.click(force=True)
    assert page.evaluate("window.asked") == 0
    page.evaluate("() => { Notification.permission = 'default'; document.body.append('.'); }")
    expect(allow).to_be_enabled()
    forget = page.get_by_role("button", name="Forget the address").first
    expect(forget).to_be_disabled()
    forget.hover(force=True)
    expect(page.get_by_text("it is LFDASH_ALERT_WEBHOOK of the server's environment")).to_be_visible()
