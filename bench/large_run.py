"""Opening a run of a million logged rows whose console has a gigabyte, in Chromium, beside a small run.

    python bench/large_run.py [--rounds 3] [--files FOLDER] [--picture FILE] [--write]

A fresh server on a workspace with some small runs and the large one. A tab on Runs opens a small run (the first page of
a server costs more than any later one), goes back, opens another small one, goes back, and opens the large one, each
time by a click on its name. Clocked by the page itself, from the click: until its name is there, until its chart is
drawn, until the chart has all rows, until the console is read, too. All the while a second tab, with a small run,
switches between its log and its configuration; how long that takes is compared with the same before. `--files` keeps
what is read, for the next time; `--write` puts the table into docs/benchmarks.md, between the marks.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from curves import write_console, write_log  # noqa: E402
from document import write  # noqa: E402
from startup import CHROMIUM, FLAGS  # noqa: E402
from tick import cpu_ms, server  # noqa: E402

MARKS = ("<!-- large: begin, written by bench/large_run.py -->", "<!-- large: end -->")
LARGE, SMALL = 1_000_000, 1_000  # rows
BARS = 6  # pictures of the progress bar a row: a console of a gigabyte
RUNS = {"warms-up": SMALL, "small": SMALL - 100, "other": SMALL - 200, "large": LARGE}
HEAD, ROW = 37, 35  # px of the table of runs
OPENS_S = 4.0  # aim: seconds until the chart is there
AT_REST = 12  # switches of the second tab before the large run is opened
DEADLINE_S = 120.0
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
STAGES = ("name", "chart", "rows", "console")

# From the click on: when what is waited for was there. `window.stages` has the milliseconds.
WATCH = """([name, last]) => {
  window.stages = {};
  let begin = null;
  document.addEventListener("pointerdown", () => { begin ??= performance.now(); }, {capture: true, once: true});
  const timer = setInterval(() => {
    if (begin === null) return;
    const now = performance.now() - begin;
    const tell = (stage, is) => { if (is && !(stage in window.stages)) window.stages[stage] = now; };
    const head = document.querySelector(".lf-name"), named = head !== null && head.textContent === name;
    const plot = document.querySelector(".st-key-curves_main .lf-plot"), canvas = plot && plot.querySelector("canvas");
    const words = plot ? plot.getAttribute("aria-label") : "";
    const drawn = named && canvas !== null && canvas.width > 0 && words.includes(" at step ");
    const end = drawn && /: last .*? at step (\\d+)/.exec(words.replaceAll(",", ""));
    const whole = drawn && end && Number(end[1]) >= 0.999 * last;  // of the last steps, the line has the extremes
    const busy = document.querySelector(".st-key-curves_main .lf-curves-busy");
    tell("name", named);
    tell("chart", drawn);
    tell("rows", whole);
    tell("console", whole && busy.hidden);
    if ("console" in window.stages) clearInterval(timer);
  }, 10);
}"""
# Milliseconds until a tab of the second page is there.
SWITCH = """([words, selector]) => new Promise((resolve) => {
  const begin = performance.now();
  [...document.querySelectorAll("button")].filter((one) => one.textContent.trim() === words).pop().click();
  const timer = setInterval(() => {
    if (!document.querySelector(selector)) return;
    clearInterval(timer);
    resolve(performance.now() - begin);
  }, 5);
})"""
TABS = (("Configuration", "[data-testid=stCode]"), ("Log", ".st-key-log_box"))


@dataclass(frozen=True)
class Round:
    """One round: seconds of each stage of a small run and of the large one; of the second tab's switches before and
    while the large run was opened; of the server's CPU for it; MB that the server grew by."""

    small: dict[str, float]
    large: dict[str, float]
    before: list[float]
    during: list[float]
    cpu: float
    memory: float


def made(folder: Path) -> Path:
    """The workspace, as plain `llamafactory-cli` would have left it."""
    workspace = folder / "workspace"
    for age, (name, rows) in enumerate(RUNS.items()):
        path = workspace / "saves/demo-llama/lora" / name
        path.mkdir(parents=True, exist_ok=True)
        if not (path / "console.log").exists():
            write_log(path / "trainer_log.jsonl", rows)
            write_console(path / "console.log", rows, 1, BARS)
            (path / "training_args.yaml").write_text("stage: sft\n", encoding="utf-8")
        for file in path.iterdir():
            os.utime(file, (time.time() - 3600 * (age + 1),) * 2)
        print(f"{name}: {sum(file.stat().st_size for file in path.iterdir()) / 1e6:,.1f} MB", file=sys.stderr)
    shutil.rmtree(workspace / ".lfdash", ignore_errors=True)
    return workspace


