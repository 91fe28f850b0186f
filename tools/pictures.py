"""Takes the pictures of docs/guide.md from the real page; called by `make pictures` (about three minutes on two cores).

A demo workspace is made anew, the real server serves it, the real llamafactory-cli trains, evaluates and exports the
demo, and Chromium looks at the views one after the other. Nothing is drawn by hand, so that the pictures stay true.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Locator, Page, TimeoutError, expect, sync_playwright

import lfdash
from lfdash.runs.record import TERMINAL

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "docs/pictures"
WIDTH, HEIGHT = 1280, 720  # px
LARGEST = 150_000  # bytes of one picture
COLOURS = 256  # of one picture: the page has few, and the file is a third
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
SIDEBAR = "section[data-testid=stSidebar]"
MINUTE = 60_000  # ms
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
TRAINED, EVALUATED, EXPORTED = "demo", "demo-scores", "demo-merged"
SHORTER = "demo-slow"  # a run to compare with
SHORTER_HAS = {"learning_rate": 0.0005, "max_steps": 24, "output_dir": f"saves/demo-llama/lora/{SHORTER}"}
SWEPT = {"learning_rate": "0.0005, 0.002, 0.005", "lora_rank": "8, 32"}


# -- the server ---------------------------------------------------------------------------------------------


@contextmanager
def served(workspace: Path) -> Iterator[str]:
    """A server on a workspace; gives its address and ends it afterwards."""
    command = [sys.executable, "-m", "lfdash", "--workspace", str(workspace), "--port", "8701"]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, text=True)
        try:
            yield address(process, lambda: words_of(log))
        finally:
            process.terminate()
            process.wait(20)


def words_of(log: io.TextIOBase) -> str:
    """What the server has printed."""
    log.seek(0)
    return log.read()


def address(process: subprocess.Popen[str], printed: Callable[[], str]) -> str:
    """The address that the server has printed, when it answers there. SystemExit when it does not in a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        url = re.search(r"http://127\.0\.0\.1:\d+", printed())
        try:
            if url and urllib.request.urlopen(f"{url.group()}/_stcore/health", timeout=5):
                return url.group()
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"the server does not answer:\n{printed()}")


def train_shorter(root: Path) -> None:
    """Trains a shorter run beside the one of the page, so that the list has two. SystemExit when it fails."""
    run = lfdash.open(root).start(ROOT / "configs/presets/demo.yaml", SHORTER_HAS)
    if isinstance(run, lfdash.Refused):
        raise SystemExit(str(run))
    if run.wait() != "SUCCEEDED":
        raise SystemExit(f"{run.name}: {run.state}\n{run.log()}")


def end_runs(root: Path) -> None:
    """Ends what still goes on, such as the chat, so that nothing writes while the folder is taken away."""
    workspace = lfdash.open(root)
    for view in workspace.look():
        if view.state not in TERMINAL:
            run = workspace.run(view.run_id)
            if not isinstance(run, lfdash.Refused):
                run.stop("kill")
                run.wait(60)


# -- the page -----------------------------------------------------------------------------------------------


def settle(page: Page) -> None:
    """Waits until the page is drawn, and moves the mouse and the focus away: no tooltip, no frame around a field."""
    page.mouse.move(WIDTH - 2, HEIGHT - 2)
    page.evaluate("document.activeElement && document.activeElement.blur()")
    page.wait_for_selector(IDLE)
    expect(page.get_by_test_id("stTooltipContent")).to_have_count(0)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
    expect(page.locator("[data-stale=true]")).to_have_count(0)
    page.evaluate("document.fonts.ready")
    same_twice(page)


def same_twice(page: Page) -> None:
    """Waits until two looks at the page, a moment apart, are the same: nothing fades in or grows any more."""
    before = b""
    for _ in range(40):
        now = page.screenshot()
        if now == before:
            return
        before = now
        page.wait_for_timeout(250)
    raise SystemExit("the page does not come to rest")


