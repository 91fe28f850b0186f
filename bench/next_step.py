"""From a click on Start to the first step on the page, beside LlamaBoard, in one run, in the same Chromium.

    python bench/next_step.py [--rounds 3] [--write]

Each round starts lfdash with a LLaMA-Factory that is kept warm, lfdash without, and LlamaBoard, each on a copy of the
demo's workspace with the demo's settings, and clocks from the click until the page shows a step. Before the click the
page is open and at rest: the warm process has imported everything. Then, with and without one, the deep check of the
demo's preset and the lengths of its rows; LlamaBoard has neither. `--write` puts the tables into docs/benchmarks.md,
between the marks.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import yaml
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from document import write  # noqa: E402
from startup import (  # noqa: E402
    CHROMIUM,
    DEADLINE,
    FLAGS,
    MB,
    NOT_WARM,
    SUBJECTS,
    Subject,
    free_port,
    started,
    wait_for_port,
)

from lfdash.llamafactory.deep_check import deep_check  # noqa: E402
from lfdash.llamafactory.locate import Cli, find_cli  # noqa: E402
from lfdash.llamafactory.token_lengths import Lengths, count_tokens  # noqa: E402
from lfdash.llamafactory.warm import Warm  # noqa: E402

MARKS = ("<!-- next step: begin, written by bench/next_step.py -->", "<!-- next step: end -->")
PRESET = ROOT / "configs" / "presets" / "demo.yaml"
AIM_S, AIM_SHARE, CHECK_S, LENGTHS_S = 3.0, 0.25, 1.0, 1.5
QUIET_S = 2.0  # without any work, after which the imports are over
# What a page shows of a step.
OURS = "() => /[1-9][0-9]* \\/ [0-9]+\\s*step/i.test(document.querySelector('.st-key-strip')?.innerText ?? '')"
THEIRS = "() => /Running [1-9][0-9]*\\/[0-9]+/.test(document.body.innerText)"


def subjects() -> dict[str, Subject]:
    """lfdash with and without a warm process, and LlamaBoard."""
    _, ours, board = SUBJECTS
    path = os.pathsep.join((os.path.dirname(sys.executable), os.environ["PATH"]))  # it starts llamafactory-cli by name

    def command(port: int, work: Path) -> list[str]:
        return [sys.executable, "-m", "lfdash", "--workspace", str(work), "--port", str(port)]

    return {
        "lfdash, warm": Subject("lfdash, warm", command, lambda port: {"LFDASH_WARM": "auto"}, ours.usable),
        "lfdash, not warm": Subject("lfdash, not warm", command, lambda port: NOT_WARM, ours.usable),
        "LlamaBoard": replace(board, env=lambda port: {**board.env(port), "PATH": path}),
    }


def rest(root: psutil.Process) -> None:
    """Waits until neither the server nor what it started has worked for QUIET_S."""
    before, since = -1.0, time.monotonic()
    end = since + DEADLINE
    while time.monotonic() - since < QUIET_S and time.monotonic() < end:
        total = sum(sum(one.cpu_times()[:2]) for one in root.children(recursive=True) if one.is_running())
        if total != before:
            before, since = total, time.monotonic()
        time.sleep(0.1)


def fill_board(page: Page, work: Path) -> None:
    """Loads the demo's settings into LlamaBoard, as its user would; the model's path is typed."""
    convert = [sys.executable, "-m", "lfdash", "convert", str(PRESET), "--workspace", str(work)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    form = subprocess.run(convert, capture_output=True, text=True, check=True, env=env)
    folder = work / "llamaboard_config"
    folder.mkdir(exist_ok=True)
    text = form.stdout.replace("top.model_name: null", "top.model_name: Custom")
    (folder / "demo.yaml").write_text(text, encoding="utf-8")
    config = page.get_by_label("Config path")
    config.fill("demo.yaml")
    config.press("Enter")
    page.get_by_role("button", name="Load arguments").click()
    page.get_by_text("Arguments have been restored").first.wait_for(timeout=DEADLINE * 1000)
    page.get_by_label("Model path").first.fill("models/demo-llama")
    page.wait_for_timeout(1000)


def clock(name: str, subject: Subject, open_page: Callable[[], Page], work: Path) -> tuple[float, float]:
    """Seconds from the click to the first step on the page; MB of the warm process, 0 without."""
    port = free_port()
    with started(subject, port, work) as root:
        wait_for_port(port, root, time.monotonic() + DEADLINE)
        page = open_page()
        page.goto(f"http://127.0.0.1:{port}/", timeout=DEADLINE * 1000)
        subject.usable(page)
        if name == "LlamaBoard":
            fill_board(page, work)
            button = page.get_by_role("button", name="Start", exact=True).first
        else:
            button = page.locator(".st-key-start button:enabled").first
        rest(root)
        warm = [one for one in root.children() if any("scripts/warm.py" in word for word in one.cmdline())]
        held = sum(one.memory_full_info().pss for one in warm) / MB
        begin = time.monotonic()
        button.click()
        page.wait_for_function(THEIRS if name == "LlamaBoard" else OURS, timeout=DEADLINE * 1000, polling=20)
        seconds = time.monotonic() - begin
        page.context.close()
        return seconds, held


def questions(work: Path, rounds: int) -> dict[tuple[str, bool], list[float]]:
    """Seconds of the deep check and of the row lengths, with and without a warm process."""
    cli = find_cli(os.environ)
    assert isinstance(cli, Cli)
    job: dict[str, Any] = yaml.safe_load(PRESET.read_text(encoding="utf-8")) | {"output_dir": "saves/none"}
    warm = Warm(cli, work)
    warm.want()
    while warm.state == "starting":
        time.sleep(0.1)
    found: dict[tuple[str, bool], list[float]] = {}
    for _ in range(rounds):
        for asked in (warm, None):
            begin = time.monotonic()
            assert isinstance(deep_check(cli, work, [job], warm=asked), list)
            middle = time.monotonic()
            assert isinstance(count_tokens(cli, work, job, warm=asked), Lengths)
            found.setdefault(("Deep check of the demo", asked is not None), []).append(middle - begin)
            found.setdefault(("Lengths of the demo's rows", asked is not None), []).append(time.monotonic() - middle)
    warm.close()
    return found


def told(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} s ({min(values):.2f}–{max(values):.2f})"


def report(starts: dict[str, list[float]], held: list[float], asked: dict[tuple[str, bool], list[float]]) -> str:
    """Both tables."""
    theirs = statistics.median(starts["LlamaBoard"])
    rounds, load = len(held), os.getloadavg()[0]
    head = (
        f"The demo's preset; wall time, the median of {rounds} rounds with the smallest and the largest; Python "
        f"{platform.python_version()}, {os.cpu_count()} cores, load of the machine {load:.1f}."
    )
    lines = [
        head, "",
        "| from the click on Start to the first step shown | | of LlamaBoard | aim |", "|---|---|---|---|",
    ]
    for name, values in starts.items():
        share = statistics.median(values) / theirs
        aim = f"{AIM_S:g} s, {AIM_SHARE:g}" if name == "lfdash, warm" else ""
        lines.append(f"| {name} | {told(values)} | {share:.2f} | {aim} |")
    lines += ["", "| | warm | a fresh interpreter | ratio | aim |", "|---|---|---|---|---|"]
    for (name, warm), values in asked.items():
        if warm:
            cold = asked[name, False]
            ratio = statistics.median(values) / statistics.median(cold)
            most = CHECK_S if name.startswith("Deep") else LENGTHS_S
            lines.append(f"| {name} | {told(values)} | {told(cold)} | {ratio:.2f} | {most:g} s |")
    return "\n".join([*lines, "", f"The warm process holds {statistics.median(held):,.0f} MB (PSS) at rest."])


def main() -> int:
    parser = argparse.ArgumentParser(description="From Start to the first step, beside LlamaBoard.")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (3)")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    options = parser.parse_args()
    starts: dict[str, list[float]] = {}
    held: list[float] = []
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lfdash-bench-")))
        demo = scratch / "demo"
        subprocess.run([sys.executable, "-m", "lfdash.demo", str(demo)], check=True, capture_output=True)
        driver = stack.enter_context(sync_playwright())
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for number in range(options.rounds):
            for name, subject in subjects().items():
                work = scratch / re.sub(r"\W+", "-", name) / str(number)
                shutil.copytree(demo, work)
                context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
                seconds, memory = clock(name, subject, context.new_page, work)
                starts.setdefault(name, []).append(seconds)
                held += [memory] if memory else []
                print(f"round {number + 1}: {name} {seconds:.2f} s, {memory:.0f} MB", flush=True)
        browser.close()
        asked = questions(demo, options.rounds)
    text = report(starts, held, asked)
    print(text)
    if options.write:
        write(MARKS, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
