"""One line a second of what a server says over and over, with how many were left out."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

EVERY = 1.0  # seconds
MOST = 500  # kinds that are kept apart
MORE = "%s (%d more like this were left out)"
# who speaks of connections: the loop, the server, and Streamlit's ends of them
SPEAKERS = (
    "asyncio", "uvicorn.error", "streamlit.web.server.starlette.starlette_websocket",
    "streamlit.web.server.starlette.starlette_auth_routes",
)


@dataclass
class Kind:
    """What is known of records of one kind. since: when one came through. left_out: how many did not since then."""

    since: float
    level: int
    text: str
    left_out: int = 0


class OnceASecond(logging.Filter):
    """Lets one record of a kind through in a second. Of one kind are those that differ by numbers only."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()
        self.kinds: dict[tuple[str, str], Kind] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is printed. One that speaks for others says for how many, and has no trace."""
        try:
            text = record.getMessage().partition("\n")[0]
        except (TypeError, ValueError):  # arguments that do not fit: logging itself says so
            return True
        name, now = (record.name, re.sub(r"\d+", "#", text)[:200]), time.monotonic()
        with self.lock:
            kind = self.kinds.get(name)
            if kind is not None and now - kind.since < EVERY:
                kind.left_out += 1
                return False
            if len(self.kinds) >= MOST:
                self.kinds.clear()
            self.kinds[name] = Kind(now, record.levelno, text)
        if kind is not None and kind.left_out:
            record.msg, record.args = MORE % (text, kind.left_out), None
            record.exc_info = record.exc_text = None
        return True

    def rest(self) -> None:
        """Says how many were left out of what is not said any more."""
        now = time.monotonic()
        over: list[tuple[str, Kind]] = []
        with self.lock:
            for (speaker, _), kind in self.kinds.items():
                if kind.left_out and now - kind.since >= EVERY:
                    over.append((speaker, replace(kind)))
                    kind.since, kind.left_out = now, 0
        for speaker, kind in over:
            logging.getLogger(speaker).log(kind.level, MORE, kind.text, kind.left_out)


def limit(speakers: Iterable[str] = SPEAKERS) -> OnceASecond:
    """Puts the filter on what these loggers say; returns it."""
    once = OnceASecond()
    for name in speakers:
        logging.getLogger(name).addFilter(once)
    return once
