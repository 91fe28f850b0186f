"""Fixtures of the fault suite, and its table at the end of the session."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfdash.supervisor.processes import MARKER, environ, send
from tests.faults.dashboards import Zygote
from tests.faults.table import LONG, Row, summary

ROWS: dict[str, Row] = {}
# The workers of pytest-xdist get it with the environment.
SEED = int(os.environ.setdefault("LFDASH_SEED", str(random.SystemRandom().randrange(10**6))))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is of the suite; what takes long is left to `make faults`."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.faults)
            if item.get_closest_marker("long") and not LONG:
                item.add_marker(pytest.mark.skip(reason="of the long form: make faults"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    row = item.stash.get(KEY, None)
    if row is not None:
        if report.when == "call" or report.failed:
            row.result = "failed" if "failed" in (row.result, report.outcome) else report.outcome
        report.fault_row = {**vars(row), "counts": dict(row.counts)}  # it may go to the process that prints the table
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keeps what the last report of each test says; with pytest-xdist in the process that all workers tell."""
    if row := getattr(report, "fault_row", None):
        ROWS[report.nodeid] = Row(**{**row, "counts": Counter(row["counts"])})


KEY = pytest.StashKey[Row]()


@pytest.fixture(autouse=True)
def row(request: pytest.FixtureRequest) -> Row:
    """This test's line of the table."""
    mark = request.node.get_closest_marker("fault_row")
    assert mark is not None, "a test of the fault suite is a row of its table: give it @fault(...)"
    made = Row(**mark.kwargs, case=request.node.name)
    request.node.stash[KEY] = made
    return made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ROWS:
        terminalreporter.section("faults")
        terminalreporter.write_line(f"seed of the random moments: {SEED} (LFDASH_SEED={SEED} repeats them)")
        for line in summary(list(ROWS.values())):
            terminalreporter.write_line(line)


@pytest.fixture
def seed() -> int:
    return SEED


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """An empty workspace; whatever still runs in it afterwards is ended."""
    root = tmp_path / "workspace"
    root.mkdir()
    yield root
    end_all(tmp_path)


def end_all(root: Path) -> None:
    """Kills every process whose run lies below a folder."""
    wanted = f"{MARKER}=".encode()
    below = b":" + os.path.realpath(root).encode()
    for name in os.listdir("/proc"):
        if name.isdigit() and any(
            item.startswith(wanted) and below in item for item in environ(int(name))
        ):
            send([int(name)], signal.SIGKILL)


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """Makes dashboard processes in little time."""
    found = Zygote(tmp_path_factory.mktemp("zygote"))
    yield found
    found.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB of its own."""
    root = tmp_path / "small"
    root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(root)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
    yield root
    end_all(root)
    subprocess.run(["umount", "-l", str(root)], check=True)


@pytest.fixture(scope="session")
def demo_copy(demo_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of the demo's model and data, without runs, for all tests that train."""
    root = tmp_path_factory.mktemp("training") / "workspace"
    for part in ("data", "models"):
        shutil.copytree(demo_workspace / part, root / part)
    return root
