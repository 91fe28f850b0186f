"""A sweep made by clicks on the demo: real trainings, one of them stopped early by the rule, and the sweep's page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import Sweep, read_sweep
from tests.e2e.conftest import Server, drawn, pick_option
from tests.support.stopping import Plain
from tests.support.terminal import lfdash

pytestmark = pytest.mark.e2e
MINUTE = 60_000  # ms
SETTINGS = {"lora_rank": "8, 16", "learning_rate": "0.005, 0.002, 1e-7"}  # the last rate learns nothing


def journal(workspace: Path) -> Path:
    """The journal of the only sweep."""
    (found,) = (workspace / ".lfdash" / "sweeps").glob("*/journal.log")
    return found


def rows_of(run: Path) -> list[dict[str, Any]]:
    """What a run has logged."""
    return [json.loads(line) for line in (run / "trainer_log.jsonl").read_text(encoding="utf-8").splitlines()]


def logged(run: Path) -> list[float]:
    """The losses that a run has logged."""
    return [row["loss"] for row in rows_of(run) if row.get("loss") is not None]


def make_sweep(page: Page) -> None:
    """Fills the dialog by clicks and starts the sweep; Start is clicked twice, as an impatient person does."""
    epochs = page.locator(".st-key-train-num_train_epochs input")
    epochs.fill("2")
    epochs.press("Tab")
    drawn(page)
    page.click(".st-key-sweep button")
    dialog = page.get_by_role("dialog")
    for name, values in SETTINGS.items():
        pick_option(page, dialog.locator(".st-key-sweep-fields input"), name, search=True)
        page.keyboard.press("Tab")  # Esc would close the dialog
        drawn(page)
        box = dialog.locator(f".st-key-sweep-values-{name} input")
        box.fill(values)
        box.press("Tab")
        drawn(page)
    pick_option(page, dialog.locator(".st-key-sweep-stop_early input"), "Median")
    drawn(page)
    start = dialog.locator(".st-key-sweep_start button").first
    expect(start).to_have_text(re.compile(r"runs: 6"))
    start.dblclick()
    expect(dialog).to_have_count(0)


def hopeless(server: Server, runs: dict[str, Path]) -> list[str]:
    """The runs whose logs say, by the plain rule, that they were to be stopped."""
    (shown,) = (lfdash("--workspace", server.workspace, "sweep", "show", one.name, "--json").json
                for one in (server.workspace / ".lfdash" / "sweeps").iterdir())
    sweep = read_sweep({**shown["sweep"]}, JobConfig())
    assert isinstance(sweep, Sweep), sweep
    plain, found = Plain(sweep), []
    for trial in shown["trials"]:
        rows = [row for row in rows_of(runs[trial["run"]]) if row.get("loss") is not None]
        values = {100 * row["current_steps"] // row["total_steps"]: row["loss"] for row in rows}
        stop = plain.look(trial["number"], values)
        (plain.pruned if stop else plain.over).add(trial["number"])
        found += [trial["run"]] if stop else []
    return found


@pytest.mark.timeout(2400)  # six trainings one after the other, each of which loads torch
def test_a_sweep_by_clicks_its_best_and_the_run_that_the_rule_stopped(page: Page, server: Server) -> None:
    make_sweep(page)
    sweep_id = journal(server.workspace).parent.name
    page.goto(f"{server.url}/sweep?sweep={sweep_id}")
    state = page.locator(".lf-sweep .lf-state")
    expect(state).to_have_attribute("data-state", "going", timeout=MINUTE)
    expect(state).to_have_attribute("data-state", "done", timeout=30 * MINUTE)
    look_at(page, server, sweep_id)


def look_at(page: Page, server: Server, sweep_id: str) -> None:
    """The page says what the logs say, and leads on."""
    runs = {path.parent.name: path.parent for path in server.workspace.glob("saves/*/*/*/run.json")}
    assert len(runs) == 6
    told = lfdash("--workspace", server.workspace, "ls", "--json").json
    stopped = [run["name"] for run in told if run["state"] == "STOPPED"]
    assert "r16_lr1e-7" in stopped and sorted(stopped) == sorted(hopeless(server, runs))
    best = min((name for name in runs if name not in stopped), key=lambda name: min(logged(runs[name])))
    expect(page.get_by_text(re.compile(f"Best so far: {best} · loss"))).to_be_visible()
    expect(page.get_by_text(f"loss {min(logged(runs[best])):.4g}")).to_be_visible()
    drawn(page)
    expect(page.locator("[data-testid=stVegaLiteChart]")).to_be_visible()
    expect(page.locator(".lf-weights code").first).to_have_text("learning_rate")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.locator(".st-key-sweep_longer_menu button").first.click()
    page.locator(".st-key-sweep_longer button").click()
    rate = page.locator(".st-key-train-learning_rate input")
    rate.wait_for(timeout=MINUTE)
    assert float(rate.input_value()) == float(best.rpartition("_lr")[2])
    assert float(page.locator(".st-key-train-num_train_epochs input").input_value()) == 6, "three times as many"
    page.goto(f"{server.url}/sweep?sweep={sweep_id}")
    page.locator(".st-key-sweep_export button").first.click()
    expect(page.locator(".st-key-export-export_dir input")).to_have_value(f"exports/{best}", timeout=MINUTE)
