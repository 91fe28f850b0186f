"""What a look at a run costs while its page is open: the server's CPU and the bytes on the wire.

    python bench/tick.py [--ticks 30] [--rows 2000] [--write]

A server on a workspace of its own, with a run that goes on, and one tab in Chromium that shows it: five charts (the
large one and four small ones, the Curves tab), or the large chart and the log. With news, the run logs a line, and
prints its values and a progress bar, before each look; without, nothing. CPU is that of the server's process, less that
of the same time without a tab, just before and just after; bytes are those of the websocket, both ways.

The page shows the small charts or the log, not both. What both would cost is reckoned: the costs of the two, less those
of a tab that shows neither (the configuration).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
from playwright.sync_api import Page, WebSocket, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from document import write  # noqa: E402
from startup import CHROMIUM, FLAGS, NOT_WARM, free_port  # noqa: E402

from tests.support.growing import GrowingRun, row  # noqa: E402

LOOK_S = 2.0  # between two looks of a tab at a run that goes on
CHARTS = 5  # loss, learning rate, gradient norm, speed, memory
TABS = ("Curves", "Log", "Configuration")
LINES = {
    ("Curves",): "Five charts", ("Log",): "A chart and the log", ("Curves", "Log"): "Five charts and the log, reckoned",
}
NEWS = {"with news": True, "without": False}
MARKS = ("<!-- tick: begin, written by bench/tick.py -->", "<!-- tick: end -->")
AIMS = {"with news": (25, 15_000), "without": (3, 1_000)}


@dataclass(frozen=True)
class Cost:
    """Of one look. cpu: ms of the server; down, up: bytes to and from the browser."""

    what: str
    cpu: float
    down: float
    up: float


class Trained(GrowingRun):
    """A run that logs its memory, too, and prints what a trainer prints."""

    def go_on(self, steps: int) -> GrowingRun:
        """So many steps more, with an evaluation each hundred."""
        logged, printed = [], []
        for step in range(self.steps + 1, self.steps + steps + 1):
            one = row(step, self.total) | {"vram_allocated": 17.2 + step % 3 / 10, "vram_reserved": 18.5}
            logged.append(one)
            told = {"loss": f"{one['loss']:.4g}", "grad_norm": str(0.4 + step % 9 / 50), "epoch": f"{one['epoch']:.4g}"}
            bar = f"{100 * step // self.total:3d}%|████      | {step}/{self.total} [1:02:03<40:12,  1.3s/it]\r"
            printed.append(f"{told}\n{bar}")
            if step % 100 == 0:
                same = {name: one[name] for name in ("current_steps", "total_steps", "epoch")}
                logged.append(same | {"eval_loss": round(one["loss"] + 0.05, 4)})
        self.steps += steps
        with (self.path / "trainer_log.jsonl").open("a", encoding="utf-8") as log:
            log.writelines(json.dumps(one) + "\n" for one in logged)
        with (self.path / "console.log").open("a", encoding="utf-8") as console:
            console.writelines(printed)
        return self


class Wire:
    """What went over the websockets of a page."""

    def __init__(self, page: Page) -> None:
        self.down = self.up = 0
        page.on("websocket", self.follow)

    def follow(self, socket: WebSocket) -> None:
        """Counts what goes over one."""

        def came(payload: str | bytes) -> None:
            self.down += len(payload)

        def went(payload: str | bytes) -> None:
            self.up += len(payload)

        socket.on("framereceived", came)
        socket.on("framesent", went)


@contextmanager
def server(workspace: Path) -> Iterator[tuple[psutil.Process, str]]:
    """Our own server on a free port, once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "lfdash", "--workspace", str(workspace), "--port", str(port)]
    env = {**os.environ, "PYTHONPATH": str(ROOT), **NOT_WARM}
    started = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield psutil.Process(started.pid), f"http://127.0.0.1:{port}"
    finally:
        started.terminate()
        started.wait(20)


def cpu_ms(process: psutil.Process) -> float:
    """CPU time of the server's process so far, of threads that ended, too. Its kernel's clock is finer than the
    hundredths of a second in which psutil tells it."""
    return time.clock_gettime((~process.pid << 3) | 2) * 1000


