"""The whole main job in a browser: preset, Start, falling loss, Stop, the downloaded YAML run by hand."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from lfdash.jobs.yaml_format import load
from tests.e2e.conftest import Server, drawn, pick_option, start_server
from tests.support.runs import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.train_env]
MINUTES = 60_000  # ms
STATE = ".st-key-strip .lf-state"


def choose_preset(page: Page, title: str) -> None:
    pick_option(page, page.locator(".st-key-page-preset_pick input").first, title, search=True)
    drawn(page)


def pick(page: Page, key: str, value: str) -> None:
    """Chooses an entry of a box with several."""
    pick_option(page, page.locator(f".st-key-{key} input"), value, search=True)
    page.keyboard.press("Escape")
    expect(page.locator(f".st-key-{key}").get_by_text(value).first).to_be_visible()


def choose(page: Page, key: str, words: str) -> None:
    """Chooses the option with these words in a box of one."""
    box = page.locator(f".st-key-{key} input")
    pick_option(page, box, words)
    expect(box).to_have_value(words)


def wait_state(page: Page, state: str, minutes: float) -> None:
    page.wait_for_selector(f'{STATE}[data-state="{state}"]', timeout=minutes * MINUTES)


def run_folder(server: Server, name: str) -> Path:
    return next(server.workspace.glob(f"saves/*/*/{name}"))


COMPARED = 25  # of the demo's steps, when its YAML is run again: they tell all that the YAML says


def losses(folder: Path) -> list[tuple[int, float]]:
    """What a run has logged so far, whole lines only."""
    log = folder / "trainer_log.jsonl"
    whole = log.read_text().rpartition("\n")[0] if log.exists() else ""
    rows = [json.loads(line) for line in whole.splitlines()]
    return [(row["current_steps"], row["loss"]) for row in rows if "loss" in row]


def shown_step(page: Page) -> int:
    text = page.locator(".st-key-strip .lf-fact b").first.inner_text()
    head = text.split("/")[0].strip()
    return int(head) if head.isdigit() else 0


def run_name(page: Page) -> str:
    return page.locator(".st-key-train-output_dir input:visible").input_value()


def processes_of(folder: Path) -> list[int]:
    """Processes that were started for a run: their working files or command line name its folder."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "environ"]):
        info = process.info
        words = [*(info["cmdline"] or []), *(info["environ"] or {}).values()]
        if process.pid != os.getpid() and any(folder.name in word for word in words):
            found.append(process.pid)
    return found


@pytest.fixture(scope="module")
def finished() -> dict[str, Path]:
    """What the first test leaves for the one that runs its YAML by hand."""
    return {}


