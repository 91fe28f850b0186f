"""What ten thousand runs cost: looks of the registry and ticks of the Runs page, beside fewer runs.

    python bench/many_runs.py [--few 1000] [--runs 10000] [--looks 40] [--seconds 30] [--port 8890] [--write]

One run of each workspace goes on and logs twice a second. Measured for --few and for --runs runs, in one go:

* found: seconds until every run is found, on a workspace never seen (their files are in memory: they were just made);
* look: CPU time of what the registry's thread does every half second, of a look at everything, and of the same done
  naively, by reading every run's files again (what a look costs when nothing is remembered);
* rows: CPU time to make the table's rows and columns from a snapshot in which one run has changed, of all rows, and of
  those that a search has left;
* differing, grouped: CPU time to find the arguments in which all rows differ, and to put the rows into groups;
* first, again: seconds until every log is summed up, on a workspace never seen and after a restart; restart: CPU time
  of the first look of a later process, which finds what the one before has kept;
* page: CPU seconds a minute of the real server with one tab on the Runs page in Chromium, and of that server without
  a tab; CPU milliseconds of the server for the table in its first tab, in one that is loaded anew, for a filter that is
  typed and for a tick of a box, and the bytes that the browser gets for them (--seconds 0 leaves all of it out). The
  first tab of a server loads what every page needs (some 500 ms).

The last column is the number for many runs divided by the one for few: with ten times the runs, 10 is in proportion.
--write puts the table into docs/benchmarks.md, between the marks.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import psutil  # noqa: E402
from document import write  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

from lfdash.engine.registry import WALK_EVERY, ProcessRegistry  # noqa: E402
from lfdash.launchers.local import LocalLauncher  # noqa: E402
from lfdash.runs.finding import Wanted  # noqa: E402
from lfdash.runs.grouping import grouped  # noqa: E402
from lfdash.runs.order import arrange  # noqa: E402
from lfdash.runs.scan import TURNS, RunScan  # noqa: E402
from lfdash.runs.summary_cache import SummaryCache  # noqa: E402
from lfdash.runs.table import Table  # noqa: E402
from tests.support.crowd import crowd  # noqa: E402
from tests.support.runs import fake_cli, launch, plan_for, wait_for  # noqa: E402

MARKS = ("<!-- runs: begin, written by bench/many_runs.py -->", "<!-- runs: end -->")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
IDLE_S = 2.0  # between two acts
SETTLE_S = 8.0  # of a server with its page open, before it is measured


@dataclass(frozen=True)
class Bench:
    """A workspace with so many runs that are over, and one that goes on."""

    count: int
    workspace: Path
    cli: str

    def registry(self) -> ProcessRegistry:
        """A registry without a thread: it looks when told to."""
        found = ProcessRegistry(self.workspace, LocalLauncher(), interval=3600)
        found.refresh()
        return found


@contextmanager
def made(count: int, root: Path) -> Iterator[Bench]:
    """Makes the workspace and starts its one live run; that is killed at the end."""
    workspace = root / f"w{count}"
    workspace.mkdir()
    crowd(workspace, models=max(2, min(20, count // 50)), ways=5, each=max(1, count // max(10, min(100, count // 10))))
    bench = Bench(count, workspace, fake_cli(root))
    registry = bench.registry()
    handle = launch(registry, plan_for(workspace, name="live", cli=bench.cli, steps=100_000, delay=0.5))
    try:
        wait_for(lambda: handle.paths.trainer_log.exists())
        yield bench
    finally:
        registry.stop(handle.run_id, "kill")
        registry.launchers.get("local").release(handle, 20.0)


def cpu(act: Callable[[], object], times: int) -> float:
    """Median CPU milliseconds of a call."""
    spent = []
    for _ in range(times):
        began = time.process_time()
        act()
        spent.append(time.process_time() - began)
    return 1000 * median(spent)


def mean_cpu(act: Callable[[], object], times: int) -> float:
    """Mean CPU milliseconds of a call: for one that costs more now and then."""
    began = time.process_time()
    for _ in range(times):
        act()
    return 1000 * (time.process_time() - began) / times


# -- without a page ---------------------------------------------------------------------------------------


def look(bench: Bench, looks: int) -> dict[str, float]:
    """The registry's thread, as it is and naively."""
    registry = bench.registry()
    while not registry.summaries.step(registry.snapshot(), budget=60):
        pass
    settle(registry)
    number = 0

    def once() -> None:
        nonlocal number
        number += 1
        registry.refresh(everything=number % WALK_EVERY == 0)
        registry.dispatcher.advance()
        registry.summaries.step(registry.snapshot())

    def naive() -> None:
        runs = RunScan(bench.workspace, registry.watcher.poll)
        runs.look()
        SummaryCache(bench.workspace / "none.json").step(runs.views, budget=600)

    return {
        "look ms": mean_cpu(once, max(looks, 4 * WALK_EVERY)),
        "look at everything ms": cpu(registry.refresh, TURNS),
        "look, naive ms": cpu(naive, 3),
    }


