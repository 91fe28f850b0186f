"""What a dashboard does, step by step: each question is one step, before which anybody else may do anything.

The steps themselves (which lock, then which look, then which write) are those of engine/dispatcher.py, archive.py and
registry.py; what is decided between them is decided by the project's code (`real.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.model import real
from tests.model.real import Seen, ask, is_over
from tests.model.world import Rules

MOST = 3  # attempts

RULES = [Rules()]  # those that hold in this exploration

Glance = tuple[Seen | None, bool]  # the run, and whether there was something that could not be seen


def glance(before: Seen | None) -> Glance:
    """A look at everything, as `Watcher.look`. What could not be listed is where it was."""
    failed = False
    try:
        place = ask("walk")
    except OSError:
        failed, place = True, before.place if before is not None else ""
    seen = ask("look_at", place, before) if place else None
    return seen, failed or (seen is not None and seen.unseen)


def look(before: Seen | None) -> Seen | None:
    return ask("glance", before)[0]  # type: ignore[no-any-return]


def begin(number: int, told: Any) -> None:
    """Makes an attempt and starts its supervisor (`LocalLauncher.submit`)."""
    if told and number <= MOST and ask("mkdir", number):
        if number > 1:
            ask("write", "old", told)
        ask("popen", number)


def resume(before: Seen | None) -> Seen | None:
    """A click on Resume: the number of the attempt is that of the click, and the page shows the run as it was then,
    until somebody looks again."""
    if before is None or before.place != "old" or before.unseen or not is_over(before):
        return before
    number = max(ask("attempts", "old"), default=0) + 1
    ask("lock")
    seen, unseen = ask("glance", before)
    told = ask("to_start", "old", number, seen, unseen) if RULES[0].right else (*before.record, (number, False))
    begin(number, told)
    ask("unlock")
    return before


def moved(before: Seen | None, target: str) -> Seen | None:
    ask("lock")
    seen, unseen = ask("glance", before)
    if RULES[0].right:
        seen = ask("to_move", seen, unseen)
    elif seen is not None and not is_over(seen):
        seen = None
    if seen is not None and seen.place == "old":
        ask("move", target)
        if target == "new":
            ask("write", target, seen.record)
    ask("unlock")
    return None


def delete(before: Seen | None) -> Seen | None:
    return moved(before, "trash")


def rename(before: Seen | None) -> Seen | None:
    return moved(before, "new")


def stop(before: Seen | None) -> Seen | None:
    """A click on Stop: every attempt that lives; without the launch lock."""
    if before is None or is_over(before):
        return before
    for number in (*before.others, before.attempt):
        if ask("poll", before.place, number).phase not in ("ended", "lost"):
            ask("wishes", before.place, number)
    return before


def advance(before: Seen | None) -> Seen | None:
    """A turn of the queue: a job whose attempt was made is a run, or waits again; else it starts."""
    if not ask("trylock"):
        return before
    seen, unseen = ask("glance", before)
    job = ask("job")
    if job and is_begun(job):
        tidy(job)
    elif job and not unseen:
        record = (*((number, True) for number in range(1, job)), (job, False))
        begin(job, ask("to_start", "old", job, seen, unseen) if RULES[0].right else record)
    ask("unlock")
    return seen


def is_begun(job: int) -> bool:
    try:
        return bool(ask("spec", "old", job))
    except OSError:
        return False


def tidy(job: int) -> None:
    """A job whose attempt was made leaves the queue, or waits again."""
    try:
        status = ask("poll", "old", job)
    except OSError:
        return
    if status.unused:
        if ask("give_up", "old", job) or not RULES[0].one_start:
            ask("undo", job)
    elif status.phase != "starting":
        ask("done")


# what runs inside another function, and is left behind with its result
PARTS: Mapping[str, Callable[..., Any]] = {
    "poll": real.poll, "look_at": lambda place, before: real.look(place, before, RULES[0]), "glance": glance,
    "to_start": real.to_start, "to_move": real.to_move,
}
OPERATIONS: Mapping[str, Callable[[Seen | None], Seen | None]] = {
    "look": look, "resume": resume, "delete": delete, "rename": rename, "stop": stop, "advance": advance,
}
READS = frozenset({
    "walk", "record", "attempts", "wish", "exit", "spec", "child", "taken", "printed", "holder", "members", "give_up",
    "given",
})
