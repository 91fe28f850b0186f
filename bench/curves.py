"""What it costs to read and draw a run: lfdash beside LlamaBoard's own functions and the parsers' limit, in one run.

    python bench/curves.py [--rounds 3] [--largest 1000000] [--only TEXT] [--files FOLDER] [--write]

Every measurement is made in a process of its own (LlamaBoard, which takes long to import, has one for all sizes, the
smallest first), on the same files: CPU seconds of that process, not wall time. Reported are the median of the rounds,
the smallest and the largest. `--files` keeps what is read, for the next time; `--write` puts the tables into
docs/benchmarks.md, between the marks.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from curves_tables import MARKS, Figures, Result, section
from document import write

ROOT = Path(__file__).resolve().parent.parent
MB = 1e6
SIZES = (1_000, 10_000, 100_000, 1_000_000)
FIVE = 5_000_000
# rows, how many of them to a printed mapping, pictures of the progress bar a row
CONSOLES = {"200k rows, a mapping each": (200_000, 1, 0), "1M rows, the same and much progress bar": (1_000_000, 1, 6)}
DEADLINE = 900.0  # s of wall time for one measurement


# -- the files ------------------------------------------------------------------------------------------------


def write_log(path: Path, rows: int) -> None:
    """A trainer log as LLaMA-Factory writes it: a row a step."""
    chance, clock, tokens = random.Random(1), 0.0, 0
    with path.open("w") as file:
        for step in range(1, rows + 1):
            clock, tokens = clock + 1.1 + 0.3 * chance.random(), tokens + 4096
            row = {
                "current_steps": step, "total_steps": rows, "loss": loss_of(step), "lr": 5e-5 * (1 - step / rows),
                "epoch": 3 * step / rows, "percentage": round(100 * step / rows, 2), "elapsed_time": spoken(clock),
                "remaining_time": spoken((rows - step) * 1.25), "throughput": round(tokens / clock, 2),
                "total_tokens": tokens,
            }
            file.write(json.dumps(row) + "\n")


def loss_of(step: int) -> float:
    return float(2.0 * step**-0.1 + 0.1 * math.sin(step * 12.9898) * math.sin(step * 78.233))


def spoken(seconds: float) -> str:
    """Seconds as the trainer log has them."""
    days, rest = divmod(int(seconds), 86400)
    clock = f"{rest // 3600}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days} days, {clock}" if days else clock


def write_console(path: Path, rows: int, every: int, bars: int) -> None:
    """A console of a run of `rows` steps: a mapping every so many of them, and `bars` pictures of its progress bar."""
    bar = "\r " + "█" * 30 + " " * 30 + f"| %d/{rows} [12:00:00<10:00:00,  1.19it/s]"
    with path.open("w") as file:
        for step in range(1, rows + 1):
            file.write(bar % step * bars)
            if step % every == 0:
                entry = {"loss": f"{loss_of(step):.4g}", "grad_norm": "0.5", "epoch": f"{3 * step / rows:.4g}"}
                file.write(f"\r{' ' * 20}\r{entry}\n")


# -- what is measured, each in its own process ----------------------------------------------------------------


def resident() -> float:
    """MB of this process."""
    import psutil

    return float(psutil.Process().memory_info().rss) / MB


def clocked(function: object, times: int = 1) -> list[float]:
    """CPU seconds of each call."""
    import time

    assert callable(function)
    taken = []
    for _ in range(times):
        begin = time.process_time()
        function()
        taken.append(time.process_time() - begin)
    return taken


def next_line(step: int) -> str:
    return json.dumps(
        {"current_steps": step, "total_steps": 10**7, "loss": 1.5, "lr": 1e-5, "epoch": 3.0, "percentage": 99.0,
         "elapsed_time": "14 days, 0:00:00", "remaining_time": "0:10:00", "throughput": 4000.0,
         "total_tokens": 4096 * step}
    ) + "\n"


def measure_lfdash(folder: Path) -> Figures:
    """A first look, ticks without and with a new line, and twenty tabs."""
    from lfdash.runs.metrics.feed import RunFeed
    from lfdash.runs.paths import RunPaths

    before = resident()
    feed = RunFeed(RunPaths(folder))

    def draw() -> None:
        for column, span in (("loss", 0.0), ("loss", 100.0), ("eval_loss", 0.0)):
            feed.draw(column, span=span, points=2000)

    figures = {"open": clocked(feed.poll)[0], "memory": resident() - before, "first draw": clocked(draw)[0]}
    figures["memory, drawn"] = resident() - before
    figures["no news"] = statistics.median(clocked(feed.poll, 200))
    log, step = folder / "trainer_log.jsonl", len(feed.frame)
    size = log.stat().st_size
    one: list[float] = []
    drawn: list[float] = []
    tabs: list[float] = []
    with log.open("a") as file:
        for number in range(90):
            file.write(next_line(step := step + 1))
            file.flush()
            if number % 3 == 2:
                tabs += clocked(lambda: [feed.poll() for _ in range(20)])
            else:
                one += clocked(feed.poll)
                drawn += clocked(draw) if number % 3 else []
        file.truncate(size)
    figures["one line"], figures["draw"] = statistics.median(one), statistics.median(drawn)
    figures["20 tabs"] = statistics.median(tabs)
    return figures


def measure_llamaboard(folder: Path) -> Figures:
    """What LlamaBoard does at each of its ticks, in each tab."""
    from llamafactory.webui.control import get_trainer_info

    before = resident()
    taken = clocked(lambda: get_trainer_info("en", folder, True), 2)
    return {"open": taken[0], "tick": taken[1], "memory": resident() - before}


def measure_orjson(folder: Path) -> Figures:
    """The quickest parser of a line, and nothing else."""
    import orjson

    def read() -> None:
        with (folder / "trainer_log.jsonl").open("rb") as file:
            for line in file:
                orjson.loads(line)

    return {"open": clocked(read)[0]}


def measure_pyarrow(folder: Path) -> Figures:
    """pyarrow's reader of JSON lines, into columns."""
    from pyarrow import json as arrow

    before, held = resident(), []
    taken = clocked(lambda: held.append(arrow.read_json(folder / "trainer_log.jsonl")))
    return {"open": taken[0], "memory": resident() - before}


