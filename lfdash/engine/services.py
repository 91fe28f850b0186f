"""What one process has of a workspace: registry, presets, devices, what is installed."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lfdash.access.sign_in import SignIn
from lfdash.data.cache import DataCache
from lfdash.data.dataset_info import DatasetInfo
from lfdash.engine import alerts
from lfdash.engine.background import Background
from lfdash.engine.chat.chats import Chats
from lfdash.engine.each_once import EachOnce
from lfdash.engine.machine_use import MachineUse
from lfdash.engine.recent import Recent
from lfdash.engine.registry import ProcessRegistry
from lfdash.engine.row_lengths import RowLengths
from lfdash.engine.sees import Sees
from lfdash.engine.target_offers import TargetOffers
from lfdash.engine.target_tests import TargetTests
from lfdash.jobs.environment import ArgumentType
from lfdash.jobs.presets import Preset, list_presets
from lfdash.jobs.versions import load as load_by_version
from lfdash.launchers import table as launchers
from lfdash.launchers.base import Launcher
from lfdash.launchers.local import LocalLauncher
from lfdash.llamafactory import probe
from lfdash.llamafactory.catalogue import Upstream, load_snapshot
from lfdash.llamafactory.locate import Cli, find_cli
from lfdash.llamafactory.warm import VARIABLE, Warm
from lfdash.machine.history import Histories
from lfdash.machine.host import Host
from lfdash.machine.sampler import Machine
from lfdash.outcomes import Refused
from lfdash.runs.alerts.settings import ADDRESS
from lfdash.runs.metrics.feeds import Feeds
from lfdash.runs.output.logs import Logs
from lfdash.runs.table import Table
from lfdash.targets.target import Target
from lfdash.targets.trust import UsedTargets
from lfdash.workspace import devices
from lfdash.workspace.allowed_paths import Roots
from lfdash.workspace.folders import Workspace, path_refusal
from lfdash.workspace.memo import Memo


@dataclass(frozen=True)
class Project:
    """What the page is made of beside the package's code. root: the folder of app.py, pages/, configs/, .streamlit/."""

    root: Path

    @property
    def script(self) -> Path:
        """The page that Streamlit runs first; it takes the others from pages/ beside it."""
        return self.root / "app.py"

    @property
    def configs(self) -> Path:
        """Presets, DeepSpeed's settings and the snapshot of what LLaMA-Factory offers."""
        return self.root / "configs"


