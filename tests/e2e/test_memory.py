"""The form's GPU memory in a real browser, on a machine that has a card in place of the driver's package only."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from lfdash.engine.memory import DRY_RUN_S
from tests.e2e.conftest import Server, drawn, pick_option
from tests.e2e.test_train import choose_preset, wait_state
from tests.support import ROOT
from tests.support.gpu import stand_in
from tests.support.server import start_server

pytestmark = [pytest.mark.e2e, pytest.mark.train_env]
LORA = "LoRA 7B, fits 24 GB: Qwen2.5-7B"


@pytest.fixture(scope="module")
def card_server(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that sees one card of 80 GB, of which 1 GB is in use."""
    folder = tmp_path_factory.mktemp("card")
    for part in ("data", "models", ".lfdash"):
        shutil.copytree(demo_workspace / part, folder / "workspace" / part)
    running = start_server(folder / "workspace", env=stand_in(folder / "driver", (80, 1)))
    yield running
    running.end()


@pytest.fixture
def card_page(browser: Browser, card_server: Server) -> Iterator[Page]:
    for draft in (card_server.workspace / ".lfdash").glob("draft-*.json"):
        draft.unlink()
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(card_server.url)
    page.wait_for_selector(".st-key-start button:enabled", timeout=60_000)
    choose_preset(page, LORA)
    expect(figure(page)).to_contain_text("of 80 GiB on GPU 0", timeout=60_000)
    yield page
    context.close()


def figure(page: Page) -> Locator:
    return page.locator(".st-key-memory_open button:visible")


def needed(page: Page) -> float:
    drawn(page)
    (found,) = re.findall(r"about ([\d.]+) of", figure(page).inner_text())
    return float(found)


def batch(page: Page) -> Locator:
    return page.locator(".st-key-train-batch_size input:visible").first


def test_the_figure_follows_the_batch_size(card_page: Page) -> None:
    page = card_page
    before = needed(page)
    expect(figure(page)).to_contain_text("fits")
    batch(page).fill("64")
    batch(page).press("Enter")
    expect(figure(page)).to_contain_text("does not fit")
    assert needed(page) > 3 * before
    expect(page.locator(".st-key-start button:visible")).to_be_enabled()  # it warns, and refuses nothing
    figure(page).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("does not fit")
    expect(dialog.locator(".st-key-memory_terms canvas, .st-key-memory_terms svg").first).to_be_visible()


def test_make_it_fit_on_24_gb_and_undo_also_after_the_dialog_is_closed(card_page: Page) -> None:
    page = card_page
    batch(page).fill("8")
    batch(page).press("Enter")
    before = needed(page)
    assert before > 24
    figure(page).click()
    dialog = page.get_by_role("dialog")
    pick_option(page, dialog.locator(".st-key-memory-card input").first, "24 GB (")
    expect(dialog.locator(".st-key-memory_apply button:visible")).to_be_enabled()
    expect(dialog.locator(".st-key-memory_diff")).to_be_visible()
    dialog.locator(".st-key-memory_apply button:visible").click()
    expect(dialog).to_contain_text("It fits as it is.")  # the dialog is still open, and counts anew
    dialog.locator(".st-key-memory_undo button:visible").click()
    expect(dialog.locator(".st-key-memory_apply button:visible")).to_be_enabled()
    dialog.locator(".st-key-memory_apply button:visible").click()
    expect(dialog).to_contain_text("It fits as it is.")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert needed(page) <= 24 * 0.92
    page.locator(".st-key-memory_undo_foot button:visible").click()  # in view, beside the figure
    expect(batch(page)).to_have_value("8")
    assert needed(page) == before


def test_a_setting_whose_package_is_not_installed_cannot_be_applied_and_says_so(card_page: Page) -> None:
    """As the environment of the tests is: with the package, it can."""
    page = card_page
    figure(page).click()
    dialog = page.get_by_role("dialog")
    button = dialog.locator(".st-key-memory_apply_liger button:visible")
    if find_spec("liger_kernel"):
        expect(button).to_be_enabled()
    else:
        expect(button).to_be_disabled(timeout=60_000)
        expect(dialog.locator(".st-key-memory_knob_liger")).to_contain_text("pip install liger-kernel")
    dialog.get_by_text("Fits on", exact=True).click()
    expect(dialog).to_contain_text("With changes")


