"""The Compare page in a browser: two recorded runs over each other, what differs, and the address of all that."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.local import LocalLauncher
from lfdash.runs.compare.address import TABS
from tests.e2e.conftest import Server, drawn, end_runs, pick_option, start_server
from tests.support import FIXTURES
from tests.support.many import add_plain, add_run
from tests.support.runs import fake_cli, launch, plan_for

pytestmark = pytest.mark.e2e
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
# as LLaMA-Factory was given them when the two logs were recorded
SFT = {"dataset": "identity", "eval_steps": 10, "eval_strategy": "steps", "max_samples": 32, "val_size": 0.1}
DPO = {"dataset": "dpo_en_demo", "max_samples": 24, "pref_beta": 0.1, "pref_ftx": 0, "pref_loss": "sigmoid"}
# what differs in effect; the three settings of the preference loss are LLaMA-Factory's defaults
DIFFERENT = ["stage", "dataset", "max_samples", "val_size", "eval_strategy", "eval_steps"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, asked: Path) -> Iterator[Server]:
    """A dashboard on a workspace with two recorded trainings, two evaluations of the first, and a run of the CLI."""
    workspace = tmp_path_factory.mktemp("compare") / "workspace"
    shutil.copytree(asked, workspace / ".lfdash")
    for name, stage, args in (("tuned", "sft", SFT), ("preferred", "dpo", DPO)):
        paths = add_run(workspace, name, stage=stage, args=args, age=9000, steps=12)
        shutil.copyfile(FIXTURES / "logs" / f"{stage}.jsonl", paths.trainer_log)
    for name, of, word in (("eval-end", "tuned", "blue"), ("eval-early", "tuned/checkpoint-10", "red")):
        args = {"adapter_name_or_path": f"saves/demo-llama/lora/{of}", "eval_dataset": "identity"}
        paths = add_run(workspace, name, kind="eval", age=5000, args=args)
        (paths.root / "predict_results.json").write_text(json.dumps({"predict_rouge-1": 30.0 + len(word)}))
        rows = [{"prompt": f"Question {n}", "predict": f"The sky of {n} is {word if n % 2 else 'grey'}", "label": "x"}
                for n in (range(40) if word == "blue" else reversed(range(40)))]
        (paths.root / "generated_predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    add_plain(workspace, "cli")
    running = start_server(workspace, 8870, {"LFDASH_CLI": fake_cli(workspace.parent)})
    yield running
    running.end()
    end_runs(workspace)


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    yield context.new_page()
    context.close()


def visit(page: Page, server: Server, query: str) -> None:
    page.goto(f"{server.url}/compare{query}")
    page.wait_for_selector(".st-key-compare_offered, .st-key-compare_chosen", timeout=60_000)
    page.wait_for_selector(IDLE)


# In one go: a cell that is found and then replaced, since the table is drawn anew, has its lines joined by nothing.
CELLS = """([table, name]) => {
  const rows = [...document.querySelectorAll(`[role=region][aria-label="${table}"] tr`)];
  const line = rows.find((one) => one.querySelector("th[scope=row]")?.innerText.trim() === name);
  return line ? [...line.querySelectorAll("td")].map((cell) => cell.innerText) : [];
}"""


def row(page: Page, table: str, name: str) -> list[str]:
    """The cells of a table's row."""
    return [" ".join(text.split()) for text in page.evaluate(CELLS, [table, name])]


def names(page: Page, table: str) -> list[str]:
    """The settings or quantities of a table, in order."""
    return page.get_by_role("region", name=table, exact=True).locator("tbody th[scope=row]").all_inner_texts()


def legend(page: Page) -> Locator:
    return page.locator(".lf-curves").first.get_by_role("button", pressed=True)


def test_two_recorded_runs_from_the_picker(page: Page, server: Server) -> None:
    visit(page, server, "")
    expect(page.get_by_text("Choose runs to compare")).to_be_visible()
    for name in ("tuned", "preferred"):
        page.locator(f".st-key-compare_add_id-{name} button").first.click()
        expect(page.locator(f".st-key-compare_run_id-{name}")).to_be_visible()
        drawn(page)
    expect(page).to_have_url(re.compile(r"/compare\?runs=id-tuned(%2C|,)id-preferred$"))
    expect(legend(page).filter(has_text=re.compile("^tuned$"))).to_be_visible(timeout=60_000)
    expect(legend(page).filter(has_text=re.compile("^preferred$"))).to_be_visible()
    assert names(page, "Settings that differ") == DIFFERENT
    assert row(page, "Settings that differ", "dataset") == ["identity", "dpo_en_demo"]
    assert row(page, "Settings that differ", "val_size") == ["0.1", "0 default"]
    assert row(page, "Numbers", "Steps")[0] == "14" and row(page, "Numbers", "Steps")[1].startswith("12")
    page.locator("[class*=st-key-compare_all_settings] label, label:has-text('Also show 3')").first.click()
    drawn(page)
    assert {"pref_beta", "pref_ftx", "pref_loss"} <= set(names(page, "Settings that differ"))
    with page.expect_download() as told:
        page.locator(".st-key-compare_settings_csv button").click()
    lines = told.value.path().read_text().splitlines()
    assert lines[0] == "group,setting,tuned,preferred" and "method,stage,sft,dpo" in lines
    assert "method,pref_beta,(0.1),0.1" in lines


