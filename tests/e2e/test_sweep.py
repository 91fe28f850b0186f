"""A sweep made by clicks on the demo: real trainings, some of them stopped early by the rule, and the sweep's page.

The trainings are as short as they can be: LLaMA-Factory is loaded once, and a run takes the few seconds in which a
dashboard, which looks every two, can see and stop it. The rates stand in the order in which the first runs that end are
better than none of the ones that must be stopped, so that the rule's verdict is sure.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from lfdash.jobs.job import JobConfig
from lfdash.jobs.sweep import Sweep, read_sweep
from tests.e2e.conftest import Server, drawn, pick_option, serving
from tests.support.stopping import Plain
from tests.support.terminal import lfdash

pytestmark = pytest.mark.e2e
MINUTE = 60_000  # ms
SETTINGS = {"learning_rate": "0.001, 0.005, 1e-7", "lora_rank": "8, 16"}  # the last rate learns nothing
SHORT = {"max_samples": "120", "num_train_epochs": "2", "batch_size": "8"}  # 60 steps


@pytest.fixture(scope="module")
def server(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that keeps LLaMA-Factory ready."""
    with serving(demo_workspace, tmp_path_factory.mktemp("sweep") / "workspace", LFDASH_WARM="auto") as running:
        yield running


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


def value_of(run: Path) -> float:
    """What a run is measured by: the median of the last tenth of its losses."""
    losses = logged(run)
    return median(losses[-math.ceil(len(losses) / 10) :])


def fill(page: Page) -> Locator:
    """Fills the form and the dialog by clicks. The dialog."""
    for name, value in SHORT.items():
        box = page.locator(f".st-key-train-{name} input:visible").first
        box.fill(value)
        box.press("Tab")
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
    expect(dialog.locator(".st-key-sweep_start button").first).to_have_text(re.compile(r"runs: 6"))
    return dialog


def make_sweep(page: Page) -> None:
    """Starts the sweep, by two clicks as an impatient person does, and goes where the page says that it is."""
    dialog = fill(page)
    dialog.locator(".st-key-sweep_start button").first.dblclick()
    expect(dialog).to_have_count(0)
    page.locator(".st-key-sweep_made a").first.click()


def start_again(tab: Page, server: Server) -> None:
    """Another tab starts the same while it goes on: it is told so."""
    tab.goto(server.url)
    tab.wait_for_selector(".st-key-start button:enabled", timeout=MINUTE)
    dialog = fill(tab)
    dialog.locator(".st-key-sweep_start button").first.click()
    expect(dialog.get_by_text("The same sweep is in progress")).to_be_visible()
    tab.close()


def hopeless(server: Server, runs: dict[str, Path]) -> list[str]:
    """The runs whose logs say, by the plain rule, that they were to be stopped."""
    sweep_id = journal(server.workspace).parent.name
    shown = lfdash("--workspace", server.workspace, "sweep", "show", sweep_id, "--json").json
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


@pytest.mark.timeout(900)  # six trainings one after the other
def test_a_sweep_by_clicks_its_best_and_the_run_that_the_rule_stopped(page: Page, server: Server) -> None:
    make_sweep(page)
    sweep_id = journal(server.workspace).parent.name
    state = page.locator(".lf-sweep .lf-state")
    expect(state).to_have_attribute("data-state", "going", timeout=MINUTE)
    assert page.url.endswith(f"/sweep?sweep={sweep_id}")
    start_again(page.context.new_page(), server)
    journal(server.workspace)
    expect(state).to_have_attribute("data-state", "done", timeout=10 * MINUTE)
    look_at(page, server, sweep_id)


def look_at(page: Page, server: Server, sweep_id: str) -> None:
    """The page says what the logs say, and leads on."""
    runs = {path.parent.name: path.parent for path in server.workspace.glob("saves/*/*/*/run.json")}
    assert len(runs) == 6
    told = lfdash("--workspace", server.workspace, "ls", "--json").json
    stopped = [run["name"] for run in told if run["state"] == "STOPPED"]
    assert set(stopped) >= {"lr1e-7_r8", "lr1e-7_r16"} and sorted(stopped) == sorted(hopeless(server, runs))
    best = min((name for name in runs if name not in stopped), key=lambda name: value_of(runs[name]))
    told_best = f"Best: {best} · loss {value_of(runs[best]):.4g} · the median of its last 6 values, up to step 60"
    expect(page.get_by_text(told_best)).to_be_visible()
    drawn(page)
    expect(page.locator("[data-testid=stVegaLiteChart]")).to_be_visible()
    expect(page.locator(".lf-weights code").first).to_have_text("learning_rate")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.locator(".st-key-sweep_longer_menu button").first.click()
    page.locator(".st-key-sweep_longer button").click()
    rate = page.locator(".st-key-train-learning_rate input")
    rate.wait_for(timeout=MINUTE)
    assert float(rate.input_value()) == float(best.removeprefix("lr").partition("_")[0])
    assert float(page.locator(".st-key-train-num_train_epochs input").input_value()) == 6, "three times as many"
    expect(page.locator(".st-key-undo button")).to_be_visible()
    expect(page.locator(".lf-strip .lf-name")).to_have_text(best)
    page.goto(f"{server.url}/sweep?sweep={sweep_id}")
    page.locator(".st-key-sweep_export button").first.click()
    expect(page.locator(".st-key-export-export_dir input")).to_have_value(f"exports/{best}", timeout=MINUTE)
