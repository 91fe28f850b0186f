"""All that a page has of the chats of a workspace."""

from __future__ import annotations

from collections.abc import Callable

from lfdash.engine.chat.asking import Asking
from lfdash.engine.chat.bringing_up import BringingUp
from lfdash.engine.chat.keeper import USUAL_IDLE_MIN, Keeper
from lfdash.engine.chat.store import ConversationStore
from lfdash.engine.registry import ProcessRegistry
from lfdash.files import real_number
from lfdash.outcomes import Refused
from lfdash.runs.paths import private
from lfdash.workspace.memo import Memo

IDLE = "chat_idle_minutes"  # in the settings of the workspace
MOST_IDLE_MIN = 7 * 24 * 60


class Chats:
    """Conversations, how chats are asked, and who ends them. memo: the settings of the workspace."""

    def __init__(
        self, registry: ProcessRegistry, cli: Callable[[], str], blocked: Callable[[], Refused | None], memo: Memo
    ) -> None:
        self.registry = registry
        self._memo = memo
        store = ConversationStore(private(registry.workspace), registry.identity.is_here)
        bringing_up = BringingUp(registry, registry.workspace, cli, blocked)
        self.asking = Asking(registry, store, bringing_up)
        self.keeper = Keeper(registry, self.asking.busy, lambda: self.idle_minutes)

    @property
    def idle_minutes(self) -> float:
        """After how many minutes a chat ends that nobody asks; 0 = never."""
        found = real_number(self._memo.load().get(IDLE))
        return USUAL_IDLE_MIN if found is None or not 0 <= found <= MOST_IDLE_MIN else found

    def set_idle_minutes(self, minutes: float) -> None:
        """Keeps it for the workspace."""
        self._memo.save({**self._memo.load(), IDLE: minutes})
