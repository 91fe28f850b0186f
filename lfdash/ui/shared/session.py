"""What all sessions of one server share, reached through the only `st.cache_resource` of the project."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from lfdash.access.sign_in import SignIn
from lfdash.data.cache import DataCache
from lfdash.data.dataset_info import DatasetInfo
from lfdash.engine.registry import ProcessRegistry
from lfdash.jobs.job import ArgumentType
from lfdash.jobs.presets import Preset, list_presets
from lfdash.launchers.local import LocalLauncher
from lfdash.llamafactory import probe
from lfdash.llamafactory.catalogue import Upstream, load_snapshot
from lfdash.llamafactory.locate import Cli, find_cli
from lfdash.runs.table import Table
from lfdash.workspace import devices
from lfdash.workspace.allowed_paths import Roots, named
from lfdash.workspace.folders import Workspace


@dataclass(frozen=True)
class Project:
    """The checkout: where the page, the presets and the shipped snapshot lie."""

    root: Path

    @property
    def configs(self) -> Path:
        return self.root / "configs"


class Services:
    """Workspace, registry, presets and what is installed: one object a process.

    Arguments: the project's files, the workspace folder (absolute; made when missing), and where else paths may lead.
    """

    def __init__(self, project: Project, workspace: Path, roots: Iterable[Path] = (), *, shared: bool = False) -> None:
        self.project = project
        self.workspace = Workspace(workspace)
        self.workspace.prepare(project.configs / "deepspeed")
        self.roots = Roots.of(workspace, roots, shared=shared)
        self.presets: dict[str, Preset] = {p.name: p for p in list_presets(project.configs / "presets")}
        self.cli = find_cli(os.environ)
        self.preview_only = os.environ.get("LFDASH_PREVIEW_ONLY", "") not in ("", "0")
        self.devices = devices.probe(workspace)
        self.upstream: Upstream = load_snapshot(project.configs / "upstream.json")
        self.registry = ProcessRegistry(workspace, LocalLauncher(), roots=self.roots)
        self.table = Table(self.registry.summaries)
        self._data = DataCache(workspace, self.roots.readable)
        self._types: tuple[Upstream, Mapping[str, ArgumentType]] | None = None
        self.by_entry = True
        self.sign_in: SignIn | None = None  # set by the entry
        self._started = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Starts the registry's thread and, in the background, reads what LLaMA-Factory offers. Once."""
        with self._lock:
            if self._started:
                return
            self._started = True
        self.registry.start()
        threading.Thread(target=self._read_installed, name="lfdash-upstream", daemon=True).start()

    def close(self) -> None:
        """Stops the registry's thread. Runs go on."""
        self.registry.close()

    def _read_installed(self) -> None:
        if isinstance(self.cli, Cli):
            found = probe.probe(self.cli, self.workspace.private)
            if isinstance(found, Upstream):
                self.upstream = found

    def datasets(self, directory: str) -> DatasetInfo:
        """The datasets of a folder (relative to the workspace)."""
        return self._data.info(directory)

    def row_counts(self, directory: str, names: Iterable[str]) -> dict[str, int]:
        """The number of rows of the named datasets, where it is quickly known."""
        return self._data.rows(directory, names)

    def argument_types(self) -> Mapping[str, ArgumentType]:
        """Kind and choices of every argument, made once for what is known at the time."""
        upstream = self.upstream
        if self._types is None or self._types[0] is not upstream:
            types = {name: ArgumentType(a.kind, a.choices) for name, a in upstream.arguments.items()}
            self._types = (upstream, types)
        return self._types[1]

    @property
    def cli_path(self) -> str:
        """The llamafactory-cli that runs and previews name."""
        return self.cli.path if isinstance(self.cli, Cli) else "llamafactory-cli"

    @property
    def blocked(self) -> str:
        """The key of the text that says why nothing can be started here, whatever is typed; "" when it can."""
        if self.preview_only:
            return "ui.blocked_preview"
        if not isinstance(self.cli, Cli):
            return "ui.blocked_variable" if self.cli.variable else "ui.blocked_cli"
        return "" if sys.platform.startswith("linux") else "ui.blocked_platform"


class Memo:
    """A small JSON file of the workspace (draft, settings): read tolerantly, replaced atomically."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[str, Any]:
        """Its mapping; empty when the file is missing, broken or not a mapping."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def save(self, content: Mapping[str, Any]) -> None:
        """Replaces the file. A full or read-only disk loses the memo, never the page."""
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        try:
            temporary.write_text(json.dumps(content), encoding="utf-8")
            temporary.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def settings(services: Services) -> Memo:
    """What a workspace remembers of its user: language, paths of models."""
    return Memo(services.workspace.private / "settings.json")


_installed: list[Services] = []


def install(services: Services) -> None:
    """Makes `services` the process-wide object (called once, by the server's entry)."""
    _installed[:] = [services]


def opened() -> Services:
    """The process-wide services; opened from the environment when no entry did (`streamlit run app.py`)."""
    if not _installed:  # Streamlit was started without our entry
        workspace = Path(os.environ.get("LFDASH_WORKSPACE", "workspace")).resolve()
        roots = named(os.environ.get("LFDASH_ROOTS", ""))
        install(Services(Project(Path(__file__).resolve().parents[3]), workspace, roots))
        _installed[0].by_entry = False
    return _installed[0]


@st.cache_resource(show_spinner=False)
def services() -> Services:
    """The process-wide services, started. Clearing the cache loses nothing: the object is the process's."""
    found = opened()
    found.start()
    return found


def now() -> datetime:
    """The local time, in one place so that tests can set it."""
    return datetime.now()