def take(page: Page, name: str) -> None:
    """Writes docs/pictures/NAME.png. SystemExit when it shows an error or is too large."""
    settle(page)
    expect(page.get_by_test_id("stException")).to_have_count(0)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = OUT / f"{name}.png"
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size:,} bytes")
    if size > LARGEST:
        raise SystemExit(f"{path.name} is larger than {LARGEST:,} bytes")


def pick(page: Page, key: str, words: str, *, several: bool = False) -> None:
    """Types into a box with a list and takes the option with these words. several: the box takes more than one, and its
    list stays open. Streamlit closes a list when the page is drawn anew: then it is opened again."""
    box: Locator = page.locator(f".st-key-{key} input")
    option = page.get_by_role("option").filter(has_text=words).first
    for _ in range(8):
        box.click()
        box.fill(words)
        try:
            option.click(timeout=4_000)
            if several:
                page.keyboard.press("Escape")  # in a box of one it would clear what was chosen
            page.wait_for_selector(IDLE)
            return
        except TimeoutError:
            page.keyboard.press("Escape")
    raise SystemExit(f"no option {words!r} in {key}")


def fill(page: Page, key: str, text: str) -> None:
    """Writes into a field."""
    box = page.locator(f".st-key-{key} input")
    box.fill(text)
    box.press("Tab")
    page.wait_for_selector(IDLE)
    expect(box).to_have_value(text)


def visit(page: Page, name: str, sign: str) -> None:
    """Goes to another view by its link and waits for what only this view has."""
    page.get_by_role("link", name=name, exact=True).click()
    page.wait_for_selector(sign, timeout=MINUTE)
    page.wait_for_selector(IDLE)


def start(page: Page, name: str) -> None:
    """Presses Start and waits for the end of the run of this name."""
    page.click(".st-key-start button")
    page.wait_for_selector(f".lf-name:text-is('{name}')", timeout=MINUTE)
    page.wait_for_selector('.st-key-strip .lf-state[data-state="SUCCEEDED"]', timeout=5 * MINUTE)


# -- the views ----------------------------------------------------------------------------------------------


def picture_train(page: Page) -> None:
    """The demo preset, trained to its end."""
    pick(page, "page-preset_pick", "Demo")
    expect(page.locator(".st-key-top-model_path input")).to_have_value(re.compile("^models/demo-llama"))
    fill(page, "train-output_dir", TRAINED)
    start(page, TRAINED)
    page.wait_for_selector(".lf-canvas canvas", timeout=MINUTE)
    page.locator("[data-testid=stSidebarContent]").evaluate("sidebar => sidebar.scrollTo(0, 0)")
    take(page, "train")


def picture_sweep(page: Page) -> None:
    """Six short runs over two settings, to their end."""
    visit(page, "Train", ".st-key-start button:enabled")
    fill(page, "train-num_train_epochs", "1")
    page.click(".st-key-sweep button")
    dialog = page.get_by_role("dialog")
    for name, values in SWEPT.items():
        pick(page, "sweep-fields", name)
        page.keyboard.press("Tab")
        box = dialog.locator(f".st-key-sweep-values-{name} input")
        box.wait_for(timeout=MINUTE)
        box.fill(values)
        box.press("Tab")
        page.wait_for_selector(IDLE)
    dialog.locator(".st-key-sweep_start button").first.click()
    expect(dialog).to_have_count(0)
    page.click(".st-key-sweep button")
    dialog.locator("summary").first.click()
    dialog.get_by_role("link", name="Open", exact=True).click()
    page.wait_for_selector('.lf-sweep [data-state="done"]', timeout=15 * MINUTE)
    page.wait_for_selector("[data-testid=stVegaLiteChart] canvas, [data-testid=stVegaLiteChart] svg", timeout=MINUTE)
    take(page, "sweep")


def picture_evaluate(page: Page) -> None:
    """The trained adapter's predictions for some rows of what it has learned."""
    visit(page, "Evaluate", ".st-key-eval-output_dir")
    pick(page, "eval-dataset", "demo_sft", several=True)
    fill(page, "eval-max_samples", "24")
    fill(page, "eval-max_new_tokens", "24")
    fill(page, "eval-output_dir", EVALUATED)
    page.locator(f"{SIDEBAR} summary").filter(has_text="Model loading").click()
    pick(page, "top-checkpoint_path", TRAINED, several=True)
    page.locator(f"{SIDEBAR} summary").filter(has_text="Model loading").click()
    start(page, EVALUATED)
    page.get_by_role("radio", name="Predictions", exact=True).click()
    page.get_by_text("1 to 20 of 24").wait_for()
    take(page, "evaluate")


