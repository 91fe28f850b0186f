"""LLaMA-Factory kept warm is killed, stopped, starved and broken at each moment of a start: there is one trainer, or
the run is said not to have begun, as with a start of the usual kind."""

from __future__ import annotations

import ctypes
import os
import platform
import random
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfdash.engine.registry import ProcessRegistry
from lfdash.launchers import folder as folder_module
from lfdash.launchers.base import Launched
from lfdash.launchers.forked import Forked
from lfdash.launchers.local import STARTUP_S, LocalLauncher
from lfdash.llamafactory import warm as warm_module
from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.warm import Warm
from lfdash.outcomes import Refused
from lfdash.runs.record import TERMINAL, Handle, RunState
from lfdash.runs.view import RunView
from lfdash.supervisor.failpoints import POINTS, VARIABLE
from lfdash.supervisor.processes import descendants, start_ticks
from tests.faults.runs import alive, new, over, pids, shims, starts
from tests.faults.table import LONG, Row, fault
from tests.support import ROOT
from tests.support.runs import plan_for, record_for, wait_for
from tests.support.warm import kept_warm, warmable_cli

STEPS = {"steps": 5, "delay": 0.02}
POINTS_OF_WARM = [point for point in POINTS if point.startswith("warm.")]
OF_SERVER = ("warm.asked", "warm.before_fork")  # in the warm process itself; the others are in its forks
# killed there, the supervisor has used its right and started nothing: as at shim.taken
OF_SUPERVISOR = ("warm.shim_told", "warm.shim_ready")
IOPRIO_GET = {"x86_64": 252, "aarch64": 31}  # linux/unistd.h
ROUNDS = 60 if LONG else 12


@pytest.fixture
def cli(workspace: Path) -> Cli:
    return warmable_cli(workspace.parent)


@pytest.fixture
def warm(cli: Cli, workspace: Path) -> Iterator[Warm]:
    with kept_warm(cli, workspace) as found:
        yield found


def submit(
    forks: Warm | None, workspace: Path, cli: Cli, *, name: str = "r1", points: str = "", **args: object
) -> tuple[LocalLauncher, Handle]:
    launcher = LocalLauncher()
    launcher.forks = forks
    env = {VARIABLE: points} if points else {}
    plan = plan_for(workspace, cli=cli.path, name=name, env=env, **{**STEPS, **args})
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched), outcome
    return launcher, outcome.handle


def succeeded(workspace: Path, handle: Handle) -> None:
    """The run was started once, and ended well."""
    registry = new(workspace)
    found = wait_for(lambda: next((view for view in over_now(registry) if view.run_id == handle.run_id), None), 30)
    assert found is not None and (found.state, found.exit_code) == (RunState.SUCCEEDED, 0)
    assert starts(handle.paths) == 1 and alive(handle.paths) == 0


def over_now(registry: ProcessRegistry) -> list[RunView]:
    """The runs that are over."""
    registry.refresh()
    return [view for view in registry.snapshot() if view.state in TERMINAL]


def forks_gone(workspace: Path) -> bool:
    """Whether no fork that waits, and no supervisor, is left of any run of a workspace."""
    below = str(workspace).encode()
    return not any(b"supervisor/__main__.py" in words(pid) and below in words(pid) for pid in descendants(1))


def words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def waiting(warm: Warm) -> list[int]:
    """The forks of a warm process that have not become anything yet: they show its own words."""
    own = words(warm.pid)
    return [pid for pid in descendants(1) if pid != warm.pid and own and words(pid) == own]