def test_demo_from_start_to_finish(
    page: Page, server: Server, finished: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    choose_preset(page, "Demo")
    expect(page.locator(".st-key-top-model_path input:visible")).to_have_value(re.compile("^models/demo-llama"))
    name = run_name(page)
    assert name.startswith("demo-")
    page.click(".st-key-job_menu button")
    with page.expect_download() as waiting:
        page.click(".st-key-download_run_bar button")
    yaml_file = tmp_path_factory.mktemp("download") / "job.yaml"
    waiting.value.save_as(yaml_file)
    page.keyboard.press("Escape")

    page.click(".st-key-start button")
    wait_state(page, "RUNNING", 1)
    page.wait_for_selector(".lf-canvas canvas", timeout=2 * MINUTES)
    expect(page.locator(".st-key-train-output_dir input:visible")).not_to_have_value(name)

    page.click(".st-key-start button")  # a second start while the run is alive
    expect(page.locator(".st-key-busy")).to_contain_text(name)
    drawn(page)
    page.click(".st-key-queue_not button")
    expect(page.locator(".st-key-busy")).to_have_count(0)

    page.reload()
    page.wait_for_selector(f".lf-name:has-text('{name}')", timeout=MINUTES)
    wait_state(page, "SUCCEEDED", 6)
    folder = run_folder(server, name)
    seen = losses(folder)
    assert len(seen) >= 10
    assert seen[-1][1] < 0.8 * seen[0][1]
    assert (folder / "adapter_model.safetensors").exists()
    shown = float(page.locator(".lf-fact:has(small:text-is('loss')) b").inner_text())
    assert shown == pytest.approx(seen[-1][1], abs=1e-4)
    finished["folder"], finished["yaml"] = folder, yaml_file


def test_stop_half_way_saves_and_ends_everything(page: Page, server: Server) -> None:
    choose_preset(page, "Demo")
    name = run_name(page)
    page.click(".st-key-start button")
    wait_state(page, "RUNNING", 1)
    page.wait_for_function(
        f"() => parseInt(document.querySelector('.st-key-strip .lf-fact b').innerText) >= 3"
        f" && document.querySelector('.lf-name').innerText == '{name}'",
        timeout=3 * MINUTES,
    )
    page.click(".st-key-stop button")
    wait_state(page, "STOPPED", 3)
    folder = run_folder(server, name)
    assert (folder / "adapter_model.safetensors").exists()
    assert shown_step(page) < json.loads((folder / "trainer_log.jsonl").read_text().splitlines()[0])["total_steps"]
    assert processes_of(folder) == []


def test_evaluate_the_trained_adapter_and_read_predictions(
    page: Page, server: Server, finished: dict[str, Path]
) -> None:
    choose_preset(page, "Demo")
    page.get_by_role("link", name="Evaluate").click()
    expect(page.locator(".st-key-top-model_path input:visible")).to_have_value(re.compile("^models/demo-llama"))
    pick(page, "eval-dataset", "demo_sft")
    for name, value in (("max_samples", "24"), ("max_new_tokens", "16")):
        box = page.locator(f".st-key-eval-{name} input")
        box.fill(value)
        box.press("Tab")
    page.locator("section[data-testid=stSidebar] summary").filter(has_text="Model loading").click()
    pick(page, "top-checkpoint_path", finished["folder"].name)
    name = page.locator(".st-key-eval-output_dir input:visible").input_value()
    page.click(".st-key-start button")
    wait_state(page, "SUCCEEDED", 3)
    folder = run_folder(server, name)
    assert (
        load((folder / "training_args.yaml").read_text()).args["adapter_name_or_path"].endswith(finished["folder"].name)
    )
    scores = json.loads((folder / "all_results.json").read_text())
    assert scores["predict_rouge-1"] > 50  # the demo has learned its small facts
    page.get_by_role("radio", name="Predictions", exact=True).click()
    expect(page.get_by_text("1 to 20 of 24")).to_be_visible()
    find = page.locator(".st-key-eval-find input:visible")
    find.fill("no such words anywhere")
    expect(page.get_by_text("No matching rows")).to_be_visible()
    page.get_by_role("link", name="Train", exact=True).click()
    expect(page.locator(".st-key-train-learning_rate input:visible")).to_have_value("0.002")


def test_a_name_that_is_taken_asks_what_is_meant(page: Page, server: Server, finished: dict[str, Path]) -> None:
    taken = finished["folder"].name
    choose_preset(page, "Demo")
    name = page.locator(".st-key-train-output_dir input:visible")
    name.fill(taken)
    name.press("Tab")
    page.click(".st-key-start button")
    expect(page.locator(".st-key-problems")).to_contain_text(taken)
    expect(page.locator("[class*=st-key-more_menu_taken] button:visible")).to_be_enabled()  # it has finished
    page.click(".st-key-taken_weights button")
    expect(name).not_to_have_value(taken)
    page.locator("section[data-testid=stSidebar] summary").filter(has_text="Model loading").click()
    expect(page.locator(".st-key-top-checkpoint_path")).to_contain_text(taken)
    name.fill(taken)
    name.press("Tab")
    page.click(".st-key-start button")
    page.click(".st-key-replace_menu button")
    page.click(".st-key-replace button")
    expect(page.locator(".st-key-taken")).to_have_count(0)
    assert not finished["folder"].exists()
    (kept,) = (server.workspace / ".lfdash" / "trash").glob(f"{taken}.*")
    assert (kept / "adapter_model.safetensors").exists()
    kept.rename(finished["folder"])  # for the tests below: what the trash keeps can be taken back


def test_downloaded_yaml_gives_the_same_run(server: Server, finished: dict[str, Path], tmp_path: Path) -> None:
    if not finished:
        pytest.fail("the demo run did not finish, so there is nothing to compare with")
    fresh = tmp_path / "workspace"
    for part in ("data", "models"):
        shutil.copytree(server.workspace / part, fresh / part)
    job = fresh / "job.yaml"
    shutil.copy(finished["yaml"], job)
    document = load(job.read_text())
    command = Path(sys.executable).with_name("llamafactory-cli")
    log = tmp_path / "log.txt"
    with log.open("wb") as file:
        trainer = subprocess.Popen(
            [command, "train", job.name], cwd=fresh, stdout=file, stderr=file,
            env={**os.environ, "OMP_NUM_THREADS": "1", **document.env},
        )
    folder = fresh / document.args["output_dir"]
    try:
        wait_for(lambda: trainer.poll() is not None or len(losses(folder)) >= COMPARED, 300)
    finally:
        trainer.kill()
        trainer.wait()
    again = losses(folder)[:COMPARED]
    assert len(again) == COMPARED, log.read_text(errors="replace")[-2000:]
    assert again == losses(finished["folder"])[:COMPARED]


def test_bad_input_is_named_and_nothing_is_launched(page: Page, server: Server) -> None:
    choose_preset(page, "Demo")
    before = sorted(server.workspace.glob("saves/*/*/*"))
    rate = page.locator(".st-key-train-learning_rate input:visible")
    rate.fill("fast")
    rate.press("Tab")
    expect(page.locator(".st-key-essentials, [data-testid=stSidebar]").get_by_text("fast").first).to_be_visible()
    name = page.locator(".st-key-train-output_dir input:visible")
    name.fill("../outside")
    name.press("Tab")
    page.click(".st-key-start button")
    problems = page.locator(".st-key-problems")
    expect(problems).to_contain_text("fast")
    expect(problems).to_contain_text("../outside")
    expect(rate).to_have_value("fast")
    expect(name).to_have_value("../outside")
    assert sorted(server.workspace.glob("saves/*/*/*")) == before


def test_a_broken_dataset_info_says_which_line(page: Page, server: Server) -> None:
    info = server.workspace / "data" / "dataset_info.json"
    good = info.read_text()
    try:
        info.write_text('{\n "demo_sft": {"file_name": "demo_sft.json"},\n "x": {\n}')
        choose_preset(page, "Demo")
        page.click(".st-key-start button")
        expect(page.locator(".st-key-problems")).to_contain_text("line 4")
    finally:
        info.write_text(good)


def test_unknown_dataset_and_arguments_that_are_no_mapping(page: Page, server: Server) -> None:
    before = sorted(server.workspace.glob("saves/*/*/*"))
    choose_preset(page, "Demo")
    box = page.locator(".st-key-train-dataset input:visible")
    box.fill("no_such_data")
    box.press("Enter")
    page.locator("section[data-testid=stSidebar] summary").filter(has_text="More arguments").click()
    raw = page.locator(".st-key-train-form-more-raw textarea")
    raw.fill("- not\n- a mapping")
    raw.press("Tab")
    page.click(".st-key-start button")
    problems = page.locator(".st-key-problems")
    expect(problems).to_contain_text("no_such_data")
    expect(problems).to_contain_text("mapping")
    raw.fill("learning_rate: 0.1")
    raw.press("Tab")
    expect(problems).to_contain_text("learning_rate")
    assert sorted(server.workspace.glob("saves/*/*/*")) == before


def test_without_llamafactory_start_says_what_to_install(browser: Browser, tmp_path: Path) -> None:
    running = start_server(tmp_path / "workspace", env={"LFDASH_CLI": "/no/llamafactory-cli"})
    try:
        tab = browser.new_page()
        tab.goto(running.url)
        tab.wait_for_selector(".st-key-start button:disabled", timeout=MINUTES)
        expect(tab.locator('[data-testid="stAlert"]').first).to_contain_text("LFDASH_CLI")
        expect(tab.locator(".st-key-preview button").first).to_be_enabled()
    finally:
        running.process.terminate()
        running.process.wait(20)


def test_five_languages_keep_what_was_typed(page: Page, server: Server) -> None:
    choose_preset(page, "Demo")
    sidebar = page.locator("section[data-testid=stSidebar]")
    sidebar.locator("summary").filter(has_text="Samples").click()
    typed = {"learning_rate": "0.0031", "num_train_epochs": "2.5", "cutoff_len": "12x"}  # the last one half typed
    for name, value in typed.items():
        box = page.locator(f".st-key-train-{name} input")
        box.fill(value)
        box.press("Tab")
    choose(page, "train-training_stage", "DPO")
    choose(page, "top-finetuning_type", "Freeze")
    choose(page, "train-lr_scheduler_type", "polynomial")
    switch = page.locator(".st-key-flag_train-packing")
    switch.get_by_text("Off", exact=True).click()
    words = {
        "Русский": ("Начать", "Демо", "Частичное (freeze)", "Выкл."), "日本語": ("開始", "デモ", "フリーズ", "オフ"),
        "한국어": ("시작", "데모", "일부 고정", "끔"), "简体中文": ("开始", "演示", "部分冻结", "关"),
        "English": ("Start", "Demo", "Freeze", "Off"),
    }
    for name, (start, demo, freeze, off) in words.items():
        pick_option(page, page.locator(".st-key-page-language input"), name)
        expect(page.locator(".st-key-start button").first).to_contain_text(start)
        preset = page.locator(".st-key-page-preset_pick input")
        expect(preset).to_have_count(1)  # the one of the language before stays until the page is drawn
        expect(preset).to_have_value(re.compile(demo))
        for field, value in typed.items():
            expect(page.locator(f".st-key-train-{field} input")).to_have_value(value)
        expect(sidebar.get_by_text("12x").first).to_be_visible()  # what is wrong with it, in words
        expect(page.locator(".st-key-train-lr_scheduler_type input:visible")).to_have_value("polynomial")
        expect(page.locator(".st-key-train-training_stage input:visible")).to_have_value("DPO")
        expect(page.locator(".st-key-top-finetuning_type input:visible")).to_have_value(freeze)
        expect(switch.get_by_role("radio", checked=True)).to_have_text(off)
        expect(page.get_by_test_id("stException")).to_have_count(0)
    (kept,) = [cookie for cookie in page.context.cookies() if cookie["name"] == "lfdash_language"]
    assert kept["value"] == "en"
    draft = json.loads((server.workspace / ".lfdash" / "draft-train.json").read_text())
    held = {name: draft["values"][f"train.{name}"] for name in (*typed, "training_stage", "packing")}
    assert held == {**typed, "training_stage": "dpo", "packing": False}
    assert (draft["preset"], draft["values"]["top.finetuning_type"]) == ("demo", "freeze")


def test_each_browser_has_its_own_language(page: Page, browser: Browser, server: Server) -> None:
    pick_option(page, page.locator(".st-key-page-language input"), "Русский")
    expect(page.locator(".st-key-start button").first).to_contain_text("Начать")
    page.reload()
    expect(page.locator(".st-key-start button").first).to_contain_text("Начать")
    other = browser.new_context()
    tab = other.new_page()
    tab.goto(server.url)
    expect(tab.locator(".st-key-start button").first).to_contain_text("Start", timeout=MINUTES)
    other.close()
