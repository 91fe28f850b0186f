"""What a browser asks for of a log, and the form in which lines are sent to it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lfdash.runs.output.levels import ERROR, Levels
from lfdash.runs.output.log import Page, RunLog
from lfdash.runs.output.rows import Folded, Row, Shown
from lfdash.runs.output.shown import LOOKED_AT, MOST, Redact, begun, texts

ROWS = 200  # of a page
BEFORE = 60  # rows before the one that is jumped to
UNFOLDED = 500  # lines of a fold that are sent at once
MOST_TEXT = 250_000  # characters of a page; where its lines have more, each is cut
FEW = 200  # characters that are left of each at least
BEGUN = 16  # in a row's code: it has no end yet
QUERY = 200  # characters


@dataclass
class Followed:
    """How far this session was sent a log. place, levels: where the news go on."""

    run_id: str
    session: str = field(default_factory=lambda: secrets.token_hex(4))
    generation: int = -1
    place: int = 0
    levels: Levels = field(default_factory=Levels)
    least: int = 0
    size: int = -1
    turn: int = 0
    asked: Any = None
    words: str = ""


class Wire:
    """Makes rows ready to be sent: a line is [place, code, text] and what of it is cut in bytes, a fold is
    [place, -1, end, progress, metrics]."""

    def __init__(self, redact: Redact) -> None:
        self.redact = redact

    def rows(self, rows: Sequence[Shown], open_from: int | None = None) -> list[list[Any]]:
        """open_from: where the line begins that has no end yet."""
        lines = [row for row in rows if isinstance(row, Row)]
        shown = texts([row.raw[:LOOKED_AT] for row in lines], self.redact)
        most = MOST if sum(map(len, shown)) <= MOST_TEXT else max(FEW, MOST_TEXT // len(shown))
        sent = {row.start: line_of(row, text, most, open_from) for row, text in zip(lines, shown, strict=True)}
        return [
            [row.start, -1, row.end, row.progress, row.metrics] if isinstance(row, Folded) else sent[row.start]
            for row in rows
        ]

    def page(self, page: Page, open_from: int | None = None, **more: Any) -> dict[str, Any]:
        """A page with its places."""
        return {"rows": self.rows(page.rows, open_from), "begin": page.begin, "end": page.end, **more}


def line_of(row: Row, text: str, most: int, open_from: int | None) -> list[Any]:
    """A line as it is sent."""
    is_open = open_from is not None and row.start >= open_from
    sent: list[Any] = [row.start, row.level * 4 + row.kind + BEGUN * is_open, begun(text) if is_open else text]
    if len(text) > most or row.end - row.start > LOOKED_AT:
        sent[2] = text[:most]
        sent.append(max(1, row.end - row.start - len(sent[2].encode())))
    return sent


def at_end(log: RunLog, wire: Wire, followed: Followed, budget_s: float = 0.15) -> dict[str, Any]:
    """The last lines, from which this session goes on."""
    place, levels = log.end()
    page = log.before(log.size, ROWS, followed.least, budget_s)
    followed.generation, followed.size, followed.place, followed.levels = log.generation, log.size, place, levels
    return {**wire.page(page, place), "end": place, "rest": page.rest, "all": True}


def answer(log: RunLog, wire: Wire, followed: Followed, question: dict[Any, Any], start: int) -> dict[str, Any]:
    """What the browser is answered. question: what it sent, which may be anything. start: where the attempt begins."""
    what, place = question.get("what"), number(question.get("place"), log.size)
    followed.least = level(question)
    found: dict[str, Any] = {}
    if what == "end":
        found = {"page": at_end(log, wire, followed)}
    elif what == "older":
        page = log.before(place, ROWS, followed.least)
        found = {"page": wire.page(page, place=place, rest=page.rest)}
    elif what == "newer":
        found = {"page": newer(log, wire, followed, place)}
    elif what == "around":
        found = {"page": around(log, wire, followed, place)}
    elif what == "lines":
        page = log.between(number(question.get("begin"), log.size), number(question.get("end"), log.size), UNFOLDED)
        found = {"page": wire.page(page)}
    elif what == "traceback":
        found = traceback(log, wire, followed, start)
    elif what == "find":
        found = {"found": search(log, wire, question, followed.least, place)}
    return {"id": str(question.get("id"))[:40], **found}


def number(value: Any, most: int) -> int:
    """A place in the log, whatever was sent."""
    return min(max(0, value), most) if type(value) is int else 0


def level(question: dict[Any, Any]) -> int:
    """The level of the lines that are wanted."""
    least = question.get("level")
    return least if type(least) is int and 0 <= least <= ERROR else 0


def newer(log: RunLog, wire: Wire, followed: Followed, place: int) -> dict[str, Any]:
    """What follows, up to where this session's news go on."""
    page = log.after(place, ROWS, followed.least)
    end = min(page.end, followed.place)
    rows = [row for row in page.rows if row.start < end]
    return {"rows": wire.rows(rows), "begin": place, "end": end, "place": place, "more": end < followed.place}


def around(log: RunLog, wire: Wire, followed: Followed, place: int) -> dict[str, Any]:
    """The lines around one, which is shown even where it is folded."""
    before, after = log.before(place, BEFORE, followed.least), log.after(place, ROWS - BEFORE, followed.least)
    end = min(after.end, followed.place)
    rows = [*before.rows, *(row for row in after.rows if row.start < end)]
    if all(isinstance(row, Folded) or row.start != place for row in rows):
        rows = sorted([*rows, *first_of(log.between(place, place + 1, 1).rows)], key=lambda row: row.start)
    return {
        "rows": wire.rows(rows), "begin": before.begin, "end": end, "rest": before.rest, "more": end < followed.place,
        "mark": place, "all": True,
    }


def first_of(rows: Iterable[Shown]) -> list[Shown]:
    """The first one, where there is one."""
    return list(rows)[:1]


def traceback(log: RunLog, wire: Wire, followed: Followed, start: int) -> dict[str, Any]:
    """The first traceback of the attempt, else of the log."""
    place = log.first_traceback(start)
    place = log.first_traceback(0) if place is None else place
    return {} if place is None else {"page": around(log, wire, followed, place)}


def search(log: RunLog, wire: Wire, question: dict[Any, Any], least: int, place: int) -> dict[str, Any]:
    """How many lines hold a text, and where the next one is when that is asked for."""
    query = str(question.get("query") or "")[:QUERY].strip()
    if not query:
        return {"count": 0, "done": True, "share": 1.0}
    wanted = log.search(query, wire.redact, least)
    log.work(0.03)
    found: dict[str, Any] = {}
    if "place" in question:
        match = wanted.find(place, not question.get("back"))
        found = {"place": match.place, "reached": match.reached, "number": match.number}
    return {"count": wanted.count, "done": wanted.done(log.size), "share": round(wanted.share, 3), **found}


def is_searching(data: dict[str, Any]) -> bool:
    """Whether a search was asked for that has more to look at."""
    return not data.get("reply", {}).get("found", {"done": True})["done"]
