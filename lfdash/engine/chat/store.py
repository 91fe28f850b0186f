"""The conversations of a workspace: a file each, `.lfdash/chats/ID.json`; pictures, videos and sounds beside them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lfdash.engine.chat.conversation import ID, Conversation, settled
from lfdash.engine.chat.messages import Medium
from lfdash.engine.only_one import OnlyOne
from lfdash.errors import RecordError
from lfdash.files import read_text_file, record_from_text, write_text_atomic

FOLDER, MEDIA = "chats", "media"
KEPT = "kept:"  # before the name of a medium's file, in the place of its data
MOST_CONVERSATION = 256 << 20  # bytes of a file; whatever was asked and answered must be read again
MOST_MEDIUM = 64 << 20  # bytes of a medium's data as text


@dataclass(frozen=True)
class Head:
    """A conversation in a list. wrong: why it cannot be read; "" when it can."""

    id: str
    title: str
    changed: float
    wrong: str = ""


class ConversationStore:
    """Reads and writes the conversations of a workspace. private: the dashboard's own folder; is_here: whether the
    workspace is still where it was."""

    def __init__(self, private: Path, is_here: Callable[[], bool] = lambda: True) -> None:
        self.folder = private / FOLDER
        self._is_here = is_here
        self._heads: dict[str, tuple[int, Head]] = {}  # by the file's time of change

    def new(self) -> Conversation:
        """An empty conversation with an id of its own; it is not written down yet."""
        return Conversation(uuid.uuid4().hex[:12])

    def heads(self) -> list[Head]:
        """All conversations, the one that was changed last first."""
        try:
            names = [name for name in os.listdir(self.folder) if name.endswith(".json")]
        except OSError:
            return []
        found = [head for name in names if (head := self._head(name[: -len(".json")])) is not None]
        return sorted(found, key=lambda head: (-head.changed, head.id))

    def _head(self, conversation_id: str) -> Head | None:
        try:
            mark = os.stat(self._file(conversation_id)).st_mtime_ns
        except OSError:
            return None
        known = self._heads.get(conversation_id)
        if known is None or known[0] != mark:
            read = self.load(conversation_id)
            if isinstance(read, Conversation):
                head = Head(conversation_id, read.title, read.changed)
            else:
                head = Head(conversation_id, conversation_id, mark / 1e9, read)
            known = self._heads[conversation_id] = (mark, head)
        return known[1]

    def right(self, conversation_id: str) -> OnlyOne:
        """The right to change a conversation, which one of several dashboards has while it asks."""
        return OnlyOne(self.folder / f"{conversation_id}.lock", self._is_here)

    def load(self, conversation_id: str) -> Conversation | str:
        """A conversation; else why it cannot be read. An answer that was coming was cut off, unless another dashboard
        asks for it."""
        if not re.fullmatch(ID, conversation_id):
            return "no conversation has this name"
        is_asked = self.right(conversation_id).is_elsewhere()
        text = read_text_file(self._file(conversation_id), limit=MOST_CONVERSATION)
        if not isinstance(text, str):
            return str(text)
        try:
            read = record_from_text(Conversation, text, f"{conversation_id}.json")
        except RecordError as error:
            return str(error)
        if read.id != conversation_id:
            return "the file has another conversation's name"
        return read if is_asked else settled(read)

    def make_folder(self) -> None:
        """Makes the folder of the conversations. OSError when that is not possible."""
        if not self._is_here():
            raise OSError("the workspace is gone")
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def is_deleted(self, conversation_id: str) -> bool:
        """Whether the folder is there, and the conversation is not."""
        return self._is_here() and self.folder.is_dir() and not os.path.lexists(self._file(conversation_id))

    def _file(self, conversation_id: str) -> Path:
        return self.folder / f"{conversation_id}.json"

    def save(self, conversation: Conversation) -> None:
        """Writes a conversation. OSError when that is not possible."""
        self.make_folder()
        write_text_atomic(self._file(conversation.id), json.dumps(asdict(conversation), ensure_ascii=False))

    def forget(self, conversation_id: str) -> None:
        """Deletes a conversation; its media stay for others that show the same."""
        if re.fullmatch(ID, conversation_id):
            with suppress(FileNotFoundError):
                os.unlink(self._file(conversation_id))

    def keep(self, medium: Medium) -> Medium:
        """The medium with its data in a file, named by what it holds. OSError when that is not possible."""
        if medium.url.startswith(KEPT):
            return medium
        name = hashlib.sha256(medium.url.encode()).hexdigest()[:32]
        path = self.folder / MEDIA / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_text_atomic(path, medium.url)
        return replace(medium, url=KEPT + name)

    def fetch(self, medium: Medium) -> Medium | None:
        """The medium with its data; None when its file is gone, or the conversation names something else: its file may
        be somebody else's, and no other file or address is read for it."""
        if medium.url.startswith("data:"):
            return medium
        if not medium.url.startswith(KEPT):
            return None
        name = medium.url[len(KEPT) :]
        if not re.fullmatch(r"[0-9a-f]{32}", name):
            return None
        text = read_text_file(self.folder / MEDIA / name, limit=MOST_MEDIUM)
        return replace(medium, url=text) if isinstance(text, str) else None
