"""Explores everything that can happen, breadth first, and says how the first thing comes about that must not be."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from lfdash.runs.record import RunState
from tests.model.programs import OPERATIONS, PARTS, READS, RULES
from tests.model.real import Seen, in_model, is_over, run
from tests.model.world import ABSENT, FAILED, Attempt, Question, Rules, Shim, World

FUNCTIONS = {**PARTS, **OPERATIONS}


class Frame(NamedTuple):
    """A function that is under way. alive: the trainers that lived when it began."""

    name: str
    args: tuple[Any, ...]
    answers: tuple[Any, ...] = ()
    alive: tuple[int, ...] = ()


class Dash(NamedTuple):
    """A dashboard: what it saw last, and what it is doing."""

    seen: Seen | None = None
    frames: tuple[Frame, ...] = ()


IDLE = Dash()


class Step(NamedTuple):
    """What one of those who act may do next: in words, the world and the dashboard then, how many failed reads and
    kills that took, and what is wrong then ("" = nothing)."""

    what: str
    world: World
    dash: Dash
    failures: int = 0
    kills: int = 0
    wrong: str = ""


@dataclass(frozen=True)
class Limits:
    """How much may happen in one exploration: operations of both dashboards, reads that fail, and kills."""

    operations: int = 2
    failures: int = 0
    kills: int = 0


@dataclass
class Explored:
    """states: how many were explored. wrong: the first that must not be, "" = none. trace: how it came about."""

    states: int
    wrong: str = ""
    trace: tuple[str, ...] = ()


# -- where it begins ----------------------------------------------------------------------------------------


def beginnings() -> Mapping[str, World]:
    """The runs that the dashboards find."""
    over = Attempt(1, "begun", printed=True)
    return {
        "over": World(attempts=(over,), record=((1, False),), exit=1),
        "just made": World(attempts=(Attempt(1),), record=((1, False),), shims=(Shim(1),), accepted=1),
        "asleep": World(
            attempts=(Attempt(1, late=True),), record=((1, False),), shims=(Shim(1, "entered"),), accepted=1
        ),
        "waits": World(place="", job=1),
        "waits to be resumed": World(attempts=(over,), record=((1, False),), exit=1, job=2),
    }


def at_once(world: World, name: str, args: tuple[Any, ...]) -> tuple[World, Any]:
    """What a function comes to when nobody else does anything."""
    answers: tuple[Any, ...] = ()
    while (found := run(FUNCTIONS[name], args, answers)).question is not None:
        if found.question[0] in PARTS:
            world, answer = at_once(world, found.question[0], found.question[1:])
        else:
            world, answer = world.answer(0, found.question)
        answers = (*answers, answer)
    return world, found.result


# -- what a dashboard can do next ---------------------------------------------------------------------------


def begins(world: World, dash: Dash, me: int, *, quiet: bool, failures: int) -> Iterator[Step]:
    """The operations that an idle dashboard may begin. quiet: the other one will do nothing."""
    for name in OPERATIONS:
        begun = Dash(dash.seen, (Frame(name, (dash.seen,), (), world.children),))
        step = until_asked(Step(f"{'AB'[me]}: {name}", world, begun), me)
        yield from onward(step, me, quiet=quiet, failures=failures)


def goes_on(world: World, dash: Dash, me: int, *, quiet: bool, failures: int, kills: int) -> Iterator[Step]:
    """The next step of a dashboard that does something: its question is answered, or fails, or it is killed."""
    question = asked_by(dash)
    if question[0] != "lock" or world.owner == -1:
        yield from answers(Step("", world, dash), question, me, quiet=quiet, failures=failures)
    if kills:
        yield Step(f"{'AB'[me]} is killed", without(world, me), IDLE, kills=1)


def asked_by(dash: Dash) -> Question:
    """What a dashboard wants to know."""
    top = dash.frames[-1]
    question = run(FUNCTIONS[top.name], top.args, top.answers).question
    assert question is not None
    return question


def answers(step: Step, question: Question, me: int, *, quiet: bool, failures: int) -> Iterator[Step]:
    """What comes of a question, behind a step."""
    words = f"{step.what}\n{'AB'[me]}: {' '.join(map(str, question))}".lstrip()
    world, answer = answered(step.world, me, question)
    then = told(step._replace(what=f"{words} -> {answer}", world=world), me, answer)
    yield from onward(then, me, quiet=quiet, failures=failures)
    if failures and question[0] in READS:
        answer = FAILED if RULES[0].unknown else ABSENT.get(question[0], False)
        then = told(step._replace(what=f"{words} FAILS", failures=step.failures + 1), me, answer)
        yield from onward(then, me, quiet=quiet, failures=failures - 1)


def onward(step: Step, me: int, *, quiet: bool, failures: int) -> Iterator[Step]:
    """A step, and those behind it that nobody else can come between."""
    if step.wrong or not step.dash.frames:
        yield step
        return
    question = asked_by(step.dash)
    if step.world.settles(question, alone=quiet or step.world.owner == me):
        yield from answers(step, question, me, quiet=quiet, failures=failures)
    else:
        yield step


def answered(world: World, me: int, question: Question) -> tuple[World, Any]:
    if question[0] == "trylock":
        return world.answer(me, ("lock",)) if world.owner == -1 else (world, False)
    return world.answer(me, question)


def without(world: World, me: int) -> World:
    """The world when a dashboard is gone, and another one opened in its place."""
    attempts = tuple(one._replace(starter=-1) if one.starter == me else one for one in world.attempts)
    return world._replace(attempts=attempts, owner=-1 if world.owner == me else world.owner)


def told(step: Step, me: int, answer: Any) -> Step:
    """A step once the dashboard has an answer, with what is wrong with what it then knows."""
    *below, top = step.dash.frames
    dash = Dash(step.dash.seen, (*below, top._replace(answers=(*top.answers, answer))))
    return until_asked(step._replace(dash=dash, wrong=step.wrong or wrong_world(step.world)), me)


def until_asked(step: Step, me: int) -> Step:
    """Until a dashboard asks for something of the world, or has done what it does."""
    world, dash, wrong = step.world, step.dash, step.wrong
    while dash.frames:
        *below, top = dash.frames
        question, result = run(FUNCTIONS[top.name], top.args, top.answers)
        if question is not None and question[0] not in PARTS:
            break
        if question is not None:
            dash = Dash(dash.seen, (*dash.frames, Frame(question[0], question[1:], (), world.children)))
            continue
        wrong = wrong or wrong_look(world, top, result)
        if below:
            dash = Dash(dash.seen, (*below[:-1], below[-1]._replace(answers=(*below[-1].answers, result))))
        else:
            world = world if world.owner != me else world._replace(owner=-1)
            dash = Dash(dash.seen if result is FAILED else result)
    return step._replace(world=world, dash=dash, wrong=wrong)


# -- what must not be ---------------------------------------------------------------------------------------


def wrong_world(world: World) -> str:
    """What is wrong with the facts themselves."""
    if len(world.children) > 1:
        return f"two live attempts of one run: {world.children}"
    if world.children and world.place != "old":
        return f"a live run was {'renamed' if world.place == 'new' else 'moved to the trash'}"
    return ""


def wrong_look(world: World, frame: Frame, result: Any) -> str:
    """What is wrong with what a look came to."""
    if frame.name != "glance" or result is FAILED:
        return ""
    seen, unseen = result
    lived = [number for number in frame.alive if number in world.children]  # all the while
    if lived and not unseen and (seen is None or is_over(seen)):
        return f"attempt {lived[0]} lives, and the run is shown as {seen.state if seen else 'absent'}"
    if seen is not None and seen.state is RunState.LOST and not unseen and seen.attempt in world.children:
        return f"LOST, and attempt {seen.attempt} lives"
    return ""


def wrong_end(world: World) -> str:
    """What is wrong once nothing can happen any more: a new dashboard looks, and resumes the run."""
    _, (seen, unseen) = at_once(world, "glance", (None,))
    if world.place == "":
        return "" if world.job and not world.accepted else "the run is lost"
    if world.place == "trash":
        return ""
    if seen is None or unseen or not is_over(seen):
        return f"nothing lives, and the run is shown as {seen.state if seen else 'absent'}"
    if world.accepted and world.accepted not in [number for number, _ in seen.record]:
        return f"attempt {world.accepted} was accepted and is not seen"
    again = at_once(world, "to_start", (world.place, world.attempts[-1].number + 1, seen, False))[1]
    return "the run cannot be resumed" if RULES[0].right and again is None else ""


# -- the search ---------------------------------------------------------------------------------------------

# world, both dashboards (each by its number), and how many operations, failed reads and kills may still come
State = tuple[int, int, int, int, int, int]


ALL = Rules()


class Numbers(dict[Any, int]):
    """Gives each thing a number, and finds it again: states of numbers are compared quickly."""

    def __init__(self) -> None:
        self.things: list[Any] = []

    def __missing__(self, thing: Any) -> int:
        number = self[thing] = len(self.things)
        self.things.append(thing)
        return number


class Search:
    """All states that can be reached under some limits."""

    def __init__(self, limits: Limits) -> None:
        self.before: dict[State, tuple[State | None, str]] = {}
        self._limits = limits
        self._worlds, self._dashes = Numbers(), Numbers()
        self._moves: dict[tuple[int, bool], list[tuple[str, int, int, str]]] = {}
        self._steps: dict[tuple[int, ...], list[tuple[str, int, int, int, int, str]]] = {}
        self._turned: dict[int, int] = {}

    def run(self, start: Collection[str], wanted: str, most: int, *, turn: bool) -> Explored:
        """start, wanted, most: as in `explore`. turn: two states that differ only in which dashboard is called A are
        one; a trace may then mix them up."""
        todo: deque[State] = deque()
        for name, world in beginnings().items():
            if start and name not in start:
                continue
            seen = at_once(world, "glance", (None,))[1][0]
            dash = self._dashes[Dash(seen)]
            limits = self._limits
            state = (self._worlds[world], dash, dash, limits.operations, limits.failures, limits.kills)
            self.before[state] = (None, name)
            todo.append(state)
        while todo and len(self.before) < most:
            state = todo.popleft()
            still = True
            for what, then, wrong in self.next(state):
                still = False
                if wrong and wanted in wrong:
                    return Explored(len(self.before), wrong, (*self.trace(state), *what.splitlines()))
                if turn and then[1] > then[2]:
                    then = (self.turned(then[0]), then[2], then[1], *then[3:])
                if then not in self.before:
                    self.before[then] = (state, what)
                    todo.append(then)
            wrong = wrong_end(self._worlds.things[state[0]]) if still else ""
            if wrong and wanted in wrong:
                return Explored(len(self.before), wrong, self.trace(state))
        return Explored(len(self.before), "too many states" if todo else "")

    def next(self, state: State) -> Iterator[tuple[str, State, str]]:
        """Everything that can happen next: in words, the state then, and what is wrong in it."""
        world, one, other, operations, failures, kills = state
        for what, then, killed, wrong in self.moves(world, kills > 0):
            yield what, (then, one, other, operations, failures, kills - killed), wrong
        for me, (mine, others) in enumerate(((one, other), (other, one))):
            idle = not self._dashes.things[mine].frames
            if idle and not operations:
                continue
            left = operations - idle
            quiet = left == 0 and not self._dashes.things[others].frames
            for what, then, dash, failed, killed, wrong in self.steps(world, mine, me, quiet, failures, kills):
                if not left and not self._dashes.things[dash].frames:
                    dash = self._dashes[IDLE]  # what it saw does not matter any more
                pair = (dash, others) if me == 0 else (others, dash)
                yield what, (then, *pair, left, failures - failed, kills - killed), wrong

    def turned(self, number: int) -> int:
        """A world in which the dashboards have changed their places."""
        if number not in self._turned:
            world = self._worlds.things[number]
            attempts = tuple(a if a.starter < 0 else a._replace(starter=1 - a.starter) for a in world.attempts)
            owner = world.owner if world.owner < 0 else 1 - world.owner
            self._turned[number] = self._worlds[world._replace(owner=owner, attempts=attempts)]
        return self._turned[number]

    def moves(self, number: int, kills: bool) -> list[tuple[str, int, int, str]]:
        """What supervisors, trainers and time do next in a world."""
        found = self._moves.get((number, kills))
        if found is None:
            moves = self._worlds.things[number].moves(RULES[0], kills)
            found = [(what, self._worlds[then], killed, wrong_world(then)) for what, then, killed in moves]
            self._moves[number, kills] = found
        return found

    def steps(
        self, number: int, mine: int, me: int, quiet: bool, failures: int, kills: int
    ) -> list[tuple[str, int, int, int, int, str]]:
        """What a dashboard may do next in a world, whatever the other one is doing."""
        key = (number, mine, me, quiet, failures, kills > 0)
        found = self._steps.get(key)
        if found is None:
            world, dash = self._worlds.things[number], self._dashes.things[mine]
            if dash.frames:
                steps = goes_on(world, dash, me, quiet=quiet, failures=failures, kills=kills)
            else:
                steps = begins(world, dash, me, quiet=quiet, failures=failures)
            found = [
                (what, self._worlds[then], self._dashes[after], failed, killed, wrong)
                for what, then, after, failed, killed, wrong in steps
            ]
            self._steps[key] = found
        return found

    def trace(self, state: State | None) -> tuple[str, ...]:
        """How a state came about."""
        words: list[str] = []
        while state is not None:
            state, what = self.before[state]
            words += reversed(what.splitlines())
        return tuple(reversed(words))


def explore(
    rules: Rules, limits: Limits, *, start: Collection[str] = (), wanted: str = "", most: int = 5_000_000
) -> Explored:
    """Everything that can happen under some rules, or the shortest way to what must not be.

    start: those of `beginnings` that are explored, none = all. wanted: a word of what is looked for, "" = anything
    wrong. most: states.
    """
    RULES[0] = rules
    with in_model(rules):
        return Search(limits).run(start, wanted, most, turn=rules == ALL)
