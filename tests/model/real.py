"""The project's own decisions, run as they are; what they read and write are questions to the model's world.

A function is run again from its beginning with the answers that it was given so far, until it asks the next question:
so it can be left at every question, and others go on.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from lfdash.engine.rights import Right
from lfdash.engine.watcher import settled
from lfdash.files import ABSENT, Absent
from lfdash.launchers import folder, local
from lfdash.launchers.base import MachineIdentity
from lfdash.launchers.local import LocalLauncher
from lfdash.outcomes import Refused
from lfdash.runs import scan, view
from lfdash.runs.notes import NONE
from lfdash.runs.paths import AttemptPaths, Beginning, RunPaths
from lfdash.runs.plan import LaunchPlan
from lfdash.runs.record import TERMINAL, Attempt, Exit, Handle, RunRecord, RunState, Status
from lfdash.runs.view import RunView, Saved
from lfdash.supervisor import processes
from tests.model.world import FAILED, Question, Rules

WORKSPACE = Path("/w")
FOLDERS = {name: WORKSPACE / "saves/m/lora" / name for name in ("old", "new")}
RUN_ID = "id-old"


# -- questions ----------------------------------------------------------------------------------------------


class Asked(BaseException):
    """The function that runs wants to know something that it was not told yet."""

    def __init__(self, question: Question) -> None:
        self.question = question


class Oracle:
    """The answers to the questions of the function that runs."""

    answers: tuple[Any, ...] = ()
    given = 0


def ask(*question: Any) -> Any:
    """The answer to a question. OSError when that read failed."""
    if Oracle.given == len(Oracle.answers):
        raise Asked(question)
    answer = Oracle.answers[Oracle.given]
    Oracle.given += 1
    if answer is FAILED:
        raise OSError(errno.EIO, "Input/output error")
    return answer


class Answer(NamedTuple):
    """What a function that was run came to: its next question, or its result."""

    question: Question | None
    result: Any = None


@cache
def run(function: Callable[..., Any], args: tuple[Any, ...], answers: tuple[Any, ...]) -> Answer:
    """Runs a function from its beginning with the answers so far."""
    Oracle.answers, Oracle.given = answers, 0
    try:
        return Answer(None, function(*args))
    except Asked as asked:
        return Answer(asked.question)
    except OSError:
        return Answer(None, FAILED)


# -- runs in words that can be compared ---------------------------------------------------------------------

Told = tuple[tuple[int, bool], ...]  # the attempts of a record, and whether their end is told


class Seen(NamedTuple):
    """A run as a look found it: the parts of a RunView that decide something."""

    place: str
    state: RunState
    attempt: int
    record: Told
    others: tuple[int, ...] = ()
    code: int | None = None
    unseen: bool = False


@cache
def record_of(told: Told) -> RunRecord:
    states = {True: RunState.FAILED, False: RunState.STARTING}
    attempts = tuple(
        Attempt(number, (), {}, state=states[end], exit=exit_of(number) if end else None) for number, end in told
    )
    return RunRecord(RUN_ID, "train", "old", "local", "m", "sft", "lora", (), attempts)


@cache
def exit_of(number: int) -> Exit:
    return Exit(RUN_ID, number, 1)


@cache
def view_of(seen: Seen) -> RunView:
    if seen.state is RunState.UNKNOWN:
        return view.view_unknown(WORKSPACE, FOLDERS[seen.place], "an error")
    return RunView(
        RUN_ID, "old", FOLDERS[seen.place], f"saves/m/lora/{seen.place}", seen.state, record_of(seen.record),
        seen.attempt, exit_code=seen.code, others=seen.others, unseen="an error" if seen.unseen else None,
    )


def told_of(record: RunRecord) -> Told:
    return tuple((one.number, one.exit is not None and one.exit.code is not None) for one in record.attempts)


def seen_of(found: RunView) -> Seen:
    if found.record is None:
        return Seen(found.path.name, found.state, found.attempt, (), unseen=True)
    return Seen(
        found.path.name, found.state, found.attempt, told_of(found.record), found.others, found.exit_code,
        found.unseen is not None,
    )


@cache
def plan_of(place: str, number: int) -> LaunchPlan:
    return LaunchPlan(RUN_ID, number, (), {}, (), (), str(WORKSPACE), f"saves/m/lora/{place}", {})


# -- the functions ------------------------------------------------------------------------------------------


class Supervisor:
    """The handle of a supervisor that this dashboard started."""

    def __init__(self, alive: bool) -> None:
        self.alive = alive

    def poll(self) -> int | None:
        return None if self.alive else 0


class ModelLauncher(LocalLauncher):
    """The local launcher with a world's answers for processes and clock."""

    def __init__(self, place: str, number: int) -> None:
        super().__init__(MachineIdentity(lambda: "here", lambda: "boot", lambda: ask("clock", place, number)))
        self.asked = (place, number)

    def shim(self, handle: Handle) -> Any:
        alive = ask("handle", handle.attempt)
        return None if alive is None else Supervisor(alive)

    def members(self, handle: Handle, child: Any) -> list[int]:
        return [1] if ask("members", *self.asked) else []


