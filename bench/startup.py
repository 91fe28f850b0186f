"""What it costs until the page can be used: lfdash beside LlamaBoard, in one run, in the same Chromium.

    python bench/startup.py [--rounds 3]

Each round starts one server, opens it in a fresh tab and waits until Start can be pressed, then does the same
with the other. Reported: seconds until then, CPU seconds of the server's processes (not the browser's) and their
resident memory; then the same at rest: page open, helper processes ended, IDLE seconds later. Resident memory
counts a page shared by two processes twice; the proportional set (PSS) of the last column counts it once.

lfdash is measured twice: on a workspace that it has not seen (it then asks LLaMA-Factory in a subprocess, beside
the page, for its arguments and models, once for each version) and on that workspace again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import psutil
from playwright.sync_api import Error, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
DEADLINE = 180.0  # s until a server must answer and its page be usable
IDLE = 3.0  # s with the page open, and no helper process, before the values at rest are read
MB = 1e6
NOT_WARM = {"LFDASH_WARM": "never"}  # what a LLaMA-Factory kept warm costs is measured by next_step.py


class NotUp(Exception):
    """A server ended, or its page did not become usable."""


@dataclass(frozen=True)
class Cost:
    """One measurement; the order of the fields is the order of the columns."""

    seconds: float  # wall time from start to a usable page
    cpu: float  # s, user + system, all processes of the server, until the page is usable
    memory: float  # MB resident, all processes of the server, when the page is usable
    rest_cpu: float  # s of CPU until it is at rest
    rest_memory: float  # MB resident at rest
    rest_pss: float  # MB at rest, shared pages counted once


COLUMNS = ("until usable s", "CPU s", "memory MB", "at rest: CPU s", "memory MB", "PSS MB")


@dataclass(frozen=True)
class Subject:
    """A dashboard: how it is started on a port in a folder, and when its page counts as usable."""

    name: str
    command: Callable[[int, Path], Sequence[str]]
    env: Callable[[int], dict[str, str]]
    usable: Callable[[Page], None]


def lfdash(port: int, work: Path) -> list[str]:
    workspace = work.parent.parent / f"workspace-{work.name}"  # shared by the two starts of a round
    return [sys.executable, "-m", "lfdash", "--workspace", str(workspace), "--port", str(port)]


def lfdash_usable(page: Page) -> None:
    page.wait_for_selector(".st-key-start button:enabled", timeout=DEADLINE * 1000)


def llamaboard_usable(page: Page) -> None:
    """Its Start button is seen. (Gradio keeps a stream open, so the network is never idle.)"""
    page.get_by_role("button", name="Start", exact=True).first.wait_for(timeout=DEADLINE * 1000)


SUBJECTS = (
    Subject("lfdash, first", lfdash, lambda port: NOT_WARM, lfdash_usable),
    Subject("lfdash", lfdash, lambda port: NOT_WARM, lfdash_usable),
    Subject(
        "LlamaBoard",
        lambda port, work: [str(Path(sys.executable).with_name("llamafactory-cli")), "webui"],
        lambda port: {
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "GRADIO_SERVER_PORT": str(port),
            "GRADIO_ANALYTICS_ENABLED": "False",
        },
        llamaboard_usable,
    ),
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def processes(root: psutil.Process) -> list[psutil.Process]:
    """The server and all its descendants that live."""
    return [root, *root.children(recursive=True)]


def used(root: psutil.Process) -> tuple[float, float]:
    """CPU seconds and resident MB of the server's tree; children that ended count through their parents."""
    cpu = memory = 0.0
    for process in processes(root):
        try:
            times = process.cpu_times()
            memory += process.memory_info().rss / MB
        except psutil.NoSuchProcess:
            continue  # ended while we looked: its time is in its parent's children_* on the next look
        cpu += times.user + times.system + times.children_user + times.children_system
    return cpu, memory


def proportional(root: psutil.Process) -> float:
    """MB of the server's tree, shared pages divided among those that share them."""
    total = 0.0
    for process in processes(root):
        try:
            total += process.memory_full_info().pss / MB
        except psutil.NoSuchProcess:
            continue  # ended while we looked: it holds nothing any more
    return total