# -- killed at each moment ------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["kill", "exit", "error:ENOMEM", *(["term", "segv"] if LONG else [])])
@pytest.mark.parametrize("point", POINTS_OF_WARM)
@fault(
    "a start from the warm process breaks off", how="failpoint: killed, ended, an error, at each moment",
    expected="started in the usual way; once the trainer runs, its end is told; never a second one",
)
def test_broken_off_at_each_moment(
    workspace: Path, cli: Cli, row: Row, monkeypatch: pytest.MonkeyPatch, point: str, action: str
) -> None:
    own = f"{point}={action}" if point in OF_SERVER else ""
    with monkeypatch.context() as patch:
        if own:
            patch.setenv(VARIABLE, own)
        with kept_warm(cli, workspace) as warm:
            patch.delenv(VARIABLE, raising=False)
            _, handle = submit(warm, workspace, cli, points="" if own else f"{point}={action}")
            check(workspace, handle, row, point, action)
            wait_for(lambda: not waiting(warm) and forks_gone(workspace))
    row.note("", faults=1)


def check(workspace: Path, handle: Handle, row: Row, point: str, action: str) -> None:
    """What came of a start that broke off."""
    deadly = not action.startswith("error") and not (action == "term" and point in OF_SUPERVISOR)
    if point in OF_SUPERVISOR and deadly:
        wait_for(lambda: shims(handle.paths) == 0)
        (view,) = over(new(workspace, later=STARTUP_S + 1))
        assert (view.state, view.exit_code) == (RunState.LOST, None) and starts(handle.paths) == 0
        row.note("LOST: the supervisor had its right")
    elif point == "warm.child_runs":
        (view,) = over(new(workspace))
        assert view.state is RunState.FAILED and starts(handle.paths) == 0
        row.note(f"FAILED: {view.exit_code}")
    elif action == "term":
        (view,) = over(new(workspace))
        assert view.state in (RunState.SUCCEEDED, RunState.STOPPED) and starts(handle.paths) <= 1
    else:
        succeeded(workspace, handle)
        row.note("SUCCEEDED, 0")
    assert alive(handle.paths) == 0


@pytest.mark.parametrize("point", [point for point in POINTS_OF_WARM if point not in OF_SERVER])
@fault(
    "a start from the warm process hangs", how="it pauses at each moment, until all patience is over, and goes on then",
    expected="started in the usual way; who comes late starts nothing",
)
def test_it_hangs_and_goes_on_late(
    workspace: Path, cli: Cli, warm: Warm, row: Row, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_module, "ANSWER_S", 0.3)
    pause = workspace.parent / "pause"
    launcher, handle = submit(warm, workspace, cli, points=f"{point}=pause:{pause}")
    wait_for(pause.exists)
    if point.startswith("warm.shim_") or point == "warm.child_runs":  # nobody else can be who starts it
        pause.unlink()
    else:
        wait_for(lambda: starts(handle.paths), 30)
        pause.unlink()
    succeeded(workspace, handle)
    wait_for(lambda: not waiting(warm) and forks_gone(workspace))
    assert starts(handle.paths) == 1
    row.note(f"SUCCEEDED; {'warm' if isinstance(launcher.shim(handle), Forked) else 'cold'}", faults=1)