def picture_export(page: Page) -> None:
    """The adapter merged into its model."""
    visit(page, "Export", ".st-key-export-export_dir")
    fill(page, "export-export_dir", f"models/{EXPORTED}")
    fill(page, "export-output_dir", EXPORTED)
    start(page, EXPORTED)
    page.get_by_role("radio", name="Configuration", exact=True).click()  # the log has paths of this machine
    page.get_by_text("export_dir: models").wait_for()
    take(page, "export")


def picture_runs(page: Page) -> None:
    """All runs of the workspace."""
    visit(page, "Runs", ".st-key-runs_bar")
    take(page, "runs")


def picture_compare(page: Page) -> None:
    """The trained run over the shorter one."""
    visit(page, "Compare", ".st-key-compare_offered")
    for name in (TRAINED, SHORTER):
        page.locator(".st-key-compare_offered").get_by_role("button", name=name, exact=True).click()
        page.locator(".st-key-compare_chosen").get_by_role("link", name=name, exact=True).first.wait_for()
        page.wait_for_selector(IDLE)
    page.wait_for_selector(".lf-canvas canvas", timeout=MINUTE)
    take(page, "compare")


def picture_data(page: Page) -> None:
    """One of the demo's datasets."""
    visit(page, "Data", ".st-key-data-pick")
    pick(page, "data-pick", "demo_sft")
    take(page, "data")


def picture_arguments(page: Page) -> None:
    """The arguments that have to do with LoRA."""
    visit(page, "Arguments", ".st-key-arguments-find")
    fill(page, "arguments-find", "lora")
    take(page, "arguments")


def picture_chat(page: Page) -> None:
    """The trained adapter, asked what it has learned."""
    page.get_by_role("link", name="Train", exact=True).click()
    page.locator(".st-key-try_it_after button").first.click()
    page.wait_for_selector(".st-key-chat-output_dir", timeout=MINUTE)
    page.wait_for_selector(IDLE)
    page.click(".st-key-start button:enabled", timeout=MINUTE)
    prompt = page.locator(".st-key-chat_input textarea")
    prompt.wait_for(timeout=2 * MINUTE)
    prompt.fill("What is the capital of Peru?")
    prompt.press("Enter")
    page.wait_for_selector(".st-key-chat_again button", timeout=5 * MINUTE)
    take(page, "chat")


VIEWS = (picture_train, picture_evaluate, picture_export, picture_runs, picture_compare, picture_data,
         picture_arguments, picture_sweep, picture_chat)


def open_page(browser: Browser, url: str) -> Page:
    """A tab on the dashboard, light, in English, usable."""
    context = browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light", locale="en-US", reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(".st-key-start button:enabled", timeout=2 * MINUTE)
    return page


def main() -> int:
    """Makes the workspace and takes all pictures; the exit code."""
    options = argparse.ArgumentParser(description="Takes the pictures of docs/guide.md from the real page.")
    options.add_argument("--chromium", default=shutil.which("chromium") or "/usr/bin/chromium", help="the browser")
    options.add_argument("--only", help="take this picture alone, such as sweep: of a view that needs no other")
    chosen = options.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"  # threads that wait for each other slow a busy machine down
    expect.set_options(timeout=20_000)
    with tempfile.TemporaryDirectory(prefix="lfdash-pictures-") as folder:
        root = Path(folder) / "workspace"
        subprocess.run([sys.executable, "-m", "lfdash.demo", str(root)], check=True)
        if chosen.only is None:
            train_shorter(root)
        with served(root) as url, sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chosen.chromium, args=FLAGS)
            page = open_page(browser, url)
            for picture in VIEWS:
                if chosen.only in (None, picture.__name__.removeprefix("picture_")):
                    picture(page)
            browser.close()
        end_runs(root)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
