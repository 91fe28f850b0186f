"""Where the runs of a workspace lie: below saves/, and in the folders that are noted as lying elsewhere."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lfdash.files import NOT_THERE, Absent, Unreadable, look_mark, read_text_file, write_text_atomic
from lfdash.runs.kept import KeptFolder
from lfdash.runs.paths import ADAPTERS, STATE, WEIGHTS, RunPaths, private, saves

DEPTH = 5  # folders below saves/ in which runs are looked for
SETTLE_S = 3.0  # after which a folder's time of change tells of every further change, also on coarse file systems
# what is passed over in a folder that holds a record and attempts: there are many, and no run is started in there
PARTS = re.compile(r"attempts|runs|wandb|checkpoint-\d+")

Mark = tuple[int, int]  # a folder's time of change (ns) and inode


def elsewhere(workspace: Path) -> Path:
    """The folder with one file for each run that a walk below saves/ does not find; each holds a path."""
    return private(workspace) / "elsewhere"


@dataclass(slots=True)
class Node:
    """A folder as it was listed last. since: when its mark was first seen (`time.monotonic`); a listing made less than
    SETTLE_S after that may lack what came right behind it."""

    mark: Mark
    since: float
    settled: bool
    is_run: bool
    below: tuple[str, ...]
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What a walk found. runs: folder -> its mark. changed: those among them that were listed anew, or are new.
    failed: what could not be read -> the error; runs that an earlier walk found there are among `runs` as they were."""

    runs: Mapping[str, Mark] = field(default_factory=dict)
    changed: Collection[str] = ()
    failed: Mapping[str, OSError] = field(default_factory=dict)


class Places:
    """Finds the folders of the runs of one workspace. Only folders that changed since the last walk are listed again.

    clock: seconds, never set back. folders: where a link may lead (absolute, without links); the workspace may be left
    out.
    """

    def __init__(
        self, workspace: Path, clock: Callable[[], float] = time.monotonic, folders: Sequence[Path] = ()
    ) -> None:
        self._top = str(saves(workspace))
        self._folders = (Path(os.path.realpath(workspace)), *folders)
        self._elsewhere = elsewhere(workspace)
        self._clock = clock
        self._nodes: dict[str, Node] = {}
        self._notes: dict[str, str] = {}  # name of a note -> the folder that it names

    def find(self) -> Found:
        """Every folder of a run, absolute. What cannot be read is never taken for absent."""
        walk = Walk(self._nodes, self._clock(), self._folders)
        walk.visit(self._top, DEPTH, follow=True)
        for folder in self._noted(walk.failed):
            if folder not in walk.nodes:
                walk.visit(folder, 0)
        self._nodes = walk.nodes
        return Found(walk.runs, walk.changed, walk.failed)

    def take(self, folders: Mapping[str, KeptFolder]) -> None:
        """Takes listings that an earlier process kept: a folder that is as it was is not listed again."""
        for path, kept in folders.items():
            node = Node(kept.mark, 0.0, True, kept.is_run, kept.below, kept.links)
            self._nodes.setdefault(path, node)

    def keep(self) -> dict[str, KeptFolder]:
        """The listings that tell of every further change."""
        return {
            path: KeptFolder(node.mark, node.is_run, node.below, node.links)
            for path, node in self._nodes.items() if node.settled
        }

    def _noted(self, failed: dict[str, OSError]) -> list[str]:
        """The folders that notes name. A note that cannot be read now names what it named before."""
        try:
            names = os.listdir(self._elsewhere)
        except OSError as error:
            if error.errno not in NOT_THERE:
                failed[str(self._elsewhere)] = error
                return list(self._notes.values())
            names = []
        notes: dict[str, str] = {}
        for name in names:
            if name.endswith(".tmp"):  # of somebody who died while it was written
                continue
            try:
                notes[name] = read_note(self._elsewhere / name)
            except FileNotFoundError:
                continue
            except OSError as error:
                failed[str(self._elsewhere / name)] = error
                notes[name] = self._notes.get(name, "")
        self._notes = notes
        return [folder for folder in notes.values() if os.path.isabs(folder)]