def settle(registry: ProcessRegistry) -> None:
    """Until no folder's time of change is so young that it is listed, or its files are asked for, again."""
    for _ in range(4):
        time.sleep(SETTLE_S / 2)
        registry.refresh()


def rows(bench: Bench, looks: int) -> dict[str, float]:
    """Rows and columns of the table, when one run changed and from nothing."""
    from lfdash.ui.runs.columns import columns_of

    registry = bench.registry()
    while not registry.summaries.step(registry.snapshot(), budget=60):
        pass
    table = Table(registry.summaries)

    def tick() -> None:
        registry.refresh(everything=False)
        live = next(view for view in registry.snapshot() if view.name == "live")
        assert live.progress.step is not None
        draw(table)

    def draw(made: Table, text: str = "") -> None:
        every = made.rows(registry.snapshot())
        columns_of(made).of(arrange(Wanted(text).select(every), "when", True), every)

    def anew() -> None:
        draw(Table(registry.summaries))

    tick()
    one = cpu(tick, looks)
    found = cpu(lambda: draw(table, "lr3 qwen"), looks)
    every = table.rows(registry.snapshot())
    made = columns_of(table)
    return {
        "rows, one changed ms": one, "rows, all anew ms": cpu(anew, max(3, looks // 8)), "rows, searched ms": found,
        "rows, lora_rank>8 ms": cpu(lambda: draw(table, "lora_rank>8"), looks),
        "differing ms": cpu(lambda: made.differing(every, every), looks),
        "grouped ms": cpu(lambda: grouped(every, "arg.learning_rate", "best"), looks),
    }


def first(bench: Bench) -> dict[str, float]:
    """Until every log is summed up: never seen, and after a restart."""
    file = bench.workspace / ".lfdash" / "summaries.json"
    file.unlink(missing_ok=True)
    began, cpu_began = time.perf_counter(), time.process_time()
    assert len(bench.registry().snapshot()) == bench.count + 1
    found = {"found s": time.perf_counter() - began, "found, CPU s": time.process_time() - cpu_began}
    spent = []
    for _ in range(2):
        began = time.perf_counter()
        registry = bench.registry()
        registry.summaries.load()
        while not registry.summaries.step(registry.snapshot(), budget=60):
            pass
        spent.append(time.perf_counter() - began)
        registry.summaries.save()
    settle(registry)
    registry.kept.save(registry.watcher.keep())
    later = ProcessRegistry(bench.workspace, LocalLauncher(), interval=3600)
    began = time.process_time()
    later.load()
    later.refresh()
    return {**found, "first s": spent[0], "again s": spent[1], "restart, CPU s": time.process_time() - began}


# -- with a page ------------------------------------------------------------------------------------------


def page(bench: Bench, seconds: float, port: int) -> dict[str, float]:
    """CPU seconds a minute of the server: with one tab on the page, and without."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lfdash", "--workspace", str(bench.workspace), "--port", str(port)], cwd=ROOT,
        stdout=subprocess.PIPE, text=True, env={**os.environ, "LFDASH_CLI": bench.cli, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    try:
        url = next(line for line in process.stdout if "http://" in line).split("http://")[1].split()[0].rstrip(",")
        time.sleep(SETTLE_S)
        without = minute(process.pid, seconds)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            tab = Tab(browser.new_page(viewport={"width": 1440, "height": 900}), process.pid)
            found = tab.acts(f"http://{url}/runs")
            time.sleep(SETTLE_S)
            spent = minute(process.pid, seconds)
            browser.close()
        return {**found, "server, no tab s/min": without, "server, one tab s/min": spent}
    finally:
        process.terminate()
        process.wait(20)


class Tab:
    """A tab on the Runs page: what an act costs the server, and what it sends."""

    def __init__(self, page: Page, pid: int) -> None:
        self.page, self.watched, self.bytes = page, psutil.Process(pid), 0
        page.on("websocket", lambda socket: socket.on("framereceived", self.received))

    def received(self, frame: str | bytes) -> None:
        """A message of the server."""
        self.bytes += len(frame)

    def acts(self, url: str) -> dict[str, float]:
        """First and later load, a filter and its end, a box."""
        find = self.page.locator(".st-key-runs-find input")
        return {
            **self.act("first tab", lambda: self.load(url)), **self.act("later tab", lambda: self.load(url)),
            **self.act("filter", lambda: find.fill("lora_rank>8 lr3")), **self.act("no filter", lambda: find.fill("")),
            **self.act("box", self.box),
        }

    def act(self, name: str, do: Callable[[], object]) -> dict[str, float]:
        """CPU milliseconds and kilobytes until the page is drawn, less what the server spends anyway."""
        before, sent = self.cpu(), self.bytes
        time.sleep(IDLE_S)
        idle = self.cpu() - before
        before, sent = self.cpu(), self.bytes
        do()
        for _ in range(2):
            self.page.wait_for_timeout(1000 * IDLE_S / 2)
            self.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=120_000)
        spent = self.cpu() - before - idle
        return {f"page, {name} ms": max(0.0, 1000 * spent), f"page, {name} kB": (self.bytes - sent) / 1000}

    def cpu(self) -> float:
        """CPU seconds of the server so far."""
        spent = self.watched.cpu_times()
        return float(spent.user + spent.system)

    def load(self, url: str) -> None:
        """Opens the page."""
        self.page.goto(url)
        self.page.wait_for_selector(".stDataFrame canvas", timeout=120_000)

    def box(self) -> None:
        """Ticks the first row."""
        corner = self.page.locator(".stDataFrame canvas").first.bounding_box()
        assert corner is not None
        self.page.mouse.click(corner["x"] + 18, corner["y"] + 54)


def minute(pid: int, seconds: float) -> float:
    """CPU seconds a minute of one process, without its children (the run is one)."""
    watched = psutil.Process(pid)
    before, began = watched.cpu_times(), time.monotonic()
    time.sleep(seconds)
    after = watched.cpu_times()
    spent = (after.user + after.system) - (before.user + before.system)
    return 60 * spent / (time.monotonic() - began)


def measure(bench: Bench, options: argparse.Namespace) -> dict[str, float]:
    """Everything about one workspace."""
    found = {**first(bench), **look(bench, options.looks), **rows(bench, options.looks)}
    if options.seconds > 0:
        found |= page(bench, options.seconds, options.port)
    return found


def comparisons(few: dict[str, float], many: dict[str, float], runs: int) -> list[str]:
    """What is remembered beside what is done anew, in one run."""
    naive, anew = many["look, naive ms"], many["rows, all anew ms"]
    return [
        f"a look beside a naive one, {runs:,} runs: 1 : {naive / many['look ms']:.0f}",
        f"a look at everything beside a naive one: 1 : {naive / many['look at everything ms']:.0f}",
        f"rows after one run changed beside all anew: 1 : {anew / many['rows, one changed ms']:.1f}",
    ]


def in_markdown(few: dict[str, float], many: dict[str, float], options: argparse.Namespace) -> str:
    """Both workspaces as a table."""
    where = f"Python {platform.python_version()}, {os.cpu_count()} cores, load of the machine {os.getloadavg()[0]:.1f}"
    lines = [
        f"CPU time unless it says s alone; one run of the bench; {where}.", "",
        f"| | {options.few:,} runs | {options.runs:,} runs | ratio |", "|---|---|---|---|",
    ]
    for name in few:
        lines.append(f"| {name} | {few[name]:,.2f} | {many[name]:,.2f} | {many[name] / max(few[name], 1e-9):.1f} |")
    return "\n".join([*lines, "", *(f"- {line}" for line in comparisons(few, many, options.runs))])


def main() -> None:
    """Measures both workspaces and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--looks", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--port", type=int, default=8890)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as root:
        for count in (options.few, options.runs):
            with made(count, Path(root)) as bench:
                found.append(measure(bench, options))
    few, many = found
    print(f"{'':28}{options.few:>10} runs{options.runs:>10} runs{'ratio':>10}")
    for name in few:
        print(f"{name:28}{few[name]:>15.2f}{many[name]:>15.2f}{many[name] / max(few[name], 1e-9):>10.1f}")
    print("\n".join(comparisons(few, many, options.runs)))
    if options.write:
        write(MARKS, in_markdown(few, many, options))


if __name__ == "__main__":
    main()
