"""What the looks at a workspace's runs have found, kept on disk: after a restart a run that is over, and whose files
are as they were, is not read again. Ten thousand runs cost half a second then, and not three.

The file may be lost, and whatever of it does not fit is looked at anew. It is of one version of this program, since
another one may judge what lies in a folder in another way.
"""

from __future__ import annotations

import gc
import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from lfdash.files import FileMark, read_bytes_file, write_bytes_atomic
from lfdash.runs.paths import private
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView

VERSION = 3  # of how views are judged and written
LARGEST_FILE = 256 << 20  # bytes; 10,000 runs take some 12 MB
Mark = tuple[int, int]
Signature = tuple[FileMark | None, ...]


@dataclass(frozen=True)
class KeptRun:
    """A run as it was found. mark: of its folder; signature: of its files."""

    mark: Mark
    signature: Signature
    view: RunView

    def still(self, path: str, mark: Mark, signature: Signature) -> RunView | None:
        """The view, where the folder at this path and its files are as they were."""
        same = (self.mark, self.signature, str(self.view.path)) == (mark, signature, path)
        return self.view if same and can_be_kept(self.view) else None


@dataclass(frozen=True)
class KeptFolder:
    """A folder as it was listed, see `places.Node`."""

    mark: Mark
    is_run: bool
    below: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kept:
    """Runs and folders by their absolute paths."""

    runs: Mapping[str, KeptRun] = field(default_factory=dict)
    folders: Mapping[str, KeptFolder] = field(default_factory=dict)


@dataclass(frozen=True)
class Content:
    """The file. of: what wrote it, for which workspace."""

    of: tuple[str, str]
    kept: Kept


NOTHING = Kept()


def can_be_kept(view: RunView) -> bool:
    """Whether a run stays as it is as long as its files do: it is over, and everything of it was seen."""
    over = view.state in TERMINAL and view.state is not RunState.LOST
    return over and view.record is not None and view.unseen is None and view.waiting is None and not view.others


@contextmanager
def no_collection() -> Iterator[None]:
    """For making very many objects that live on: the collector would look through all of them again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def as_path(kind: type, data: Any) -> Any:
    """A path, which is written as text."""
    if kind is Path or issubclass(kind, Path):
        return Path(data)
    raise NotImplementedError(kind)


ENCODER = msgspec.msgpack.Encoder(enc_hook=str)
DECODER = msgspec.msgpack.Decoder(Content, dec_hook=as_path)


class KeptViews:
    """The file of one workspace. is_here: whether the workspace is still where it was; else nothing is kept."""

    def __init__(self, workspace: Path, is_here: Callable[[], bool] = lambda: True) -> None:
        self._file = private(workspace) / "views.bin"
        self._of = (f"{importlib.metadata.version('lfdash')}-{VERSION}", str(workspace))
        self._is_here = is_here

    def load(self) -> Kept:
        """What an earlier process kept; nothing where that cannot be used."""
        content = read_bytes_file(self._file, limit=LARGEST_FILE)
        if content is None:
            return NOTHING
        try:
            with no_collection():
                found = DECODER.decode(content)
        except (msgspec.MsgspecError, ValueError, RecursionError, OverflowError, NotImplementedError):
            return NOTHING
        return found.kept if found.of == self._of else NOTHING

    def save(self, kept: Kept) -> None:
        """Keeps it. A disk that does not let it costs the next start some reading, nothing else."""
        with suppress(OSError, UnicodeError, msgspec.MsgspecError):
            if self._is_here():
                self._file.parent.mkdir(exist_ok=True)
                write_bytes_atomic(self._file, ENCODER.encode(Content(self._of, kept)), durable=False)
