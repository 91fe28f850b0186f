"""What a look at a run costs while its page is open: the server's CPU and the bytes on the wire.

    python bench/tick.py [--ticks 30] [--rows 2000] [--write]

A server on a workspace of its own, with a run that goes on, and one tab in Chromium that shows it: the large chart and
the small ones (the Curves tab), or the large chart and the log. With news, the run logs a line, and prints one, before
each look; without, nothing. CPU is that of the server's process, less that of the same time without a tab; bytes are
those of the websocket, both ways.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Page, WebSocket, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from startup import CHROMIUM, FLAGS, free_port  # noqa: E402

from tests.support.growing import GrowingRun  # noqa: E402

LOOK_S = 2.0  # between two looks of a tab at a run that goes on
DOCUMENT = ROOT / "docs/benchmarks.md"
MARKS = ("<!-- tick: begin, written by bench/tick.py -->", "<!-- tick: end -->")
AIMS = {"with news": (25, 15_000), "without": (3, 1_000)}


@dataclass(frozen=True)
class Cost:
    """Of one look. cpu: ms of the server; down, up: bytes to and from the browser."""

    what: str
    cpu: float
    down: float
    up: float


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
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield psutil.Process(started.pid), f"http://127.0.0.1:{port}"
    finally:
        started.terminate()
        started.wait(20)


def cpu_ms(process: psutil.Process) -> float:
    """CPU time of the server's process so far."""
    times = process.cpu_times()
    return (times.user + times.system) * 1000


def measure(page: Page, process: psutil.Process, run: GrowingRun, wire: Wire, ticks: int, *, news: bool) -> Cost:
    """Some looks, with a line more before each of them or without; what goes on without a tab is in it."""
    cpu, down, up = cpu_ms(process), wire.down, wire.up
    for _ in range(ticks):
        if news:
            run.go_on(1)
        page.wait_for_timeout(LOOK_S * 1000)
    spent = (cpu_ms(process) - cpu) / ticks
    return Cost("", spent, (wire.down - down) / ticks, (wire.up - up) / ticks)


def at_rest(page: Page, process: psutil.Process, run: GrowingRun, ticks: int, *, news: bool) -> float:
    """What the server does in the time of a look without a tab: it looks after the runs."""
    page.goto("about:blank")
    time.sleep(3)
    return measure(page, process, run, Wire(page), ticks, news=news).cpu


def costs(ticks: int, rows: int) -> list[Cost]:
    """The table."""
    found = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        workspace = Path(folder) / "workspace"
        workspace.mkdir()
        run = GrowingRun(workspace, "run", total=rows * 2).go_on(rows)
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with server(workspace) as (process, url):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            wire = Wire(page)
            for tab in ("Curves", "Log"):
                run.go_on(1)
                open_page(page, f"{url}/?run={run.run_id}", tab)
                for word, news in (("with news", True), ("without", False)):
                    one = measure(page, process, run, wire, ticks, news=news)
                    found.append(Cost(f"{tab}, {word}", one.cpu, one.down, one.up))
            rest = {news: at_rest(page, process, run, ticks, news=news) for news in (True, False)}
        browser.close()
    return [Cost(one.what, one.cpu - rest["with" in one.what.split()], one.down, one.up) for one in found]


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
    page.get_by_text(tab, exact=True).first.click()
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
        cpu, wire = AIMS["with news" if "with news" in one.what else "without"]
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
        whole = DOCUMENT.read_text(encoding="utf-8")
        begin, end = whole.index(MARKS[0]) + len(MARKS[0]), whole.index(MARKS[1])
        DOCUMENT.write_text(f"{whole[:begin]}\n{text}\n{whole[end:]}", encoding="utf-8")


if __name__ == "__main__":
    main()
