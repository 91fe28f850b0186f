"""Why nothing comes of an answer: its process was paused, or it computes."""

from __future__ import annotations

from lfdash.engine.chat.chats import Chats
from lfdash.outcomes import Refused
from lfdash.runs.paths import marker
from lfdash.supervisor.processes import marked, stat_fields

QUIET_S = 10.0  # seconds without a piece of an answer that are not told
PAUSED = (b"T", b"t")  # states of a process in /proc/PID/stat: stopped by a signal, or by a debugger (proc(5))


def why_quiet(chats: Chats, conversation_id: str, column: str) -> Refused | None:
    """Why the chat `column` (a run id) says nothing in a conversation that this dashboard asks it for; None where it
    does, or where another dashboard asks.

    Refused: chat_paused (pids: of its processes that are stopped), chat_quiet (seconds: for so long).
    """
    seconds = chats.asking.quiet_s(conversation_id, column)
    if seconds < QUIET_S:
        return None
    view = chats.registry.get(column)
    if view is None or view.record is None or view.waiting is not None:
        return None
    members = marked(marker(view.paths, view.attempt))
    paused = [pid for pid in members if (fields := stat_fields(pid)) and fields[0] in PAUSED]
    if paused:
        return Refused("chat_paused", {"name": view.name, "pids": " ".join(map(str, paused))})
    return Refused("chat_quiet", {"seconds": int(seconds)})