def show_runs(page: Page, url: str) -> None:
    """The table of runs, once it is there."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            page.goto(url)
            break
        except Exception:  # the server is not up yet
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
    see_runs(page)


def see_runs(page: Page) -> None:
    """Waits for the table with all runs."""
    page.wait_for_selector(".st-key-runs_bar", timeout=DEADLINE_S * 1000)
    page.wait_for_function(
        "count => document.querySelectorAll('.stDataFrame tbody td[data-testid^=glide-cell-1-]').length === count",
        arg=len(RUNS), timeout=DEADLINE_S * 1000,
    )
    page.wait_for_selector(IDLE)


def click_name(page: Page, name: str) -> None:
    """Opens a run, and has the page clock it."""
    page.evaluate(WATCH, [name, RUNS[name]])
    names = page.locator(".stDataFrame tbody td[data-testid^=glide-cell-1-]").all_text_contents()
    corner = page.locator(".stDataFrame canvas").first.bounding_box()
    assert corner is not None
    page.mouse.click(corner["x"] + 80, corner["y"] + HEAD + ROW * names.index(name) + ROW / 2)


def stages(page: Page) -> dict[str, float]:
    """Seconds of what was seen so far."""
    found: dict[str, float] = page.evaluate("window.stages")
    return {name: ms / 1000 for name, ms in found.items()}


def opened(page: Page, name: str) -> dict[str, float]:
    """Opens a small run and goes back."""
    click_name(page, name)
    page.wait_for_function("'console' in window.stages", timeout=DEADLINE_S * 1000)
    page.wait_for_selector(IDLE)
    found = stages(page)
    page.wait_for_timeout(1500)
    page.go_back()
    see_runs(page)
    page.wait_for_timeout(1500)
    return found


def switch(page: Page, number: int) -> float:
    """Shows another tab of the page; the seconds until it is there."""
    ms: float = page.evaluate(SWITCH, list(TABS[number % len(TABS)]))
    return ms / 1000


def once(browser: Browser, workspace: Path, picture: Path | None) -> Round:
    """A round with a fresh server."""
    shutil.rmtree(workspace / ".lfdash", ignore_errors=True)
    with server(workspace) as (process, url):
        page, second = (browser.new_page(viewport={"width": 1280, "height": 900}) for _ in range(2))
        show_runs(page, f"{url}/runs")
        opened(page, "warms-up")
        small = opened(page, "small")
        click_name(second_runs(second, url), "other")
        second.wait_for_function("'console' in window.stages", timeout=DEADLINE_S * 1000)
        second.wait_for_timeout(2000)
        before = [switch(second, number) for number in range(AT_REST)]
        cpu, memory = cpu_ms(process), resident(process)
        click_name(page, "large")
        during: list[float] = []
        deadline = time.monotonic() + DEADLINE_S
        while "console" not in (large := stages(page)) and time.monotonic() < deadline:
            during.append(switch(second, len(during)))
            second.wait_for_timeout(50)
        found = Round(small, large, before, during, (cpu_ms(process) - cpu) / 1000, resident(process) - memory)
        if picture:
            page.screenshot(path=str(picture))
        page.close()
        second.close()
    return found


def second_runs(page: Page, url: str) -> Page:
    """The second tab on Runs."""
    show_runs(page, f"{url}/runs")
    return page


def resident(process: psutil.Process) -> float:
    """MB of the server."""
    return float(process.memory_info().rss) / 1e6


def spread(values: Sequence[float]) -> str:
    """A median with its ends."""
    return f"{statistics.median(values):.2f} s ({min(values):.2f}–{max(values):.2f})"


def table(rounds: Sequence[Round]) -> str:
    """The rounds in Markdown."""
    names = {
        "name": "until its name is there", "chart": "until its chart is drawn", "rows": "until the chart has all rows",
        "console": "until its console is read, too",
    }
    where = f"Python {platform.python_version()}, {os.cpu_count()} cores, load of the machine {os.getloadavg()[0]:.1f}"
    what = (
        f"A click on a run in Runs, in Chromium at 1280x900: a run of {RUNS['small']:,} rows and, in the same session, "
        f"one of {LARGE:,} rows with a console of 1.1 GB that the server has not read before. Wall time, the median of "
        f"{len(rounds)} rounds with the smallest and the largest; {where}."
    )
    lines = [what, "", "| | small run | large run | ratio | aim |", "|---|---|---|---|---|"]
    for stage in STAGES:
        small, large = ([getattr(one, which)[stage] for one in rounds] for which in ("small", "large"))
        ratio = statistics.median(large) / statistics.median(small)
        aim = f"under {OPENS_S:.0f} s" if stage in ("chart", "rows") else ""
        lines.append(f"| {names[stage]} | {spread(small)} | {spread(large)} | {ratio:.1f} | {aim} |")
    before, during = ([value for one in rounds for value in getattr(one, which)] for which in ("before", "during"))
    ratio = statistics.median(during) / statistics.median(before)
    tabs = f"median (shortest–longest) of {len(before)} and {len(during)} clicks"
    memory = statistics.median(one.memory for one in rounds)
    lines += [
        "", "| a second tab, from a click until what it asks for is there | before | meanwhile | ratio |",
        "|---|---|---|---|",
        f"| {tabs} | {spread(before)} | {spread(during)} | {ratio:.1f} |",
        "", f"The server took {spread([one.cpu for one in rounds])} of CPU for it all, and {memory:.0f} MB of memory.",
    ]
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=Path, help="folder in which what is read is kept")
    parser.add_argument("--picture", type=Path, help="a PNG of the large run, once it is there")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    if shutil.which(CHROMIUM) is None:
        sys.exit("Chromium is missing")
    rounds = []
    with tempfile.TemporaryDirectory(prefix="lfdash-bench-") as scratch, sync_playwright() as driver:
        workspace = made(options.files or Path(scratch))
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for _ in range(options.rounds):
            rounds.append(once(browser, workspace, options.picture))
            print(rounds[-1], file=sys.stderr)
        browser.close()
    text = table(rounds)
    print(text)
    if options.write:
        write(MARKS, text)


if __name__ == "__main__":
    main()