def test_measure_precisely_answers_on_the_demo(page: Page) -> None:
    """LLaMA-Factory's own code on fake tensors; the dialog stays open, and the figure is the measured one."""
    figure(page).click()
    dialog = page.get_by_role("dialog")
    dialog.locator(".st-key-memory_measure_go button:visible").click()
    expect(dialog.locator(".st-key-memory_cancel button:visible")).to_be_visible()
    expect(dialog).to_contain_text(re.compile(r"Measured by a dry run in \d+ s"), timeout=1000 * DRY_RUN_S)
    expect(dialog).to_contain_text("By a dry run of LLaMA-Factory")
    expect(dialog.locator(".st-key-memory_measure_go")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(figure(page)).to_be_enabled()


def test_a_run_that_ran_out_of_memory_says_why_and_offers_to_make_it_fit(
    demo_workspace: Path, tmp_path: Path, browser: Browser
) -> None:
    """The log is a real one, of another machine."""
    for part in ("data", "models", ".lfdash"):
        shutil.copytree(demo_workspace / part, tmp_path / "workspace" / part)
    log = ROOT / "tests" / "fixtures" / "memory" / "out_of_memory_batch.txt"
    cli = tmp_path / "llamafactory-cli"
    cli.write_text(f"#!{sys.executable} -IS\nimport sys\nsys.stderr.write(open({str(log)!r}).read())\nsys.exit(1)\n")
    cli.chmod(0o755)
    env = stand_in(tmp_path / "driver", (140, 1)) | {"LFDASH_CLI": str(cli)}
    running = start_server(tmp_path / "workspace", env=env)
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(running.url)
    page.wait_for_selector(".st-key-start button:enabled", timeout=60_000)
    choose_preset(page, LORA)
    batch(page).fill("16")
    batch(page).press("Enter")
    drawn(page)
    page.locator(".st-key-start button:visible").click()
    told = page.locator("[data-testid=stAlert]", has_text="this run had 84.1 GiB")
    expect(told).to_contain_text("It ended at the logits", timeout=60_000)
    expect(told).to_contain_text("Estimated for this run: about ")
    batch(page).fill("3")
    batch(page).press("Enter")
    page.locator(".st-key-oom_fit button:visible").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("GPU memory of this job")
    expect(dialog.locator(".st-key-memory-card input").first).to_have_value(re.compile("^141 GB"))
    page.keyboard.press("Escape")
    expect(batch(page)).to_have_value("16")  # the run's own settings
    page.close()
    running.end()


def test_a_job_for_any_gpu_where_it_fits_waits_says_why_and_starts_there(
    demo_workspace: Path, tmp_path: Path, browser: Browser
) -> None:
    """What is free on the card is in a file; the training is a program that ends at once."""
    for part in ("data", "models", ".lfdash"):
        shutil.copytree(demo_workspace / part, tmp_path / "workspace" / part)
    cli, seen = tmp_path / "llamafactory-cli", tmp_path / "seen"
    cli.write_text(f"#!{sys.executable} -IS\nimport os\n"
                   f"open({str(seen)!r}, 'w').write(os.environ['CUDA_VISIBLE_DEVICES'])\n")
    cli.chmod(0o755)
    env = stand_in(tmp_path / "driver", (8, 0), (80, 75)) | {"LFDASH_CLI": str(cli)}
    running = start_server(tmp_path / "workspace", env=env)
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(running.url)
    page.wait_for_selector(".st-key-start button:enabled", timeout=60_000)
    choose_preset(page, LORA)
    page.locator("summary:visible", has_text="Devices").click()
    page.locator("[class*='st-key-flag_train-gpu_fits'] button:visible", has_text="on").click()
    expect(figure(page)).to_contain_text("about 20")
    drawn(page)
    page.locator(".st-key-enqueue button:visible").click()
    waiting = page.locator("[data-testid=stAlert]", has_text="GiB on each GPU")
    expect(waiting).to_contain_text("so much is not free now on GPU 1", timeout=60_000)
    stand_in(tmp_path / "driver", (8, 0), (80, 1))  # whoever had it has left
    wait_state(page, "SUCCEEDED", 1)
    assert seen.read_text() == "1"
    page.close()
    running.end()