def poll(place: str, number: int) -> Status:
    """How an attempt does, as the local launcher says. OSError when it cannot tell."""
    return ModelLauncher(place, number).poll(Handle(RUN_ID, number, RunPaths(FOLDERS[place])))


def look(place: str, before: Seen | None, rules: Rules) -> Seen | None:
    """One look at a run's folder, as RunScan and Watcher make it."""
    shown = None if before is None or before.place != place else view_of(before)
    try:
        found = scan.look(
            WORKSPACE, FOLDERS[place], lambda _paths, record: asked_status(place, record.last.number)
        )
    except OSError as error:
        found = scan.unseen(WORKSPACE, str(FOLDERS[place]), shown, str(error))
        return seen_of(found)
    if found is None:
        return None
    found = settled(shown, found)
    seen = seen_of(found)
    if not rules.quiet and seen.code is not None and (seen.attempt, True) in seen.record:
        ask("write", place, seen.record)  # as it noted an end before: what it read, without the launch lock
    return seen


def asked_status(place: str, number: int) -> Status:
    found = ask("poll", place, number)
    assert isinstance(found, Status)
    return found


class ModelWatcher:
    """What a Right asks of a watcher: the views of the look before, and looks and launchers that are questions."""

    def __init__(self, seen: Seen | None, unseen: bool) -> None:
        self.views = () if seen is None else (view_of(seen),)
        self.in_doubt = ("a folder", "an error") if unseen else None
        self.launchers = self

    def look_at(self, path: Path) -> RunView | None:
        seen = ask("look_at", path.name, None if not self.views else seen_of(self.views[0]))
        return None if seen is None else view_of(seen)

    def get(self, _name: str) -> ModelWatcher:
        return self

    def adopt(self, paths: RunPaths, record: RunRecord) -> Handle:
        return Handle(record.run_id, record.last.number, paths)

    def give_up(self, handle: Handle) -> bool:
        return bool(ask("give_up", handle.paths.root.name, handle.attempt))

    def poll(self, handle: Handle) -> Status:
        return asked_status(handle.paths.root.name, handle.attempt)


def to_start(place: str, number: int, seen: Seen | None, unseen: bool) -> Told | None:
    """The record with which an attempt may start; None when that is refused."""
    right = Right(ModelWatcher(seen, unseen), lambda: None)  # type: ignore[arg-type]
    new = Attempt(number, (), {})
    record = right.to_start(plan_of(place, number), replace(record_of(((number, False),)), attempts=(new,)))
    return None if isinstance(record, Refused) else told_of(record)