class Walk:
    """One walk. before: the folders as they were listed by the walks before it; now: when it is made; folders: where
    links may lead."""

    def __init__(self, before: Mapping[str, Node], now: float, folders: Sequence[Path]) -> None:
        self._folders = folders
        self.nodes: dict[str, Node] = {}
        self.runs: dict[str, Mark] = {}
        self.changed: list[str] = []
        self.failed: dict[str, OSError] = {}
        self._before = before
        self._now = now

    def visit(self, path: str, depth: int, *, follow: bool = False) -> None:
        """Looks at a folder, and at those below it. follow: it may be a link."""
        before = self._before.get(path)
        try:
            node = self._look(path, before, follow)
        except OSError as error:
            if error.errno in NOT_THERE:
                return
            self.failed[path] = error
            if before is None:
                return
            node = before
        self.nodes[path] = node
        if node.is_run:
            self.runs[path] = node.mark
            if node is not before:
                self.changed.append(path)
        if depth and node.below:
            for name in node.below:
                self.visit(f"{path}/{name}", depth - 1)
        if depth and node.links:
            for name in node.links:
                self._follow(f"{path}/{name}")

    def _follow(self, link: str) -> None:
        """Looks at a run that a link leads to; one outside of the allowed folders is told and not read."""
        real = Path(os.path.realpath(link))
        if any(real.is_relative_to(folder) for folder in self._folders):
            self.visit(link, 0, follow=True)
        else:
            self.failed[link] = OSError(errno.EXDEV, "a link to a run outside of the allowed folders, see --root")

    def _look(self, path: str, before: Node | None, follow: bool) -> Node:
        stat = os.stat(path, follow_symlinks=follow)
        mark = (stat.st_mtime_ns, stat.st_ino)
        if before is not None and before.mark == mark and before.settled:
            return before
        is_run, below, links = contents(path)
        since = before.since if before is not None and before.mark == mark else self._now
        return Node(mark, since, self._now - since > SETTLE_S, is_run, below, links)


def contents(path: str) -> tuple[bool, tuple[str, ...], tuple[str, ...]]:
    """Whether a folder is a run's, the names of the folders in it in which others may lie, and of the links in it that
    lead to a run: somebody moved that to a larger disk. No other link is followed. Hidden folders are passed over: they
    are half made. The record that makes a folder a run is a plain file."""
    files, below, links = set(), [], []
    with os.scandir(path) as entries:
        for entry in entries:
            name = entry.name
            if entry.is_dir(follow_symlinks=False):
                if not name.startswith("."):
                    below.append(name)
            elif name in TRACES and entry.is_file(follow_symlinks=False):
                files.add(name)
            elif entry.is_symlink() and os.path.isfile(f"{path}/{name}/{NAMES.record.name}"):
                links.append(name)
    ours = ATTEMPTS in below and (NAMES.record.name in files or NAMES.record.name in below)  # or what took its place
    if ours:
        below = [name for name in below if not PARTS.fullmatch(name)]
    is_run = ours or not MAKES_RUN.isdisjoint(files) or is_unlogged(os.path.basename(path), files)
    return is_run, tuple(below), tuple(links)


def is_unlogged(name: str, files: Collection[str]) -> bool:
    """Whether a folder without a log is a training's all the same: its state and its weights are there, or it failed
    before its first step and has only the arguments (LlamaBoard writes them) and what LLaMA-Factory said. name: of the
    folder; a checkpoint has state and weights, too."""
    if CHECKPOINT_NAME.fullmatch(name):
        return False
    saved = STATE in files and not (ADAPTERS | WEIGHTS).isdisjoint(files)
    return saved or set(files) >= BEGUN


NAMES = RunPaths(Path())
CHECKPOINT_NAME = re.compile(r"checkpoint-\d+")
MAKES_RUN = frozenset({NAMES.record.name, NAMES.trainer_log.name})
BEGUN = frozenset({NAMES.training_args.name, NAMES.running_log.name})
TRACES = MAKES_RUN | BEGUN | ADAPTERS | WEIGHTS | {STATE}
ATTEMPTS = NAMES.attempt(1).root.parent.name


def reason(error: OSError) -> str:
    """Why something could not be read, in a few English words."""
    return error.strerror or type(error).__name__


# -- runs that a walk does not find -----------------------------------------------------------------------


def is_walked(workspace: Path, root: Path) -> bool:
    """Whether a walk surely finds a run in a folder: below saves/, not too deep, not hidden, and behind no link."""
    top = saves(workspace)
    if not root.is_relative_to(top):
        return False
    parts = root.relative_to(top).parts
    if not 0 < len(parts) <= DEPTH or any(part.startswith(".") for part in parts):
        return False
    return not any(os.path.islink(path) for path in (root, *root.parents) if path != top and path.is_relative_to(top))


def around(root: Path) -> Path | None:
    """The run of this program in whose folder a folder lies, or would lie; None when there is none."""
    for folder in root.parents:
        paths = RunPaths(folder)
        if look_mark(paths.record) is not None and look_mark(paths.attempt(1).root.parent) is not None:
            return folder
    return None


def note_elsewhere(workspace: Path, name: str, folder: Path) -> Path:
    """Notes durably that a run lies in a folder; the note. Raises OSError."""
    note = elsewhere(workspace) / name
    note.parent.mkdir(exist_ok=True)
    write_text_atomic(note, str(folder))
    return note


def read_note(path: Path) -> str:
    """The folder that a note names; "" where it names none. Raises OSError when it cannot be read."""
    text = read_text_file(path, limit=1 << 14)
    if isinstance(text, Absent):
        raise FileNotFoundError(path)
    if isinstance(text, Unreadable):
        if text.failure is not None:
            raise OSError(text.failure, text.reason, str(path))
        return ""
    return "" if "\0" in text else text.strip("\n")
