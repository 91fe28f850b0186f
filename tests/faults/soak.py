"""Three dashboards on one workspace for a while, with everything that goes wrong at once; then nothing may be doubled,
lost, or have been called lost while it lived, and handles and memory must be where they were.

    python -m tests.faults.soak --minutes 30 [--seed 1] [--folder DIR]     (make soak MINUTES=30)

Dashboards start, queue, resume, stop, delete, restore, rename runs of the stand-in trainer at random. Meanwhile
dashboards, supervisors and trainers are killed and paused, and some reads of the dashboards fail. Dashboard 0 is
paused only: its handles and its memory are compared.
"""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers.local import SUPERVISOR
from lfdash.outcomes import Refused
from lfdash.queue.commands import CANCELLED
from lfdash.queue.store import QueueSettings
from lfdash.runs.paths import marker
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView
from lfdash.supervisor.processes import MARKER, descendants, environments, marked, send, start_ticks
from tests.faults.calls import ERRNOS, READS, paths_of, text, writes
from tests.faults.runs import new, starts, words
from tests.support.runs import fake_cli, plan_for, record_for

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = 3
SLOTS = 6
KEPT = 60  # runs; older ones are deleted and the trash emptied, so that memory can be compared
PACE_S = 0.25  # between two actions of a dashboard
FAILING = 0.0005  # of the reads of a dashboard
FAILED: list[str] = []  # reads of this dashboard that were made to fail
LONG_PAUSE_S = 33.0  # longer than anybody waits for a supervisor


# -- one dashboard ------------------------------------------------------------------------------------------