@contextmanager
def started(subject: Subject, port: int, work: Path) -> Iterator[psutil.Process]:
    """The server's process; ended, with all it started, when the block is left."""
    log = work / "server.log"
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **subject.env(port)}
    with log.open("w") as out:
        child = subprocess.Popen(
            list(subject.command(port, work)), cwd=work, env=env, stdout=out, stderr=subprocess.STDOUT
        )
    root = psutil.Process(child.pid)
    try:
        yield root
    except NotUp as error:
        said = log.read_text()[-2000:]
        raise NotUp(f"{subject.name}: {error} (exit code {child.poll()})\n{said}") from error
    finally:
        for process in processes(root) if root.is_running() else []:
            process.kill()
        child.wait(20)


def ended(root: psutil.Process) -> bool:
    return not root.is_running() or root.status() == psutil.STATUS_ZOMBIE


def wait_for_rest(root: psutil.Process, deadline: float) -> None:
    """Returns when the server has had no children for IDLE seconds; NotUp when it ends or never rests."""
    quiet = time.monotonic()
    while time.monotonic() < deadline:
        if ended(root):
            raise NotUp("the server ended by itself with the page open")
        if root.children():
            quiet = time.monotonic()
        if time.monotonic() - quiet > IDLE:
            return
        time.sleep(0.1)
    raise NotUp(f"not at rest after {DEADLINE:.0f} s")


def wait_for_port(port: int, root: psutil.Process, deadline: float) -> None:
    """Returns when somebody listens; NotUp when the process ends or the time is over."""
    while time.monotonic() < deadline:
        if ended(root):
            raise NotUp("the server ended by itself")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise NotUp(f"nothing listens after {DEADLINE:.0f} s")


def measure(subject: Subject, open_page: Callable[[], Page], work: Path) -> Cost:
    """One start of one dashboard, up to a page that can be used and a few seconds at rest."""
    port = free_port()
    work.mkdir(parents=True)
    begin = time.monotonic()
    with started(subject, port, work) as root:
        wait_for_port(port, root, begin + DEADLINE)
        page = open_page()
        try:
            page.goto(f"http://127.0.0.1:{port}/", timeout=DEADLINE * 1000)
            subject.usable(page)
        except Error as error:
            raise NotUp(f"the page did not become usable: {error.message.splitlines()[0]}") from error
        seconds = time.monotonic() - begin
        cpu, memory = used(root)
        wait_for_rest(root, begin + DEADLINE)
        rest_cpu, rest_memory = used(root)
        rest_pss = proportional(root)
        page.context.close()
        return Cost(seconds, cpu, memory, rest_cpu, rest_memory, rest_pss)


def line(name: str, values: Sequence[float]) -> str:
    return f"{name:<24}" + "".join(f"{value:>15.2f}" for value in values)


def report(costs: dict[str, list[Cost]]) -> None:
    """Every round, the medians, and ours as a share of theirs."""
    print("\n" + " " * 24 + "".join(f"{column:>15}" for column in COLUMNS))
    medians = {}
    for name, rounds in costs.items():
        for number, cost in enumerate(rounds, 1):
            print(line(f"{name}, {number}", astuple(cost)))
        medians[name] = [statistics.median(column) for column in zip(*map(astuple, rounds), strict=True)]
    print()
    for name, values in medians.items():
        print(line(f"{name}, median", values))
    theirs = medians.pop("LlamaBoard")
    for name, ours in medians.items():
        print(line(f"{name} / LlamaBoard", [a / b for a, b in zip(ours, theirs, strict=True)]))


def main() -> int:
    parser = argparse.ArgumentParser(description="Start-up cost of lfdash beside LlamaBoard.")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (3)")
    rounds = parser.parse_args().rounds
    costs: dict[str, list[Cost]] = {subject.name: [] for subject in SUBJECTS}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lfdash-bench-")))
        driver = stack.enter_context(sync_playwright())

        def open_page() -> Page:
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            return context.new_page()

        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            for number in range(1, rounds + 1):
                for subject in SUBJECTS:
                    cost = measure(subject, open_page, scratch / subject.name / str(number))
                    costs[subject.name].append(cost)
                    print(f"round {number}: {subject.name} usable after {cost.seconds:.1f} s", flush=True)
        except NotUp as error:
            print(f"bench: {error}", file=sys.stderr)
            return 1
        finally:
            browser.close()
    report(costs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