@fault(
    "the warm process is stopped", how="SIGSTOP before a start, SIGCONT behind it",
    expected="the start waits 2 s at most and goes the usual way; what it does later starts nothing",
)
def test_it_is_stopped(workspace: Path, cli: Cli, warm: Warm, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    assert warm_module.ANSWER_S <= 2
    monkeypatch.setattr(warm_module, "ANSWER_S", 0.2)
    os.kill(warm.pid, signal.SIGSTOP)
    handles = [submit(warm, workspace, cli, name=f"r{n}")[1] for n in range(3)]
    os.kill(warm.pid, signal.SIGCONT)
    for handle in handles:
        succeeded(workspace, handle)
    monkeypatch.undo()
    launcher, handle = submit(warm, workspace, cli, name="later")  # it has gone through all that waited
    assert isinstance(launcher.shim(handle), Forked)
    succeeded(workspace, handle)
    wait_for(lambda: not waiting(warm) and forks_gone(workspace))
    assert [starts(handle.paths) for handle in handles] == [1, 1, 1]
    row.note("3 started cold, the next one warm", faults=3)


@fault(
    "the warm process is killed at random moments of a start", how="SIGKILL 0 to 60 ms behind the click",
    expected="one trainer; what was forked outlives it",
)
def test_it_is_killed_at_random(workspace: Path, cli: Cli, row: Row, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(ROUNDS):
        with kept_warm(cli, workspace) as warm:
            timer = threading.Timer(chance.uniform(0, 0.06), os.kill, (warm.pid, signal.SIGKILL))
            timer.start()
            launcher, handle = submit(warm, workspace, cli, name=f"r{number}")
            timer.join()
            wait_for(lambda warm=warm: warm.state == "unfit")
            succeeded(workspace, handle)
            row.note("warm" if isinstance(launcher.shim(handle), Forked) else "cold", faults=1)


# -- it is not what it should be ------------------------------------------------------------------------


@fault(
    "memory is limited", how="RLIMIT_AS: the imports raise MemoryError; or it has another one than the dashboard",
    expected="started in the usual way",
)
def test_too_little_memory(workspace: Path, cli: Cli, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    greedy = workspace.parent / "fake"
    greedy.mkdir()
    (greedy / "greedy.py").write_text("held = bytearray(8 << 30)\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    monkeypatch.setenv("PYTHONPATH", str(greedy))
    broken = Warm(cli, workspace, modules=["greedy"], room=0)
    resource.setrlimit(resource.RLIMIT_AS, (7 << 30, hard))
    try:
        broken.want()
        wait_for(lambda: broken.state == "unfit")
        _, handle = submit(broken, workspace, cli)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        broken.close()
    assert broken.why.startswith("MemoryError")
    succeeded(workspace, handle)
    monkeypatch.undo()
    with kept_warm(cli, workspace) as warm:
        resource.prlimit(warm.pid, resource.RLIMIT_AS, (1 << 40, hard))
        launcher, handle = submit(warm, workspace, cli, name="r2")
        assert not isinstance(launcher.shim(handle), Forked)  # its fork would have another limit
        succeeded(workspace, handle)
    row.note("SUCCEEDED, cold", faults=2)


@pytest.mark.parametrize("text", ["raise ImportError('no')", "import os; os._exit(139)", "def f(:"])
@fault("the installation is broken", how="its import fails", expected="started in the usual way, which says it")
def test_a_broken_installation(
    workspace: Path, cli: Cli, row: Row, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    fake = workspace.parent / "fake"
    fake.mkdir()
    (fake / "broken.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(fake))
    warm = Warm(cli, workspace, modules=["broken"], room=0)
    warm.want()
    wait_for(lambda: warm.state == "unfit")
    _, handle = submit(warm, workspace, cli)
    succeeded(workspace, handle)
    warm.close()
    row.note(warm.why.partition(":")[0], faults=1)


@fault(
    "the installation changes between two starts", how="a package is added", expected="not forked from what was loaded",
)
def test_a_changed_installation(workspace: Path, cli: Cli, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = workspace.parent / "site-packages"
    packages.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(packages))
    with kept_warm(cli, workspace) as warm:
        launcher, handle = submit(warm, workspace, cli)
        assert isinstance(launcher.shim(handle), Forked)
        succeeded(workspace, handle)
        (packages / "added").mkdir()
        launcher, handle = submit(warm, workspace, cli, name="r2")
        assert not isinstance(launcher.shim(handle), Forked)
        succeeded(workspace, handle)
    row.note("cold", faults=1)


def masks(pid: int) -> dict[str, int]:
    """The signals that a process blocks and ignores, as sets of bits (proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line[:6]: int(line.split()[1], 16) for line in lines if line.startswith(("SigBlk", "SigIgn"))}


def ignored(number: int, found: dict[str, int]) -> bool:
    return bool(found["SigIgn"] >> (number - 1) & 1)


@fault(
    "the dashboard was started so that it ignores signals", how="SIGINT, SIGHUP and SIGTERM ignored, as under nohup",
    expected="the trainer has the signals of a cold one, and ends by the same",
)
def test_signals_that_the_dashboard_ignores(workspace: Path, cli: Cli, row: Row) -> None:
    numbers = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    found, codes = {}, {}
    try:
        with kept_warm(cli, workspace) as warm:
            assert ignored(signal.SIGINT, masks(warm.pid))  # it was handed down
            for name, forks in (("warm", warm), ("cold", None)):
                launcher, handle = submit(forks, workspace, cli, name=name, steps=2000)
                assert isinstance(launcher.shim(handle), Forked) is (name == "warm")
                _, child = pids(handle)
                wait_for(lambda handle=handle: starts(handle.paths))  # type: ignore[misc]
                found[name] = masks(child)
                os.kill(child, signal.SIGINT)
                wait_for(lambda launcher=launcher, handle=handle: launcher.poll(handle).exit, 30)  # type: ignore[misc]
                told = launcher.poll(handle).exit
                assert told is not None
                codes[name] = told.code
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert found["warm"] == found["cold"] and not any(ignored(number, found["warm"]) for number in numbers)
    assert codes["warm"] == codes["cold"] == -signal.SIGINT
    row.note(f"the same masks; {codes['warm']} by SIGINT", faults=1)


def priorities(pid: int) -> set[tuple[int, int, str]]:
    """(nice, priority for the disk, readiness to be ended) of all threads of a process."""
    io = ctypes.CDLL(None).syscall
    oom = Path(f"/proc/{pid}/oom_score_adj").read_text().strip()
    threads = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    return {(os.getpriority(os.PRIO_PROCESS, tid), io(IOPRIO_GET[platform.machine()], 1, tid), oom) for tid in threads}


@pytest.mark.skipif(platform.machine() not in IOPRIO_GET, reason="the number of ioprio_get is not known here")
@fault(
    "the warm process imports at the lowest priority", how="nice and ionice of the trainer, also of a niced dashboard",
    expected="those of a trainer that was started cold",
)
def test_the_priority_of_a_cold_start(workspace: Path, cli: Cli, row: Row) -> None:
    found = {}
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    wanted = (nice, nice + 3) if os.geteuid() == 0 else (nice,)  # only the superuser can take it back
    for dashboard in wanted:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, dashboard)
            with kept_warm(cli, workspace) as warm:
                for name, forks in (("warm", warm), ("cold", None)):
                    _, handle = submit(forks, workspace, cli, name=f"{name}{dashboard}", steps=2000)
                    shim, child = pids(handle)
                    found[name] = priorities(child), priorities(shim)
                    os.kill(child, signal.SIGKILL)
        finally:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
        assert found["warm"] == found["cold"]
        ((seen, _, oom),) = found["warm"][0]
        assert (seen, oom) == (dashboard, "300")
    row.note(f"nice {', '.join(map(str, wanted))}, as cold", faults=len(wanted))


# -- others ---------------------------------------------------------------------------------------------


@fault(
    "two dashboards, each with its own warm process, start the same run", how="at the same moment, again and again",
    expected="one starts it, the other is refused",
)
def test_two_dashboards(workspace: Path, cli: Cli, row: Row) -> None:
    with kept_warm(cli, workspace) as one, kept_warm(cli, workspace) as other:
        assert one.pid != other.pid
        for number in range(ROUNDS):
            outcomes: list[Launched | Refused] = []
            both = threading.Barrier(2, timeout=20)

            def start(
                forks: Warm, number: int = number, both: threading.Barrier = both,
                outcomes: list[Launched | Refused] = outcomes,
            ) -> None:
                launcher = LocalLauncher()
                launcher.forks = forks
                place = f"saves/m/lora/r{number}"  # each dashboard's run has an id of its own
                plan = plan_for(workspace, cli=cli.path, name=f"{forks.pid}-{number}", output_dir=place, **STEPS)
                both.wait()
                outcomes.append(launcher.submit(plan, record_for(plan), {}))

            threads = [threading.Thread(target=start, args=(forks,)) for forks in (one, other)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            (launched,) = [outcome for outcome in outcomes if isinstance(outcome, Launched)]
            (refused,) = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
            assert refused.code in ("exists", "runs_already")
            succeeded(workspace, launched.handle)
    row.note("one each time", faults=ROUNDS)


DASHBOARD = """
import sys, time
from pathlib import Path
from lfdash.llamafactory.locate import Cli
from tests.faults.test_warm import submit
from tests.support.warm import kept_warm
cli, workspace = Cli(sys.argv[1], sys.executable), Path(sys.argv[2])
with kept_warm(cli, workspace) as warm:
    launcher, handle = submit(warm, workspace, cli, steps=100)
    print(warm.pid, type(launcher.shim(handle)).__name__, flush=True)
    time.sleep(600)
"""


@fault(
    "the dashboard dies behind a start from its warm process", how="SIGKILL",
    expected="the warm process ends, the run goes on and is adopted, its exit code is told",
)
def test_the_dashboard_dies(workspace: Path, cli: Cli, row: Row) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", DASHBOARD, cli.path, str(workspace)], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
    )
    assert owner.stdout is not None
    server, kind = owner.stdout.readline().split()
    assert kind == "Forked"
    registry = new(workspace)
    registry.refresh()
    view = registry.get("id-r1")
    assert view is not None and view.paths is not None
    handle = Handle("id-r1", 1, view.paths)
    shim, child = pids(handle)
    os.killpg(owner.pid, signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    wait_for(lambda: start_ticks(int(server)) is None)
    assert start_ticks(shim) and start_ticks(child) and shims(view.paths) == 1
    succeeded(workspace, handle)
    row.note("SUCCEEDED, 0", faults=1, restarts=1)


@fault("the warm process is ended while its run goes on", how="the dashboard closes it", expected="the run goes on")
def test_it_is_closed(workspace: Path, cli: Cli, row: Row) -> None:
    with kept_warm(cli, workspace) as warm:
        _, handle = submit(warm, workspace, cli, steps=50)
        pids(handle)
    assert warm.state == "off"
    succeeded(workspace, handle)
    row.note("SUCCEEDED, 0", faults=1)


@fault(
    "the disk is full", how="tmpfs of 1 MB, filled before and behind the start",
    expected="refused, and nothing is forked; the stop works and the exit code is told",
)
def test_a_full_disk(small_disk: Path, row: Row, tmp_path: Path) -> None:
    cli = warmable_cli(tmp_path)
    with kept_warm(cli, tmp_path) as warm:
        launcher, handle = submit(warm, small_disk, cli, load=600)
        assert isinstance(launcher.shim(handle), Forked)
        wait_for(lambda: starts(handle.paths))
        with (small_disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
            while True:
                filler.write(b"\0" * 4096)
        plan = plan_for(small_disk, cli=cli.path, name="r2", **STEPS)
        refused = launcher.submit(plan, record_for(plan), {})
        assert isinstance(refused, Refused) and refused.code == "disk"
        assert launcher.stop(handle, "graceful") is None
        wait_for(lambda: launcher.poll(handle).phase == "ended")
        told = launcher.poll(handle).exit
        assert told is not None and (told.code, told.stop) == (-15, ("graceful",))
        wait_for(lambda: not waiting(warm) and forks_gone(small_disk))
    row.note("refused; -15 by its stop", faults=2)


@fault(
    "the log of a run cannot be opened", how="a folder lies in its place",
    expected="said as the end of the run; the fork that waits is gone",
)
def test_the_log_cannot_be_opened(
    workspace: Path, cli: Cli, warm: Warm, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = folder_module.write_control

    def with_folder(control: object, paths: object, *words: object) -> None:
        real(control, paths, *words)  # type: ignore[arg-type]
        (control.root.parent.parent / "console.log").mkdir()  # type: ignore[attr-defined]

    monkeypatch.setattr(folder_module, "write_control", with_folder)
    launcher, handle = submit(warm, workspace, cli)
    wait_for(lambda: launcher.poll(handle).phase == "ended")
    told = launcher.poll(handle).exit
    assert told is not None and told.code == 127 and told.error is not None and "IsADirectory" in told.error
    wait_for(lambda: not waiting(warm) and forks_gone(workspace))
    row.note("127", faults=1)