def measure(page: Page, process: psutil.Process, run: GrowingRun, wire: Wire, ticks: int, *, news: bool) -> Cost:
    """Some looks, with a line more before each of them or without; what goes on without a tab is in it."""
    cpu, down, up = cpu_ms(process), wire.down, wire.up
    for _ in range(ticks):
        if news:
            run.go_on(1)
        page.wait_for_timeout(LOOK_S * 1000)
    spent = (cpu_ms(process) - cpu) / ticks
    return Cost("", spent, (wire.down - down) / ticks, (wire.up - up) / ticks)


def at_rest(page: Page, process: psutil.Process, run: GrowingRun, ticks: int) -> dict[str, float]:
    """ms of CPU in the time of a look without a tab, with news and without: the server looks after the runs."""
    page.goto("about:blank")
    time.sleep(3)
    return {word: measure(page, process, run, Wire(page), ticks, news=news).cpu for word, news in NEWS.items()}


def costs(ticks: int, rows: int) -> list[Cost]:
    """The table."""
    seen: dict[tuple[str, str], Cost] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        workspace = Path(folder) / "workspace"
        workspace.mkdir()
        run = Trained(workspace, "run", total=rows * 2)
        run.go_on(rows)
        (run.path / "training_args.yaml").write_text("stage: sft\n", encoding="utf-8")
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with server(workspace) as (process, url):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            wire = Wire(page)
            open_page(page, f"{url}/?run={run.run_id}", "Curves")
            before = at_rest(page, process, run, ticks)
            for tab in TABS:
                open_page(page, f"{url}/?run={run.run_id}", tab)
                found = {word: measure(page, process, run, wire, ticks, news=news) for word, news in NEWS.items()}
                after = at_rest(page, process, run, ticks)
                for word, one in found.items():
                    rest = (before[word] + after[word]) / 2
                    print(f"{tab}, {word}: {one}; at rest {before[word]:.1f}, {after[word]:.1f} ms", file=sys.stderr)
                    seen[tab, word] = replace(one, cpu=one.cpu - rest)
                before = after
        browser.close()
    return [line(tabs, word, seen) for tabs in (("Curves",), ("Log",), ("Curves", "Log")) for word in NEWS]


def line(tabs: tuple[str, ...], word: str, seen: dict[tuple[str, str], Cost]) -> Cost:
    """A line of the table: a tab as it was measured, or two together."""
    parts, neither = [seen[tab, word] for tab in tabs], seen["Configuration", word]
    again = len(parts) - 1  # what the page costs without them is in each
    return Cost(
        f"{LINES[tabs]}, {word}", sum(one.cpu for one in parts) - again * neither.cpu,
        sum(one.down for one in parts) - again * neither.down, sum(one.up for one in parts) - again * neither.up,
    )


def open_page(page: Page, url: str, tab: str) -> None:
    """Shows the run with one of the tabs, and waits until nothing is drawn any more."""
    for attempt in range(60):
        try:
            page.goto(url)
            break
        except Exception as error:  # the server is not up yet
            if attempt == 59:
                raise
            print(f"waiting: {type(error).__name__}", file=sys.stderr)
            time.sleep(1)
    page.wait_for_selector(".lf-canvas canvas", timeout=120_000)
    page.get_by_text(tab, exact=True).last.click()  # the chart's bar has a Log, too
    if tab == "Curves":
        page.wait_for_function("count => document.querySelectorAll('.lf-canvas canvas').length === count", arg=CHARTS)
    page.wait_for_timeout(6000)


def table(found: Sequence[Cost], ticks: int, rows: int) -> str:
    """The costs in Markdown."""
    where = f"Python {platform.python_version()}, {os.cpu_count()} cores."
    lines = [
        f"A look at a run of {rows:,} lines that goes on, with one tab at 1280x900; the mean of {ticks} looks. {where}",
        "",
        "| | server CPU, ms | aim | to the browser, bytes | aim | from it |", "|---|---|---|---|---|---|",
    ]
    for one in found:
        cpu, wire = AIMS[one.what.rpartition(", ")[2]]
        lines.append(f"| {one.what} | {one.cpu:.1f} | {cpu} | {one.down:,.0f} | {wire:,} | {one.up:,.0f} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=30)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    if shutil.which(CHROMIUM) is None:
        sys.exit("Chromium is missing")
    text = table(costs(options.ticks, options.rows), options.ticks, options.rows)
    print(text)
    if options.write:
        write(MARKS, text)


if __name__ == "__main__":
    main()