def to_move(seen: Seen | None, unseen: bool) -> Seen | None:
    """The run that may be moved; None when that is refused."""
    right = Right(ModelWatcher(seen, unseen), lambda: None)  # type: ignore[arg-type]
    found = right.to_move(RUN_ID)
    return None if isinstance(found, Refused) else seen_of(found)


# -- the world's answers in place of files ------------------------------------------------------------------


def place_of(paths: AttemptPaths) -> tuple[str, int]:
    return paths.root.parents[1].name, int(paths.root.name)


def read_json(name: Path | str) -> dict[str, Any]:
    """spec.json and child.json."""
    path = Path(name)
    kind = path.name.removesuffix(".json")
    if not ask(kind, *place_of(AttemptPaths(path.parent))):
        return {}
    return {"boot_id": "boot", "host": "here", "clock": 0.0} if kind == "spec" else {"child": 1}


def look_mark(name: Path | str) -> tuple[int, int, int] | None:
    """child.taken and child.json."""
    path = Path(name)
    kind = "taken" if path.name == "child.taken" else "child"
    return (0, 0, 0) if ask(kind, *place_of(AttemptPaths(path.parent))) else None


def read_record(path: Path | str) -> str | Absent:
    told = ask("record", Path(path).parent.name)
    return ABSENT if told is None else record_of(told).to_json()


def read_exit(handle: Handle) -> Exit | None:
    return exit_of(handle.attempt) if ask("exit", handle.paths.root.name, handle.attempt) else None


def made_before(paths: RunPaths, record: RunRecord) -> RunRecord:
    """As `scan.made` was: attempts that nobody wrote into run.json do not count."""
    numbers = paths.made_attempts()
    kept = tuple(one for one in record.attempts if one.number in numbers) or record.attempts[:1]
    return replace(record, attempts=kept)


def newest_only(paths: RunPaths, record: RunRecord, ask_launcher: scan.Poll) -> Any:
    """As a run stood before: by the newest attempt of its record."""
    return record, scan.known(record) or ask_launcher(paths, record), ()


@contextmanager
def in_model(rules: Rules) -> Iterator[None]:
    """The project's code reads the world in place of files, while the `with` lasts."""
    patches: list[tuple[Any, str, Any]] = [
        (local, "look_json", read_json), (local, "read_exit", read_exit), (local, "exit_in", lambda *_: None),
        (local, "holder", lambda lock: int(ask("holder", *place_of(AttemptPaths(lock.parent))))),
        (local, "look_mark", look_mark),
        (local, "belongs", lambda *_: True),
        (local, "is_given_up", lambda root: ask("given", *place_of(AttemptPaths(Path(root))))),
        (local, "never_started", lambda handle, _: Exit(RUN_ID, handle.attempt, None)),
        (folder, "console_size", lambda paths: 0),
        (processes, "ranks", lambda *_: None), (local, "LOOKS", 1),
        (AttemptPaths, "console_start", lambda self: 0 if not ask("printed", *place_of(self)) else -1),
        (AttemptPaths, "read_wish", lambda self: "term" if ask("wish", *place_of(self)) else None),
        (AttemptPaths, "beginning", lambda self: Beginning({}, 0)),
        (Beginning, "has_written", lambda *_: False),
        (RunPaths, "made_attempts", lambda self: list(ask("attempts", self.root.name))),
        (scan, "read_text_file", read_record),
        (scan, "look_mark", lambda path: (0, 0, 0) if "attempts" in str(path) else None),
        (scan, "look_json", lambda _path: {}),
        (view, "is_complete", lambda *_: False), (view, "read_error", lambda *_: None),
        (view, "read_saved", lambda _paths: Saved()), (view, "read_notes", lambda _path: NONE),
    ]
    if not rules.all_attempts:
        patches += [(scan, "made", made_before), (scan, "standing", newest_only)]
    run.cache_clear()
    with ExitStack() as stack:
        for owner, name, value in patches:
            stack.enter_context(mock.patch.object(owner, name, value))
        yield


def is_over(seen: Seen) -> bool:
    return seen.state in TERMINAL