def test_the_address_shows_the_same_to_somebody_else(page: Page, server: Server, browser: Browser) -> None:
    visit(page, server, "?runs=id-tuned,id-preferred")
    page.locator(".st-key-compare_base_id-preferred button").first.click()
    drawn(page)
    page.locator(".lf-curves").first.locator("select[name=x]").select_option("tokens")
    expect(page).to_have_url(re.compile("x=tokens"))
    drawn(page)
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    other = context.new_page()
    other.goto(page.url)
    expect(other.get_by_role("region", name="Numbers")).to_be_visible(timeout=60_000)
    other.wait_for_selector(IDLE)
    expect(other.locator(".lf-curves").first.locator("select[name=x]")).to_have_value("tokens")
    assert row(page, "Numbers", "Best") == row(other, "Numbers", "Best")
    assert "baseline" in other.get_by_role("region", name="Numbers").locator("thead th").nth(1).inner_text()
    context.close()


def test_more_charts_are_there_when_they_are_opened(page: Page, server: Server) -> None:
    visit(page, server, "?runs=id-tuned,id-preferred")
    page.locator(".lf-canvas canvas").first.wait_for(timeout=60_000)
    drawn(page)
    more = page.locator("[data-testid=stExpander]").filter(has_text=re.compile("more charts?"))
    more.locator("summary").first.click()
    drawn(page)  # not only what the closed box had
    expect(more.locator(".lf-chart canvas").first).to_be_visible()
    expect(more.locator(".lf-chart")).to_have_count(int(more.locator("summary").first.inner_text().split()[-3]))


def test_scores_and_predictions_of_two_evaluations(page: Page, server: Server) -> None:
    visit(page, server, "?runs=id-tuned,id-preferred&tab=scores")
    expect(page.get_by_role("region", name="Scores").locator("thead th").first).to_be_visible()
    drawn(page)
    assert row(page, "Scores", "predict_rouge-1") == ["33.0000 −2.9 %, worse", "34.0000 ★"]
    heads = page.get_by_role("region", name="Scores").locator("thead th").all_inner_texts()
    assert "checkpoint 10" in heads[0] and "of tuned" in heads[1]
    page.get_by_role("radio", name="Predictions").click()
    expect(page.get_by_text("In both: 40. Different: 20.")).to_be_visible()
    first = page.locator(".lf-pairs .lf-text").filter(has=page.locator("del")).first
    expect(first).to_have_text(re.compile("^The sky of \\d+ is red$"))
    assert page.locator(".lf-pairs del").nth(1).inner_text() == "red"
    assert page.locator(".lf-pairs ins").nth(1).inner_text() == "blue"
    pick_option(page, page.get_by_role("combobox", name="Page"), "2")
    expect(page.locator(".lf-pairs .lf-first")).to_have_count(10)
    page.get_by_placeholder("Find in prompts").fill("Question 7")
    expect(page.locator(".lf-pairs .lf-first")).to_have_count(1)


def test_a_setting_against_a_metric(page: Page, server: Server) -> None:
    visit(page, server, "?runs=id-tuned,id-preferred&tab=relation&setting=max_samples")
    expect(page.locator("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg")).to_be_visible()
    page.get_by_role("radio", name="All settings").click()
    expect(page.locator(".st-key-compare_parallel [data-testid=stVegaLiteChart]")).to_be_visible()


def test_from_a_run_and_back(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/?run=id-tuned")
    page.get_by_role("link", name="Compare with…").click(timeout=60_000)
    expect(page).to_have_url(re.compile("/compare.*runs=id-tuned"), timeout=60_000)
    expect(page.get_by_text("Add a second run")).to_be_visible(timeout=60_000)
    page.locator(".st-key-compare_run_id-tuned a").first.click()
    expect(page).to_have_url(re.compile("/[?]run=id-tuned"), timeout=60_000)
    expect(page.locator(".lf-name").first).to_have_text("tuned", timeout=60_000)


def test_a_run_that_goes_on_is_drawn_on(page: Page, server: Server) -> None:
    registry = ProcessRegistry(server.workspace, LocalLauncher(), interval=60)
    plan = plan_for(server.workspace, name="going", cli=fake_cli(server.workspace.parent), steps=2000, delay=0.1)
    launch(registry, plan)
    registry.close()
    visit(page, server, "?runs=id-tuned,id-going")
    expect(page.get_by_role("region", name="Numbers", exact=True)).to_contain_text("RUNNING", timeout=60_000)
    seen = [steps_of(page)]
    for _ in range(3):
        page.wait_for_function(
            "([n]) => [...document.querySelectorAll('.lf-table tr')].some(row => row.innerText.startsWith('Steps\\t')"
            " && Number(row.cells[2].innerText.split('\\n')[0].replace(',', '')) > n)", arg=[seen[-1]], timeout=60_000,
        )
        seen.append(steps_of(page))
    assert seen == sorted(set(seen)), seen
    registry = ProcessRegistry(server.workspace, LocalLauncher(), interval=60)
    registry.refresh()
    assert registry.stop("id-going", "kill") is None
    registry.close()
    expect(page.get_by_role("region", name="Numbers", exact=True)).not_to_contain_text("RUNNING", timeout=60_000)


def steps_of(page: Page) -> int:
    """How far the second run is, by the table."""
    return int(row(page, "Numbers", "Steps")[1].split()[0].replace(",", ""))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_rule_of_axe_is_broken(browser: Browser, server: Server, scheme: Literal["light", "dark"]) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme=scheme)
    page = context.new_page()
    told = {}
    for tab in TABS:
        visit(page, server, f"?runs=id-tuned,id-preferred&tab={tab}")
        page.locator("[data-testid=stMain] .lf-table, .lf-pairs, [data-testid=stVegaLiteChart]").first.wait_for()
        if tab == "overview":
            page.locator(".lf-canvas canvas").first.wait_for(timeout=60_000)
            drawn(page)
        found = Axe().run(page).response["violations"]
        told[tab] = [f"{item['id']}: {item['nodes'][0]['html'][:200]}" for item in found]
    assert told == {tab: [] for tab in TABS}
    context.close()