def find_project() -> Project:
    """The project of the lfdash that is imported: inside the package when a wheel was installed (tools/build_hook.py
    put it there), else the checkout around the package."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "_project"
    return Project(inside if inside.is_dir() else package.parent)


KEEP_READY = "keep_ready"  # in the settings of the workspace


class Services:
    """Workspace, registry, presets and what is installed: one object a process.

    Arguments: the project's files, the workspace folder (absolute), and where else paths may lead. create: make the
    workspace's folders that are missing; who only looks leaves them.
    """

    def __init__(
        self, project: Project, workspace: Path, roots: Iterable[Path] = (), *, shared: bool = False,
        create: bool = True,
    ) -> None:
        self.project = project
        self.workspace = Workspace(workspace)
        self.unwritten = self.workspace.prepare(project.configs / "deepspeed") if create else None
        self.roots = Roots.of(workspace, roots, shared=shared)
        self.presets: dict[str, Preset] = {p.name: p for p in list_presets(project.configs / "presets")}
        self.cli = find_cli(os.environ)
        self.warm = Warm(
            self.cli, workspace, os.environ.get(VARIABLE, ""), hidden=(ADDRESS,), memory=Host().memory,
            allowed=lambda: self.keep_ready,
        )
        self.preview_only = os.environ.get("LFDASH_PREVIEW_ONLY", "") not in ("", "0")
        self.devices = devices.probe()
        self.upstream: Upstream = load_snapshot(project.configs / "upstream.json")
        self.by_version = load_by_version(project.configs / "arguments_by_version.json")
        launcher = launchers.get(launchers.DEFAULT)
        if isinstance(launcher, LocalLauncher):
            launcher.forks = self.warm
        self.registry = ProcessRegistry(
            workspace, launcher, roots=self.roots, cli=self.cli_path, starts_jobs=not self.preview_only,
        )
        if create:
            self.registry.identity.check()
        self._machine_use = MachineUse(self.registry.watcher, self.registry.identity)
        self.machine = Machine(workspace, self._machine_use)
        self.machine_histories = Histories()  # of the runs
        self.logs = Logs()
        self.table = Table(self.registry.summaries)
        self.feeds = Feeds()
        self.alerts, self.alert_sender = alerts.of_registry(
            self.registry, self.feeds, lambda: self.machine.seen, acts=not self.preview_only
        )
        self.chats = Chats(self.registry, lambda: self.cli_path, lambda: self.blocked, settings(self))
        self.data = DataCache(workspace, self.roots.readable)
        self.sees = Sees(workspace, self.cli, self.roots, self.warm, self.datasets)
        kept = Memo(self.workspace.private / "row_lengths.json", self.registry.identity.is_here)
        self.row_lengths = RowLengths(self.workspace, self.roots, self.datasets, kept)
        self.foretold: Recent[Any] = Recent()  # of engine/forecast.py
        self.dry_runs: Background[Any] = Background()  # of the same
        self.target_tests = TargetTests(workspace, lambda: self.cli_path, self.registry.identity.check)
        self.target_offers = TargetOffers(UsedTargets(self.registry.watcher.workspace))
        self.past_runs: EachOnce[Any] = EachOnce()  # of engine/past_runs.py
        self._types: tuple[Upstream, Mapping[str, ArgumentType]] | None = None
        self.by_entry = True
        self.sign_in: SignIn | None = None  # set by the entry
        self._started = False
        self._compared = False
        self._packages: Mapping[str, str] | Refused = Refused("asked_not")
        self._lock = threading.Lock()

    @property
    def started(self) -> bool:
        """Whether the registry's thread looks after the workspace here; without it, `registry.refresh` looks."""
        return self._started

    def start(self) -> None:
        """Starts the threads of the registry and of the machine, and reads in the background what LLaMA-Factory offers.
        Once."""
        with self._lock:
            if self._started:
                return
            self._started = True
        self.registry.start()
        self.machine.start()
        self.alert_sender.start()
        if not self.preview_only:
            self.chats.keeper.start()
        threading.Thread(target=self._read_installed, name="lfdash-upstream", daemon=True).start()

    def close(self) -> None:
        """Stops the threads of the machine and of the registry. Runs go on."""
        self.warm.close()
        self.dry_runs.close()
        self.target_tests.close()
        self.chats.asking.close()
        self.chats.keeper.close()
        self.machine.close()
        self._machine_use.close()
        self.registry.close()
        self.alert_sender.close()

    @property
    def keep_ready(self) -> bool:
        """Whether the workspace's user wants LLaMA-Factory to be kept ready; LFDASH_WARM=never says no for all."""
        return settings(self).load().get(KEEP_READY) is not False

    def set_keep_ready(self, wanted: bool) -> None:
        """Keeps that for the workspace. What is kept ready here ends within a second; in other dashboards with the next
        page that would want it."""
        memo = settings(self)
        memo.save({**memo.load(), KEEP_READY: wanted})
        self.warm.want() if wanted else self.warm.let_go()

    def _read_installed(self) -> None:
        if isinstance(self.cli, Cli):
            found = probe.probe(self.cli, self.workspace.private)
            if isinstance(found, Upstream):
                self.upstream = found

    def take_found(self) -> None:
        """Takes what was found last of the LLaMA-Factory that is used, without asking it."""
        if isinstance(self.cli, Cli):
            self.upstream = probe.cached(self.workspace.private, self.cli) or self.upstream

    def ask_other_version(self) -> None:
        """Asks the LLaMA-Factory that is used which packages its environment has, and, once, everything if its version
        is another than that of the snapshot, where nothing was found of it yet; takes 0.2 s, else up to 20."""
        if self._started or self._compared or self.upstream.source == "installed" or not isinstance(self.cli, Cli):
            return
        self._compared = True
        self._packages = probe.packages_of(self.cli)
        if not isinstance(self._packages, Refused) and not probe.is_described(self._packages, self.upstream):
            self._read_installed()

    @property
    def packages(self) -> Mapping[str, str] | Refused:
        """Distribution (lower case) -> version of LLaMA-Factory's environment. Refused: why that is not known."""
        if self.upstream.source == "installed" and self.upstream.packages:
            return self.upstream.packages
        return self.cli if isinstance(self.cli, Refused) else self._packages

    def datasets(self, directory: str) -> DatasetInfo:
        """The datasets of a folder (relative to the workspace)."""
        return self.data.info(directory)

    def row_counts(self, directory: str, names: Iterable[str]) -> dict[str, int]:
        """The number of rows of the named datasets, where it is quickly known."""
        return self.data.rows(directory, names)

    @property
    def board_lacks(self) -> frozenset[str]:
        """The elements of LlamaBoard's form that the one of the installed version lacks."""
        return self.by_version.board_lacks(self.upstream.llamafactory)

    def argument_types(self) -> Mapping[str, ArgumentType]:
        """What every argument takes, made once for what is known at the time."""
        upstream = self.upstream
        if self._types is None or self._types[0] is not upstream:
            types = {
                name: ArgumentType(a.kind, a.choices, a.nullable, a.default) for name, a in upstream.arguments.items()
            }
            self._types = (upstream, types)
        return self._types[1]

    @property
    def launcher(self) -> Launcher:
        """What starts a new run of this dashboard."""
        return self.registry.launchers.default

    def launcher_on(self, target: str) -> Launcher:
        """What starts a new run on a target; "" is this machine, as far as the dashboard runs jobs here. A target that
        is not there, or cannot be read, has one that starts nothing."""
        if not target:
            return self.launcher
        found = self.registry.targets.get(target)
        return self.registry.launchers.get(f"target:{target}" if isinstance(found, Refused) else found.launcher)

    @property
    def cli_path(self) -> str:
        """The llamafactory-cli that runs and previews name."""
        return self.cli.path if isinstance(self.cli, Cli) else "llamafactory-cli"

    @property
    def blocked(self) -> Refused | None:
        """Why nothing can be started on this machine, whatever is typed; None when it can."""
        refused = self._blocked_anywhere(own_cli=False)
        if refused is not None:
            return refused
        supported = sys.platform.startswith("linux") or not self.launcher.local
        return None if supported else Refused("blocked_platform")

    def blocked_on(self, target: str) -> Refused | None:
        """Why nothing can be started on a target, whatever is typed; "" is this machine. None when it can: a cluster
        may run what this machine cannot."""
        found = self.registry.targets.get(target) if target else None
        if not isinstance(found, Target) or self.launcher_on(target).local:
            return self.blocked
        return self._blocked_anywhere(own_cli=bool(found.cli))

    def _blocked_anywhere(self, *, own_cli: bool) -> Refused | None:
        """Why nothing can be started from here, wherever it would run. own_cli: whether a llamafactory-cli is there."""
        if self.preview_only:
            return Refused("blocked_preview")
        unfit = path_refusal(self.workspace.root)
        if unfit is not None:
            return unfit
        return self.cli if isinstance(self.cli, Refused) and not own_cli else None


def settings(services: Services) -> Memo:
    """What a workspace remembers of its user: language, paths of models."""
    return Memo(services.workspace.private / "settings.json", services.registry.identity.is_here)