@dataclass
class Dashboard:
    """A dashboard's process: acts at random, tells of each thing that it was told was done, and of what it shows."""

    workspace: Path
    report: Path
    chance: random.Random
    registry: ProcessRegistry = field(init=False)
    checked: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.registry = new(self.workspace)
        self.registry._interval = 0.1
        self.cli = str(self.workspace.parent / "bin" / "llamafactory-cli")

    def say(self, word: str, **what: Any) -> None:
        line = json.dumps({"word": word, "time": time.time(), **what}) + "\n"
        with self.report.open("a") as file:
            file.write(line)

    def run(self) -> None:
        self.registry.start()
        number = 0
        while True:
            number += 1
            time.sleep(self.chance.uniform(0, 2 * PACE_S))
            self.check_views()
            if FAILED:
                self.say("failed", count=len(FAILED))
                FAILED.clear()
            try:
                self.act(number)
            except OSError as error:  # an injected one, in what the page would show as an error
                self.say("raised", error=repr(error))

    def act(self, number: int) -> None:
        """One click."""
        views = [view for view in self.registry.snapshot() if view.waiting is None and view.record is not None]
        over = [view for view in views if view.state in TERMINAL]
        alive = [view for view in views if view.state not in TERMINAL]
        choices: list[tuple[float, Callable[[], object]]] = [
            (6, lambda: self.enqueue(number)),
            (1, lambda: self.start(number)),
            (2, lambda: self.resume(self.chance.choice(over)) if over else None),
            (2, lambda: self.stop(self.chance.choice(alive)) if alive else None),
            (1, lambda: self.rename(self.chance.choice(over), number) if over else None),
            (1, lambda: self.delete(over[-1:])),
            (1, self.restore),
            (1, self.change_queue),
            (4 if len(over) > KEPT else 0, lambda: self.delete(over[KEPT // 2 :])),
            (1 if len(over) > KEPT // 2 else 0, self.empty),
        ]
        self.chance.choices([click for _, click in choices], [weight for weight, _ in choices])[0]()

    def planned(self, number: int) -> tuple[Any, Any]:
        args: dict[str, Any] = {"steps": self.chance.randrange(1, 30), "delay": 0.05}
        if self.chance.random() < 0.2:
            args["fail"] = self.chance.choice(("exit:3", "segfault", "kill"))
        plan = plan_for(self.workspace, name=f"r{os.getpid()}-{number}", cli=self.cli, **args)
        return plan, record_for(plan)

    def told(self, what: str, run_id: str, attempt: int, outcome: object) -> None:
        if not isinstance(outcome, Refused):
            self.say(what, run=run_id, attempt=attempt)

    def enqueue(self, number: int) -> None:
        plan, record = self.planned(number)
        self.told("queued", plan.run_id, 1, self.registry.enqueue(plan, record))

    def start(self, number: int) -> None:
        plan, record = self.planned(number)
        self.told("started", plan.run_id, 1, self.registry.launch(plan, record, beside=True))

    def resume(self, view: RunView) -> None:
        """A click on Resume, and now and then a second one of a page that still shows the run as over."""
        assert view.record is not None
        plan = plan_for(self.workspace, name=view.name, cli=self.cli, output_dir=view.output_dir, steps=5, delay=0.05)
        for _ in range(self.chance.choice((1, 1, 2))):
            plan = replace(plan, run_id=view.run_id, attempt=view.paths.next_attempt())
            outcome = self.registry.launch(plan, view.record.resumed(plan), beside=True)
            self.told("resumed", view.run_id, plan.attempt, outcome)

    def stop(self, view: RunView) -> None:
        self.registry.stop(view.run_id, self.chance.choice(("graceful", "term", "kill")))

    def rename(self, view: RunView, number: int) -> None:
        self.registry.archive.rename(view.run_id, f"n{os.getpid()}-{number}")

    def delete(self, views: list[RunView]) -> None:
        self.registry.archive.discard_all([view.run_id for view in views])

    def restore(self) -> None:
        items = self.registry.archive.trash.items()
        if items:
            self.registry.archive.restore(self.chance.choice(items).name)

    def empty(self) -> None:
        """Deletes for good; said before, since nobody can say it later."""
        items = self.registry.archive.trash.items()
        self.say("emptied", runs=[item.run_id for item in items])
        self.registry.archive.empty_trash([item.name for item in items])

    def change_queue(self) -> None:
        queue = self.registry.queue
        waiting = queue.jobs.entries()
        if waiting:
            run_id = self.chance.choice(waiting).run_id
            queue.move(run_id, self.chance.choice((-1, 1)))
            if self.chance.random() < 0.3:
                queue.cancel(run_id)
                queue.take_back(run_id)
            if self.chance.random() < 0.3:
                queue.hold(run_id)
                queue.release(run_id)

    def check_views(self) -> None:
        """Whether a run that is shown as over lives: asked of the kernel, once for each attempt."""
        for view in self.registry.watcher.views:
            key = (view.run_id, view.attempt)
            if view.state not in TERMINAL or view.record is None or view.unseen or key in self.checked:
                continue
            if len(self.checked) > 20_000:
                self.checked.clear()
            if view.state is not RunState.LOST and view.exit_code is not None:
                self.checked.add(key)
            if not marked(marker(view.paths, view.attempt)):
                continue
            again = self.registry.watcher.look_at(view.path)  # an attempt that never began may have been made anew
            if again is not None and again.state in TERMINAL and marked(marker(view.paths, view.attempt)):
                self.say("wrong", run=view.run_id, attempt=view.attempt, state=view.state.value, why=view.lost)


def fail_some_reads(workspace: Path, chance: random.Random) -> None:
    """From now on a read of this process below a workspace fails now and then."""

    def heard(event: str, args: tuple[Any, ...]) -> None:
        if event not in READS or chance.random() >= FAILING or (event == "open" and writes(args)):
            return
        if str(workspace) in " ".join(paths_of(event, args)):
            code = chance.choice(ERRNOS)
            FAILED.append(event)
            raise OSError(code, os.strerror(code), event)

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def look(path: Any, *args: Any, **more: Any) -> Any:
            if chance.random() < FAILING and str(workspace) in text(path):
                FAILED.append("stat")
                raise OSError(errno.EIO, os.strerror(errno.EIO), text(path))
            return real(path, *args, **more)

        return look

    os.stat, os.lstat = watched(os.stat), watched(os.lstat)
    sys.addaudithook(heard)


def be_dashboard(workspace: Path, report: Path, seed: int) -> None:
    logging.disable(logging.ERROR)  # thousands of injected errors
    dashboard = Dashboard(workspace, report, random.Random(seed))
    fail_some_reads(workspace, random.Random(seed + 1))
    dashboard.run()


# -- all of it ----------------------------------------------------------------------------------------------


class Soak:
    """The whole: dashboards, whoever disturbs them, and what is found at the end."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.workspace = folder / "workspace"
        self.report = folder / "report.jsonl"
        self.chance = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.doubled: set[str] = set()
        self.paused: dict[int, float] = {}  # pid -> when it goes on
        self.handles: list[int] = []
        self.memory: list[int] = []  # KiB
        self.workspace.mkdir(parents=True)
        fake_cli(folder)
        new(self.workspace).queue.set_settings(QueueSettings(slots=SLOTS))
        self.dashboards = [self.dashboard() for _ in range(DASHBOARDS)]

    def dashboard(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.faults.soak", "--dashboard", str(self.workspace), str(self.report)]
        errors = (self.report.parent / "errors.txt").open("ab")
        return subprocess.Popen([*command, str(self.chance.randrange(10**9))], cwd=ROOT, stderr=errors)

    def run(self, seconds: float) -> None:
        began = time.monotonic()
        sampled = 0.0
        while (now := time.monotonic()) < began + seconds:
            time.sleep(0.1)
            self.look()
            self.disturb(now)
            self.go_on(now)
            if now - sampled > 2:
                sampled = now
                self.sample()
        self.go_on(float("inf"))

    def look(self) -> None:
        """Whether two trainers live in one folder."""
        lives: dict[str, list[tuple[str, int]]] = {}
        for pid, value in trainers(self.workspace):
            attempt, _, place = value.partition(":")
            lives.setdefault(place, []).append((attempt, pid))
        for place, found in lives.items():
            if len([pid for _, pid in found if start_ticks(pid) is not None]) > 1:
                self.doubled.add(f"{Path(place).name}: {sorted(found)}")

    def disturb(self, now: float) -> None:
        """Now and then somebody is killed or paused."""
        if self.chance.random() < 0.04:
            place = self.chance.randrange(1, DASHBOARDS)
            self.dashboards[place].kill()
            self.dashboards[place].wait()
            self.paused.pop(self.dashboards[place].pid, None)
            self.dashboards[place] = self.dashboard()
            self.counts["dashboards killed"] += 1
        if self.chance.random() < 0.04:
            self.pause("dashboards paused", self.chance.choice(self.dashboards).pid, now + self.chance.uniform(0.1, 5))
        supervisors = [pid for pid in descendants(1) if is_supervisor(self.workspace, pid)]
        if supervisors and self.chance.random() < 0.05:
            long = self.chance.random() < 0.1
            until = now + (LONG_PAUSE_S if long else self.chance.uniform(0.05, 3))
            self.pause("supervisors paused", self.chance.choice(supervisors), until)
        if supervisors and self.chance.random() < 0.01:
            self.kill("supervisors killed", self.chance.choice(supervisors))
        running = [pid for pid, _ in trainers(self.workspace)]
        if running and self.chance.random() < 0.02:
            self.pause("trainers paused", self.chance.choice(running), now + self.chance.uniform(0.1, 3))
        if running and self.chance.random() < 0.02:
            self.kill("trainers killed", self.chance.choice(running))

    def pause(self, what: str, pid: int, until: float) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self.paused[pid] = until
            self.counts[what] += 1

    def kill(self, what: str, pid: int) -> None:
        send([pid], signal.SIGKILL)
        self.counts[what] += 1

    def go_on(self, now: float) -> None:
        for pid in [pid for pid, until in self.paused.items() if until <= now]:
            del self.paused[pid]
            send([pid], signal.SIGCONT)

    def sample(self) -> None:
        """Handles and memory of the dashboard that is not killed."""
        pid = self.dashboards[0].pid
        if self.dashboards[0].poll() is None and pid not in self.paused:
            self.handles.append(len(os.listdir(f"/proc/{pid}/fd")))
            status = Path(f"/proc/{pid}/status").read_text()
            self.memory.append(int(status.partition("VmRSS:")[2].split()[0]))

    def close(self) -> dict[str, Any]:
        """Ends the dashboards, lets a last one bring everything to its end, and tells what was found."""
        died = [one.poll() for one in self.dashboards if one.poll() is not None]
        for one in self.dashboards:
            one.kill()
            one.wait()
        last = new(self.workspace)
        last.start()
        end = time.monotonic() + 120
        while time.monotonic() < end and not self.is_quiet(last):
            self.look()
            time.sleep(0.2)
        last.refresh()
        found = self.result(last)
        last.close()
        return {**found, "dashboards that died by themselves": died}

    def is_quiet(self, registry: ProcessRegistry) -> bool:
        views = registry.snapshot()
        return all(view.state in TERMINAL or view.state is RunState.HELD for view in views)

    def result(self, registry: ProcessRegistry) -> dict[str, Any]:
        told = [json.loads(line) for line in self.report.read_text().splitlines()]
        accepted = {line["run"] for line in told if line["word"] in ("queued", "started", "resumed")}
        emptied = {run for line in told if line["word"] == "emptied" for run in line["runs"]}
        found = Counter(where(registry))
        over = [view for view in registry.watcher.views if view.record is not None]
        often = [view.name for view in over if starts(view.paths) > len(view.paths.made_attempts())]
        alive = [view for view in registry.snapshot() if view.state not in TERMINAL]
        said = Counter(line["word"] for line in told)
        return {
            "jobs accepted": len(accepted), "resumed": said["resumed"], **self.counts,
            "reads that failed": sum(line["count"] for line in told if line["word"] == "failed"),
            "of them raised in a click": said["raised"],
            "doubled": sorted(self.doubled), "started more often than attempts": often,
            "lost": sorted(accepted - set(found) - emptied), "listed twice": [run for run, n in found.items() if n > 1],
            "called over while alive": [line for line in told if line["word"] == "wrong"],
            "not over": [f"{view.name} {view.state.value}" for view in alive],
            "states": dict(Counter(view.state.value for view in over)),
            "handles": thirds(self.handles), "memory MiB": thirds([value // 1024 for value in self.memory]),
        }


def trainers(workspace: Path) -> Iterator[tuple[int, str]]:
    """(pid, marker) of the trainers that live below a workspace."""
    start, place = f"{MARKER}=".encode(), f":{os.path.realpath(workspace)}/".encode()
    for pid, found in environments():
        for item in found:
            if item.startswith(start) and place in item:
                yield pid, os.fsdecode(item.removeprefix(start))


def is_supervisor(workspace: Path, pid: int) -> bool:
    said = words(pid)
    return SUPERVISOR.encode() in said and os.fsencode(workspace) in said


def where(registry: ProcessRegistry) -> Iterator[str]:
    """The id of every run, once for each place in which it is."""
    yield from (view.run_id for view in registry.watcher.views)
    yield from (entry.run_id for entry in registry.dispatcher.entries())
    yield from (item.run_id for item in registry.archive.trash.items())
    for path in registry.queue.jobs.folder.glob(f"*{CANCELLED}"):
        yield path.name.removesuffix(CANCELLED)


def thirds(values: list[int]) -> list[float]:
    """The medians of the three thirds of some values."""
    size = max(1, len(values) // 3)
    return [statistics.median(part) for n in range(3) if (part := values[n * size : (n + 1) * size])]


def verdict(found: dict[str, Any]) -> list[str]:
    """What must not be."""
    never = (
        "doubled", "started more often than attempts", "lost", "listed twice", "called over while alive", "not over",
        "dashboards that died by themselves",
    )
    wrong = [f"{word}: {found[word]}" for word in never if found[word]]
    for word, more in (("handles", 1.1), ("memory MiB", 1.3)):
        if len(found[word]) == 3 and found[word][2] > more * found[word][1]:
            wrong.append(f"{word} grow: {found[word]}")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--folder", type=Path, help="where the workspace is made and kept (default: a temporary one)")
    parser.add_argument("--dashboard", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.dashboard:
        be_dashboard(Path(args.dashboard[0]), Path(args.dashboard[1]), int(args.dashboard[2]))
    folder = args.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    soak = Soak(folder, args.seed)
    try:
        soak.run(60 * args.minutes)
        found = soak.close()
    finally:
        soak.go_on(float("inf"))
        for one in soak.dashboards:
            one.kill()
        send([pid for pid, _ in trainers(soak.workspace)], signal.SIGKILL)
    wrong = verdict(found)
    print(json.dumps({"seed": args.seed, "minutes": args.minutes, **found}, indent=1))
    print("\n".join(wrong) if wrong else "nothing doubled, lost or called over while it lived; handles and memory flat")
    if wrong:
        print(f"kept: {folder}")
    elif not args.folder:
        shutil.rmtree(folder)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