def measure_console(folder: Path) -> Figures:
    """A run with a console, read by polls of a quarter of a second."""
    import time

    from lfdash.runs.metrics.feed import RunFeed
    from lfdash.runs.paths import RunPaths

    before, feed = resident(), RunFeed(RunPaths(folder))
    begin, longest, rows = time.process_time(), 0.0, 0.0
    while True:
        taken = clocked(lambda: feed.poll(0.25))[0]
        longest = max(longest, taken)
        if not rows and feed._log.through:
            rows = time.process_time() - begin
        if feed.reading is None:
            break
    told = float((feed.frame["grad_norm"] == feed.frame["grad_norm"]).sum())
    return {
        "open": rows, "console": time.process_time() - begin, "longest": longest, "memory": resident() - before,
        "told": told, "size": (folder / "console.log").stat().st_size / MB,
    }


MEASURES = {
    "lfdash": measure_lfdash,
    "LlamaBoard": measure_llamaboard,
    "orjson": measure_orjson,
    "pyarrow": measure_pyarrow,
    "console": measure_console,
}


# -- the rounds -----------------------------------------------------------------------------------------------


def measured(name: str, folders: Sequence[Path]) -> list[Figures]:
    """Some measurements, in one process."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    command = [sys.executable, __file__, "--one", name, *map(str, folders)]
    child = subprocess.run(command, env=env, cwd=folders[0], stdout=subprocess.PIPE, timeout=DEADLINE, check=True)
    found: list[Figures] = [json.loads(line) for line in child.stdout.splitlines()[-len(folders) :]]
    return found


def repeated(name: str, folders: Sequence[Path], times: int) -> dict[tuple[str, str], Result]:
    """All rounds of a measurement of some folders, by subject and the folder's name."""
    found = [measured(name, folders) for _ in range(times)]
    for folder, figures in zip(folders, found[-1], strict=True):
        print(f"{folder.name}: {name}: {figures}", flush=True)
    each = zip(*found, strict=True)
    return {(name, folder.name): Result(rounds) for folder, rounds in zip(folders, each, strict=True)}


@contextmanager
def prepared(largest: int, kept: Path | None) -> Iterator[dict[str, Path]]:
    """Folders of runs, by a word for each. kept: where they stay."""
    with tempfile.TemporaryDirectory(prefix="lfdash-bench-") as scratch:
        root, more = kept or Path(scratch), largest >= SIZES[-1]
        logs = {words(size): (size, 0, 0) for size in (*SIZES, FIVE) if size <= largest or (more and size == FIVE)}
        made = {}
        for word, (rows, every, bars) in {**logs, **(CONSOLES if more else {})}.items():
            made[word] = root / word
            made[word].mkdir(parents=True, exist_ok=True)
            log, console = made[word] / "trainer_log.jsonl", made[word] / "console.log"
            if not log.exists():
                write_log(log, rows)
            if every and not console.exists():
                write_console(console, rows, every, bars)
            print(f"{word}: {rows} rows", flush=True)
        yield made


def words(size: int) -> str:
    return f"{size // 10**6}M" if size >= 10**6 else f"{size // 1000}k"


# -- all of it ----------------------------------------------------------------------------------------------


def run(rounds: int, largest: int, only: str, kept: Path | None) -> tuple[dict[tuple[str, str], Result], list[str]]:
    """All measurements, and the sizes there are."""
    results: dict[tuple[str, str], Result] = {}
    with prepared(largest, kept) as made:
        sizes = [word for word in made if word not in CONSOLES]
        if only in "LlamaBoard":
            results |= repeated("LlamaBoard", [made[word] for word in sizes if word != words(FIVE)], rounds)
        for word, folder in made.items():
            subjects = ["console"] if word in CONSOLES else ["lfdash", "orjson", "pyarrow"]
            for subject in subjects if word != words(FIVE) else ["lfdash"]:
                if only in subject:
                    results |= repeated(subject, [folder], 1 if word == words(FIVE) else rounds)
        return results, sizes


def main() -> int:
    parser = argparse.ArgumentParser(description="Cost of reading and drawing a run, beside LlamaBoard.")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each measurement (3)")
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="rows of the largest log (1000000)")
    parser.add_argument("--only", default="", help="subjects whose name has this text")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    parser.add_argument("--files", type=Path, help="folder in which what is read is kept, for the next time")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        for folder in given.one[1:]:
            print(json.dumps(MEASURES[given.one[0]](Path(folder))))
        return 0
    before = os.getloadavg()[0]
    results, sizes = run(given.rounds, given.largest, given.only, given.files)
    text = section(results, sizes, given.rounds, (before, os.getloadavg()[0]))
    print(text)
    if given.write:
        write(MARKS, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
