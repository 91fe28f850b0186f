"""The Runs page in a browser: found, filtered, sorted, noted, renamed, deleted and taken back, stopped, resumed."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FloatRect, Locator, Page, expect

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.local import LocalLauncher
from lfdash.runs.record import RunState
from tests.e2e.conftest import Server, drawn, pick_option, start_server
from tests.support.many import add_plain, add_run, fill, write_notes
from tests.support.runs import fake_cli, launch, plan_for, wait_end, wait_for

pytestmark = pytest.mark.e2e
ROW, HEAD, BOX = 35, 37, 18  # px of the table: a row, its head, the middle of its boxes
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"


@pytest.fixture
def server(tmp_path: Path, asked: Path) -> Iterator[Server]:
    """A dashboard on a workspace with four runs that are over; llamafactory-cli is a stand-in."""
    workspace = tmp_path / "workspace"
    shutil.copytree(asked, workspace / ".lfdash")
    add_run(workspace, "baseline", age=90_000, checkpoints=(20, 40))
    paths = add_run(workspace, "broken", state=RunState.FAILED, steps=20, age=50_000, stage="dpo", model="other")
    write_notes(paths, "ran out of memory", ("oom",))
    add_run(workspace, "scores", kind="eval", age=20_000)
    slow = {"steps": 2000, "delay": 0.05}  # of the stand-in; only one run has them, so the table shows them
    add_run(workspace, "half", state=RunState.STOPPED, steps=30, age=30_000, checkpoints=(10, 20), args=slow)
    add_plain(workspace, "cli")
    running = start_server(workspace, 8850, {"LFDASH_CLI": fake_cli(tmp_path)})
    yield running
    running.process.terminate()
    running.process.wait(20)


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    tab = context.new_page()
    visit(tab, server)
    yield tab
    context.close()


def visit(page: Page, server: Server, query: str = "") -> None:
    page.goto(f"{server.url}/runs{query}")
    page.wait_for_selector(".st-key-runs_bar", timeout=60_000)
    page.wait_for_selector(IDLE)


# -- the table, which is a canvas: its cells are also in a table for screen readers -------------------------


def cells(page: Page, column: int) -> list[str]:
    """A column of the rows in sight."""
    found = page.locator(f'.stDataFrame >> nth=0 >> [data-testid^="glide-cell-{column}-"]')
    return found.evaluate_all("cells => cells.filter(c => c.tagName == 'TD').map(c => c.textContent)")


def names(page: Page) -> list[str]:
    return cells(page, 1)


def see(page: Page, *wanted: str) -> None:
    """Waits until the table shows these runs, in this order."""
    seen(page, lambda: names(page) == list(wanted), lambda: f"{names(page)} instead of {list(wanted)}")


def seen(page: Page, look: Callable[..., bool], words: Callable[..., str]) -> None:
    for _ in range(100):
        if look():
            return
        page.wait_for_timeout(100)
    raise AssertionError(words())


def tick(page: Page, *wanted: str) -> None:
    """Selects runs that are in sight, or takes them out of the selection."""
    for name in wanted:
        seen(page, lambda name=name: name in names(page), lambda name=name: f"{name} is not among {names(page)}")
        place = names(page).index(name)
        corner = page.locator(".stDataFrame canvas").first.bounding_box()
        assert corner is not None
        before = selected(page)
        page.mouse.click(corner["x"] + BOX, corner["y"] + HEAD + ROW * place + ROW / 2)
        seen(page, lambda before=before: selected(page) != before, lambda name=name: f"{name} was not ticked")
        page.wait_for_selector(IDLE)


def selected(page: Page) -> list[str]:
    rows = page.locator('.stDataFrame >> nth=0 >> tbody tr[aria-selected="true"] [data-testid^="glide-cell-1-"]')
    return rows.evaluate_all("cells => cells.map(c => c.textContent)")


def menu(page: Page, name: str) -> None:
    """Opens a menu of the bar."""
    page.locator(f"[class*=st-key-{name}_menu] button").first.click()


def address(page: Page, pattern: str) -> None:
    expect(page).to_have_url(re.compile(pattern))


# -- finding --------------------------------------------------------------------------------------------


def test_every_run_is_listed_with_its_state_and_losses(page: Page, server: Server) -> None:
    see(page, "cli", "scores", "half", "broken", "baseline")
    states = ["SUCCEEDED", "SUCCEEDED", "STOPPED", "FAILED", "SUCCEEDED,best"]
    seen(page, lambda: cells(page, 2) == states, lambda: str(cells(page, 2)))
    seen(page, lambda: "Best loss" in heads(page), lambda: str(heads(page)))
    place = heads(page).index("Best loss") + 1
    seen(page, lambda: "" not in [*cells(page, place)[:1], *cells(page, place)[2:]], lambda: str(cells(page, place)))
    best = float(cells(page, place)[4])
    log = (server.workspace / "saves/demo-llama/lora/baseline/trainer_log.jsonl").read_text().splitlines()
    assert best == pytest.approx(min(row["loss"] for row in map(json.loads, log) if "loss" in row), abs=1e-4)
    expect(page.get_by_text("Runs: 5 of 5")).to_be_visible()


def test_search_filter_and_order_are_in_the_address_and_survive_a_reload(page: Page, server: Server) -> None:
    page.locator(".st-key-runs-find input").fill("memory")
    see(page, "broken")
    address(page, "find=memory")
    page.locator(".st-key-runs-find input").fill("")
    see(page, "cli", "scores", "half", "broken", "baseline")
    tool(page, "filter")
    box = page.locator(".st-key-runs_state input")
    for word in ("FAILED", "STOPPED"):
        pick_option(page, box, word, search=True)
    see(page, "half", "broken")
    close(page)
    expect(chip(page, "State: FAILED")).to_be_visible()
    head(page, "Best loss")
    see(page, *sorted(("half", "broken"), key=lambda name: best_of(server, name)))
    address(page, "state=STOPPED")
    address(page, "sort=best")
    ascending = names(page)
    page.reload()
    page.wait_for_selector(".st-key-runs_bar")
    see(page, *ascending)
    head(page, "Best loss")
    see(page, *reversed(ascending))
    address(page, "order=desc")
    chip(page, "State: FAILED").click()
    see(page, "half")
    page.click(".st-key-runs_clear button")
    seen(page, lambda: len(names(page)) == 5, lambda: str(names(page)))
    address(page, r"/runs\?sort=best&order=desc$")


def best_of(server: Server, name: str) -> float:
    (log,) = server.workspace.glob(f"saves/*/*/{name}/trainer_log.jsonl")
    return min(row["loss"] for row in map(json.loads, log.read_text().splitlines()) if "loss" in row)


def heads(page: Page) -> list[str]:
    """The heads of the columns in sight, the boxes left out."""
    every = page.locator('.stDataFrame >> nth=0 >> th[role="columnheader"]')
    return [text for text in every.evaluate_all("heads => heads.map(h => h.textContent)") if text.strip()]


WIDTHS = {  # px, see ui/runs/tables.py; a setting's column is as wide as its words
    "Name": 210, "State": 150, "Progress": 100, "Loss": 104, "Best eval loss": 112, "Best loss": 90,
    "steps": 70, "delay": 70,
}


def head(page: Page, word: str) -> None:
    """Presses the head of a column: near its left edge."""
    known = [text.rstrip(" ↑↓") for text in heads(page)]
    width = sum(WIDTHS[name] for name in known[: known.index(word)])
    corner = page.locator(".stDataFrame canvas").first.bounding_box()
    assert corner is not None
    page.mouse.click(corner["x"] + 36 + width + 25, corner["y"] + HEAD / 2)


def tool(page: Page, name: str) -> None:
    """Opens a menu above the table: "filter", "view"."""
    page.click(f".st-key-runs_{name}_menu button")
    page.wait_for_selector(".st-key-runs_where, .st-key-runs_order")


def close(page: Page) -> None:
    """Closes the menu that is open."""
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    drawn(page)


def chip(page: Page, words: str) -> Locator:
    return page.locator("[class*=st-key-runs_chip_] button:visible").filter(has_text=words)


def test_the_order_changes_by_a_click_and_the_selection_stays_with_its_runs(page: Page) -> None:
    tick(page, "half")
    head(page, "Best loss")
    seen(page, lambda: "Best loss ↑" in page.locator(".stDataFrame >> nth=0 >> thead").inner_text(), lambda: "no arrow")
    seen(page, lambda: selected(page) == ["half"], lambda: str(selected(page)))
    expect(page.get_by_text("1 selected")).to_be_visible()


def test_all_that_is_shown_as_csv(page: Page, tmp_path: Path) -> None:
    page.locator(".st-key-runs-find input").fill("demo-llama")
    see(page, "scores", "half", "baseline")
    with page.expect_download() as waiting:
        page.click(".st-key-runs_csv button")
    waiting.value.save_as(tmp_path / "runs.csv")
    with (tmp_path / "runs.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["scores", "half", "baseline"]
    assert rows[1]["state"] == "STOPPED" and float(rows[1]["best_loss"]) > 0 and rows[0]["best_loss"] == ""


# -- notes and names --------------------------------------------------------------------------------------


def test_notes_and_tags_are_kept_and_found_also_for_a_run_of_the_plain_cli(page: Page, server: Server) -> None:
    tick(page, "cli")
    menu(page, "runs_notes")
    tags = page.locator('[class*="st-key-runs-tags"] input')
    for word in ("oom", "my own tag"):
        tags.fill(word)
        tags.press("Enter")
    text = page.locator('[class*="st-key-runs-note"] textarea')
    text.fill("<img src=x onerror=alert(1)> **not bold**")
    page.click(".st-key-runs_notes_save button")
    kept = server.workspace / "saves/llama3-8b/lora/cli/notes.json"
    wait_for(kept.exists)
    assert json.loads(kept.read_text())["tags"] == ["oom", "my own tag"]
    expect(page.locator('[data-testid="stText"]')).to_have_text("<img src=x onerror=alert(1)> **not bold**")
    tool(page, "filter")
    box = page.locator(".st-key-runs_tag input")
    pick_option(page, box, "oom", search=True)
    see(page, "cli", "broken")
    address(page, "tag=oom")


def test_what_is_being_typed_survives_the_ticks_of_a_live_run(page: Page, server: Server) -> None:
    handle = launch(ProcessRegistry(server.workspace, LocalLauncher()),
                    plan_for(server.workspace, name="live", steps=4000, delay=0.05))
    seen(page, lambda: "live" in names(page), lambda: str(names(page)))
    tick(page, "baseline")
    menu(page, "runs_notes")
    text = page.locator('[class*="st-key-runs-note"] textarea')
    text.press_sequentially("half a sentence")
    step = cells(page, 3)[0]
    seen(page, lambda: cells(page, 3)[0] != step, lambda: "the table stands still")
    page.wait_for_selector(IDLE)
    expect(text).to_have_value("half a sentence")
    text.press_sequentially(" and its end")
    page.click(".st-key-runs_notes_save button")
    kept = server.workspace / "saves/demo-llama/lora/baseline/notes.json"
    wait_for(kept.exists)
    assert json.loads(kept.read_text())["note"] == "half a sentence and its end"
    assert selected(page) == ["baseline"]
    tick(page, "live")
    tick(page, "baseline")
    page.click(".st-key-runs_stop button")
    seen(page, lambda: cells(page, 2)[0].startswith("STOPPED"), lambda: str(cells(page, 2)))
    assert json.loads(handle.paths.exit.read_text())["stop"] == ["graceful"]


def test_a_run_is_renamed_with_its_folder(page: Page, server: Server) -> None:
    tick(page, "baseline")
    menu(page, "rename")
    name = page.locator('[class*="st-key-runs-name"] input')
    name.fill("half")
    name.press("Tab")
    page.click(".st-key-runs_rename button")
    expect(page.locator('[data-testid="stAlert"]').first).to_contain_text("already exists")
    name.fill("the first")
    name.press("Tab")
    page.click(".st-key-runs_rename button")
    see(page, "cli", "scores", "half", "broken", "the first")
    saves = server.workspace / "saves/demo-llama/lora"
    assert (saves / "thefirst" / "checkpoint-40").is_dir() and not (saves / "baseline").exists()
    seen(page, lambda: selected(page) == ["the first"], lambda: str(selected(page)))
    page.click(".st-key-runs_open button")
    page.wait_for_selector(".lf-name:text-is('the first')")


# -- deleted ----------------------------------------------------------------------------------------------


def test_deleted_runs_come_back_by_undo_or_from_the_trash_or_go_for_good(page: Page, server: Server) -> None:
    saves = server.workspace / "saves"
    tick(page, "broken", "cli")
    menu(page, "delete")
    expect(page.get_by_text("Moves cli, broken to the trash")).to_be_visible()
    page.click(".st-key-runs_delete button")
    see(page, "scores", "half", "baseline")
    assert not (saves / "other/lora/broken").exists() and not (saves / "llama3-8b/lora/cli").exists()
    page.click(".st-key-runs_undo button")
    see(page, "cli", "scores", "half", "broken", "baseline")
    seen(page, lambda: selected(page) == ["cli", "broken"], lambda: str(selected(page)))
    assert (saves / "llama3-8b/lora/cli/adapter_model.safetensors").exists()

    menu(page, "delete")
    page.click(".st-key-runs_delete button")
    see(page, "scores", "half", "baseline")
    page.reload()  # the offer to undo is gone with the tab; the trash is not
    page.wait_for_selector(".st-key-runs_bar")
    page.locator("summary").filter(has_text="Trash (2)").click()
    trash = page.locator(".stDataFrame").nth(1)
    expect(trash).to_be_visible()
    cells_of = trash.locator('[data-testid^="glide-cell-1-"]')
    expect(cells_of).to_have_count(2)
    kept = cells_of.evaluate_all("cells => cells.map(c => c.textContent)")
    assert sorted(kept) == ["broken", "cli"]
    trash.scroll_into_view_if_needed()
    corner = trash.locator("canvas").first.bounding_box()
    assert corner is not None
    page.mouse.click(corner["x"] + BOX, corner["y"] + HEAD + ROW * kept.index("broken") + ROW / 2)
    page.click(".st-key-trash_restore button:enabled")
    see(page, "scores", "half", "broken", "baseline")
    page.locator("[class*=st-key-trash_menu] button").click()
    expect(page.get_by_text(re.compile(r"Permanently deletes cli.* frees \d"))).to_be_visible()
    page.click(".st-key-trash_delete button")
    expect(page.locator("summary").filter(has_text="Trash")).to_have_count(0)
    assert list((server.workspace / ".lfdash/trash").glob("cli*")) == []
    assert (saves / "other/lora/broken/notes.json").exists()


# -- opened, cloned, resumed ------------------------------------------------------------------------------


def test_a_run_opens_on_the_page_of_its_kind(page: Page, server: Server) -> None:
    tick(page, "scores")
    page.click(".st-key-runs_open button")
    page.wait_for_selector(".lf-name:text-is('scores')")
    address(page, r"/evaluate\?run=id-scores")
    page.get_by_role("link", name="Runs", exact=True).click()
    page.wait_for_selector(".st-key-runs_bar")
    tick(page, "scores", "cli")  # what was selected still is
    page.click(".st-key-runs_open button")
    page.wait_for_selector(".lf-name:text-is('cli')")
    address(page, r"/\?run=cli-")


def test_settings_are_cloned_into_the_form_of_their_kind(page: Page) -> None:
    tick(page, "broken")
    page.click(".st-key-next_use_settings_runs button")
    expect(page.locator(".st-key-top-model_path input:visible")).to_have_value(re.compile("^models/other"))
    expect(page.locator(".st-key-train-output_dir input:visible")).not_to_have_value("broken")
    expect(page.locator(".st-key-train-training_stage input:visible")).to_have_value("DPO")
    page.get_by_role("link", name="Runs", exact=True).click()
    page.wait_for_selector(".st-key-runs_bar")
    tick(page, "broken", "scores")
    page.click(".st-key-next_use_settings_runs button")
    page.wait_for_selector(".st-key-eval-output_dir")
    address(page, "/evaluate")
    expect(page.locator(".st-key-top-model_path input:visible")).to_have_value(re.compile("^models/demo-llama"))


def test_a_run_is_resumed_from_a_checkpoint_after_it_was_renamed(page: Page, server: Server) -> None:
    tick(page, "half")
    menu(page, "rename")
    name = page.locator('[class*="st-key-runs-name"] input')
    name.fill("whole")
    name.press("Tab")
    page.click(".st-key-runs_rename button")
    see(page, "cli", "scores", "whole", "broken", "baseline")
    page.locator("[class*=st-key-resume_menu] button").first.click()
    page.click('[class*="st-key-resume_runs"] button')
    see(page, "whole", "cli", "scores", "broken", "baseline")
    seen(page, lambda: cells(page, 2)[0].startswith("RUNNING"), lambda: str(cells(page, 2)))
    folder = server.workspace / "saves/demo-llama/lora/whole"
    arguments = (folder / "training_args.yaml").read_text()
    assert "resume_from_checkpoint: saves/demo-llama/lora/whole/checkpoint-20" in arguments
    assert "output_dir: saves/demo-llama/lora/whole\n" in arguments
    seen(page, lambda: selected(page) == ["whole"], lambda: str(selected(page)))
    expect(page.locator("[class*=st-key-delete_menu] button").first).to_be_disabled()
    page.click(".st-key-runs_stop button")
    registry = ProcessRegistry(server.workspace, LocalLauncher(), interval=0.1)
    registry.start()
    assert wait_end(registry, "id-half").state is RunState.STOPPED
    registry.close()
    assert not folder.with_name("half").exists()


# -- none, many, narrow -----------------------------------------------------------------------------------


def test_without_runs_it_says_what_to_do(page: Page, server: Server) -> None:
    shutil.rmtree(server.workspace / "saves")
    expect(page.get_by_text("No runs yet")).to_be_visible(timeout=30_000)
    page.get_by_role("link", name="Go to Train").click()
    page.wait_for_selector(".st-key-start")


def test_a_thousand_runs_are_listed_and_found(page: Page, server: Server) -> None:
    fill(server.workspace, 1000, steps=20)
    page.reload()
    expect(page.get_by_text("Runs: 1,005 of 1,005")).to_be_visible(timeout=60_000)
    # The words come before the table, which is drawn anew when the rest of the runs is read.
    expect(page.locator(".stDataFrame table").first).to_have_attribute("aria-rowcount", "1006", timeout=30_000)
    page.locator(".st-key-runs-find input").fill("-0777")
    seen(page, lambda: len(names(page)) == 1 and names(page)[0].endswith("-0777"), lambda: str(names(page)))


# -- what differs, groups, a click on a name ---------------------------------------------------------------


def sweep(server: Server) -> None:
    """Four runs that differ in two arguments."""
    for number in range(4):
        args = {"learning_rate": (0.0001, 0.0004)[number % 2], "lora_rank": (8, 16)[number // 2], "seed": 42}
        add_run(server.workspace, f"sweep-{number}", age=1000.0 + number, args=args)


def test_arguments_that_differ_are_columns_and_conditions_are_chips(page: Page, server: Server) -> None:
    sweep(server)
    expect(page.get_by_text("Runs: 9 of 9")).to_be_visible(timeout=30_000)  # the page looks every 10 s at rest
    page.locator(".st-key-runs-find input").fill("sweep")
    see(page, "sweep-0", "sweep-1", "sweep-2", "sweep-3")
    seen(page, lambda: {"learning_rate", "lora_rank"} <= set(heads(page)), lambda: str(heads(page)))
    assert "seed" not in heads(page)
    page.locator(".st-key-runs-find input").fill("sweep lora_rank>8")
    see(page, "sweep-2", "sweep-3")
    expect(chip(page, "lora_rank > 8")).to_be_visible()
    seen(page, lambda: "lora_rank" not in heads(page), lambda: str(heads(page)))
    chip(page, "lora_rank > 8").click()
    see(page, "sweep-0", "sweep-1", "sweep-2", "sweep-3")
    expect(page.locator(".st-key-runs-find input")).to_have_value("sweep")
    tool(page, "view")
    pick_option(page, page.locator("[class*=st-key-runs-columns] input"), "seed", search=True)
    close(page)
    page.reload()
    page.wait_for_selector(".st-key-runs_bar")
    see(page, "sweep-0", "sweep-1", "sweep-2", "sweep-3")
    column = page.locator('.stDataFrame >> nth=0 >> table')
    expect(column).to_have_attribute("aria-colcount", re.compile(r"\d+"))
    kept = [path.read_text() for path in (server.workspace / ".lfdash").glob("columns*.json")]
    assert kept and all('"arg.seed"' in text for text in kept)


def test_runs_are_grouped_by_an_argument(page: Page, server: Server) -> None:
    sweep(server)
    visit(page, server, "?find=sweep&group=arg.learning_rate")
    titles = page.locator("[class*=st-key-runs-group] summary")
    expect(titles).to_have_count(2)
    expect(titles.nth(0)).to_contain_text("learning_rate 0.0001 · 2 runs · Best eval loss: best")
    expect(page.locator(".stDataFrame")).to_have_count(0)
    titles.nth(1).click()
    see(page, "sweep-1", "sweep-3")
    tick(page, "sweep-3")
    expect(page.get_by_text("1 selected")).to_be_visible()
    expect(page.locator(".st-key-runs_open button")).to_be_enabled()
    titles.nth(1).click()
    expect(page.locator(".stDataFrame")).to_have_count(0)
    chip(page, "Grouped by").click()
    see(page, "sweep-0", "sweep-1", "sweep-2", "sweep-3")


def click_name(page: Page, name: str) -> None:
    see_one(page, name)
    corner = page.locator(".stDataFrame canvas").first.bounding_box()
    assert corner is not None
    page.mouse.click(corner["x"] + 36 + 30, corner["y"] + HEAD + ROW * names(page).index(name) + ROW / 2)


def see_one(page: Page, name: str) -> None:
    seen(page, lambda: name in names(page), lambda: f"{name} is not among {names(page)}")


def test_a_click_on_a_name_opens_the_run_and_back_goes_through_what_was_shown(page: Page, server: Server) -> None:
    page.locator(".st-key-runs-find input").fill("demo-llama")
    see(page, "scores", "half", "baseline")
    click_name(page, "half")
    page.wait_for_selector(".lf-name:text-is('half')")
    address(page, r"/\?run=id-half")
    pick_option(page, page.locator("[class*=st-key-page-run_pick] input").first, "baseline")
    page.wait_for_selector(".lf-name:text-is('baseline')")
    address(page, r"/\?run=id-baseline")
    page.go_back()
    page.wait_for_selector(".lf-name:text-is('half')")
    page.go_back()
    see(page, "scores", "half", "baseline")
    address(page, "/runs.find=demo-llama")
    click_name(page, "scores")
    page.wait_for_selector(".lf-name:text-is('scores')")
    address(page, r"/evaluate\?run=id-scores")


def test_nothing_is_asked_for_that_is_not_there(page: Page) -> None:
    missed: list[str] = []
    page.on("response", lambda answer: missed.append(answer.url) if answer.status >= 400 else None)
    page.reload()
    page.wait_for_selector(IDLE)
    click_name(page, "half")
    page.wait_for_selector(".lf-canvas canvas")
    assert missed == []


@pytest.mark.parametrize("width", [800, 1440])
def test_nothing_is_wider_than_the_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    tick(page, "broken")
    assert page.evaluate("document.scrollingElement.scrollWidth <= window.innerWidth")
    for button in page.locator(".st-key-runs_bar button:visible").all():
        box = button.bounding_box()
        assert box is not None and box["x"] + box["width"] <= width


@pytest.mark.parametrize(("width", "height", "sidebar", "chart"), [(1280, 720, 430, 340), (800, 900, 300, 480)])
def test_a_run_that_is_over_has_its_buttons_in_one_row_and_its_chart_in_sight(
    page: Page, width: int, height: int, sidebar: int, chart: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    click_name(page, "half")
    bar, plot = page.locator(".st-key-run_bar"), page.locator(".lf-plot").first
    page.wait_for_selector(".lf-canvas canvas")
    assert box_of(bar)["height"] < 60 and box_of(plot)["y"] < chart
    assert box_of(page.locator("[data-testid=stSidebar]"))["width"] <= sidebar
    below = page.locator("[data-testid=stMain] [data-testid=stButtonGroup]").last
    assert box_of(below)["y"] < height - 80
    page.get_by_role("button", name="Use settings").click()
    expect(page.get_by_text("Settings loaded from half").first).to_be_visible()


def box_of(place: Locator) -> FloatRect:
    """Where it is on the page."""
    box = place.bounding_box()
    assert box is not None
    return box
