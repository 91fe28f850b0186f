"""Fixtures and rules that every test shares."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from lfdash.llamafactory.locate import Cli, described
from lfdash.llamafactory.probe import probe
from tests.support import ROOT
from tests.support.clusters import ray, slurm
from tests.support.preloaded import preload

# Two cores are shared by the tests, the server and the training: more threads only wait for each other.
# Set before anything imports numpy or torch, and inherited by every child.
os.environ["OMP_NUM_THREADS"] = "1"
# No test may talk to a hub; a model or data set that is not local is a mistake to be seen at once.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Nobody who opens a page here waits for a GB of memory; the tests of it make their own.
os.environ["LFDASH_WARM"] = "never"
# Which targets the developer has used is theirs; no test leaves anything there (no folder can be made here).
os.environ["XDG_STATE_HOME"] = "/dev/null/state"
# What the developer's shell says must not decide how a test ends.
for name in ("LFDASH_CLI", "LFDASH_WORKSPACE"):
    os.environ.pop(name, None)

# How long an example takes says nothing: the machine is shared.
hypothesis.settings.register_profile("lfdash", deadline=None)
hypothesis.settings.load_profile("lfdash")

CLI = Path(sys.executable).with_name("llamafactory-cli")
CACHE = "LFDASH_TEST_CACHE"  # a folder in which several calls of pytest keep what takes long to make (.ci/run)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs LLaMA-Factory, or a scheduler, where it is not installed, and say so."""
    for name, reason in (("cluster", slurm.missing()), ("ray_cluster", ray.missing())):
        for item in items if reason else ():
            if item.get_closest_marker("clusters") and name in item.fixturenames:
                item.add_marker(pytest.mark.skip(reason=reason))
    for item in items:
        fixtures = {"cluster", "ray_cluster"} & {*item.fixturenames}
        if item.get_closest_marker("clusters") and fixtures and ("ray_cluster" in fixtures) != needs_ray(item.nodeid):
            raise pytest.UsageError(f"{item.nodeid}: what starts a Ray has ray in its name, and nothing else has")
    if CLI.exists():
        return
    skip = pytest.mark.skip(reason=f"LLaMA-Factory is not installed: no {CLI.name} beside {sys.executable}")
    for item in items:
        if item.get_closest_marker("train_env"):
            item.add_marker(skip)


def needs_ray(nodeid: str) -> bool:
    """Whether a test with a scheduler starts a Ray, by its name."""
    return re.search(r"(?<![a-z])ray(?![a-z])", nodeid.replace("_", " ")) is not None


class ByScheduler(LoadScopeScheduling):
    """Gives all that needs a Ray to one worker of pytest-xdist, and all that needs a Slurm to the other: nodes of the
    same name share their cgroups, and two of each are more than two cores can carry. (Marks of groups do nothing since
    pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        return "ray" if needs_ray(nodeid) else "slurm"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """The one for `--dist loadgroup`."""
    return ByScheduler(config, log) if config.getoption("dist") == "loadgroup" else None


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty workspace of this test."""
    root = tmp_path / "workspace"
    root.mkdir()
    return root


@pytest.fixture(scope="session")
def slurm_session() -> Iterator[slurm.SlurmCluster]:
    """A Slurm of this session, with two nodes."""
    cluster = slurm.SlurmCluster()
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def cluster(slurm_session: slurm.SlurmCluster) -> Iterator[slurm.SlurmCluster]:
    """A Slurm without jobs, whose nodes take some. What a test has killed of it is started again."""
    slurm_session.clear()
    yield slurm_session
    slurm_session.clear()


@pytest.fixture(scope="session")
def ray_session() -> Iterator[ray.RayCluster]:
    """A Ray of this session, with two nodes."""
    cluster = ray.RayCluster()
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def ray_cluster(ray_session: ray.RayCluster) -> Iterator[ray.RayCluster]:
    """A Ray without jobs. What a test has killed of it is started again."""
    ray_session.clear()
    yield ray_session


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this session; of several workers (pytest-xdist) all have the same."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if hasattr(request.config, "workerinput") else folder


@pytest.fixture(scope="session")
def preloaded(request: pytest.FixtureRequest, shared: Path) -> Cli:
    """A llamafactory-cli that starts in no time (tests/support/preloaded.py); all workers have the same.

    It ends with the process that pytest was called as.
    """
    owner = os.getppid() if hasattr(request.config, "workerinput") else os.getpid()
    return preload(described(str(CLI)), shared / "preloaded", owner)


@pytest.fixture(scope="session")
def asked(shared: Path) -> Path:
    """A folder with what LLaMA-Factory says of itself. Treat it as read-only.

    Asked once, for all workspaces and workers, and again only when it changed: it takes 10 s of a core.
    """
    folder = Path(os.environ.get(CACHE) or shared) / "asked"
    folder.mkdir(parents=True, exist_ok=True)
    if CLI.exists():
        with FileLock(folder.with_name("asked.lock")):
            probe(described(str(CLI)), folder)
    return folder


@pytest.fixture(scope="session")
def demo_workspace(asked: Path) -> Path:
    """A workspace as `make run` makes it: the demo model, the demo data sets. Treat it as read-only.

    Made once, for all workers, and again only when something changed that decides what is in it.
    """
    if not CLI.exists():
        pytest.skip(f"the demo model needs the extra [train]: no {CLI.name} beside {sys.executable}")
    sources = [*sorted((ROOT / "lfdash" / "demo").glob("*.py")), ROOT / "lfdash" / "files.py"]
    installed = [path.name for path in asked.iterdir()]  # they name what is installed
    key = hashlib.sha256(repr([installed, *(path.read_text() for path in sources)]).encode()).hexdigest()[:16]
    root = asked.with_name(f"demo-{key}") / "workspace"
    with FileLock(asked.with_name("demo.lock")):
        if not root.exists():
            draft = root.with_name("draft")
            shutil.rmtree(draft, ignore_errors=True)  # of a session that was ended here
            command = [sys.executable, "-m", "lfdash.demo", str(draft)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            assert done.returncode == 0, f"lfdash.demo failed:\n{done.stdout}\n{done.stderr}"
            shutil.copytree(asked, draft / ".lfdash", dirs_exist_ok=True)
            draft.rename(root)
    return root
