"""The facts of one run: what lies in its folder, which processes live; how they change by themselves and by others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Question = tuple[Any, ...]  # ("holder", 2): what a dashboard reads; ("mkdir", 2): what it does, in one step
FAILED = "EIO"  # the answer to a read that failed
# what a reader that takes what it cannot read for absent would have said instead
ABSENT: Mapping[str, Any] = {"walk": "", "record": None, "attempts": ()}  # of all others: False


class Rules(NamedTuple):
    """Rules of the program that can be switched off, as they were not there before.

    right: an attempt is started, and a folder moved, by somebody only who has looked at every attempt under the launch
    lock. one_start: the right to start an attempt is one file, which whoever gives the attempt up takes away.
    unknown: what cannot be read is not taken for absent. quiet: looks write nothing. all_attempts: an attempt counts by
    its folder, whatever run.json says.
    """

    right: bool = True
    one_start: bool = True
    unknown: bool = True
    quiet: bool = True
    all_attempts: bool = True


class Attempt(NamedTuple):
    """The control files of an attempt. right: "unused", "taken", "begun" (child.json is there), "given up". wish: to
    stop. late: its supervisor had so much time that nobody waits for it. printed: its trainer has begun. starter: the
    dashboard that holds its supervisor's handle, or -1."""

    number: int
    right: str = "unused"
    wish: bool = False
    late: bool = False
    printed: bool = False
    starter: int = -1


class Shim(NamedTuple):
    """A supervisor's process, and how far it is: see `World.shim_step`."""

    number: int
    at: str = "spawned"


CHANGING = frozenset({"exit", "child", "taken", "printed", "holder", "members", "handle", "clock"})  # by a supervisor
HOLDS = ("locked", "took", "started", "told", "ended")  # where a supervisor holds its lock


class World(NamedTuple):
    """place: where the folder is: "old" or "new" (names below saves/), "trash", or "" (there is none). record: attempts
    in run.json with whether their end is told. exit: whose end exit.json tells, 0 = nobody's. children: attempts whose
    trainer lives. job: the attempt that a waiting job is to start, 0 = none waits. owner: who has the launch lock."""

    place: str = "old"
    attempts: tuple[Attempt, ...] = ()
    record: tuple[tuple[int, bool], ...] = ()
    exit: int = 0
    shims: tuple[Shim, ...] = ()
    children: tuple[int, ...] = ()
    job: int = 0
    owner: int = -1
    accepted: int = 0

    def attempt(self, number: int) -> Attempt | None:
        return next((one for one in self.attempts if one.number == number), None)

    def with_attempt(self, number: int, **changes: Any) -> World:
        return self._replace(attempts=tuple(
            one._replace(**changes) if one.number == number else one for one in self.attempts
        ))

    # -- what happens by itself -----------------------------------------------------------------------------

    def moves(self, rules: Rules, kills: int) -> Iterator[tuple[str, World, int]]:
        """What supervisors, trainers and time do next: in words, the world then, and how many kills that took."""
        for shim in self.shims:
            yield from ((what, world, 0) for what, world in self.shim_step(shim, rules))
            if kills:
                yield f"supervisor {shim.number} is killed ({shim.at})", self.without(shim), 1
        for number in self.children:
            yield f"trainer {number} ends", self._replace(children=tuple(n for n in self.children if n != number)), 0
        for one in self.attempts:
            if one.right in ("unused", "taken") and not one.late:
                yield f"30 s pass since attempt {one.number} was made", self.with_attempt(one.number, late=True), 0

    def settles(self, question: Question, *, alone: bool) -> bool:
        """Whether the answer to a question stays as it is, whatever supervisors, trainers and time do next; then nobody
        can tell when exactly it was asked. alone: no other dashboard can change it either."""
        kind, number = question[0], question[-1]
        if kind in ("unlock", "wish"):  # a wish to stop changes what a state is called, and nothing else
            return True
        if kind in ("walk", "record", "attempts", "spec", "job", "given"):
            return alone
        one = self.attempt(number) if kind in CHANGING else None
        if kind not in CHANGING or not alone:
            return False
        if one is None:
            return not any(shim.number == number for shim in self.shims)
        lives = number in self.children or any(shim.number == number for shim in self.shims)
        waits = one.right in ("unused", "taken") and not one.late
        return (not lives and not (kind == "clock" and waits)) or self.is_final(kind, one)

    def is_final(self, kind: str, one: Attempt) -> bool:
        """Whether a fact of an attempt changes no more, since it has come so far."""
        begun = one.right == "begun"
        if kind == "exit":
            return self.exit == one.number
        if kind == "members":
            return begun and one.number not in self.children
        return (kind == "printed" and one.printed) or (kind in ("child", "taken") and begun)

    def without(self, shim: Shim) -> World:
        rest = list(self.shims)
        rest.remove(shim)
        return self._replace(shims=tuple(rest))

    def put(self, shim: Shim, at: str) -> World:
        world = self.without(shim)
        return world._replace(shims=tuple(sorted((*world.shims, shim._replace(at=at)))))

    def shim_step(self, shim: Shim, rules: Rules) -> Iterator[tuple[str, World]]:
        """One step of a supervisor (supervisor/shim.py)."""
        number, at = shim
        control = self.attempt(number)
        if at == "spawned":
            there = self.place == "old" and control is not None  # it goes into the folder by its name
            yield (f"supervisor {number} enters", self.put(shim, "entered") if there else self.without(shim))
        elif at == "entered":
            busy = any(other.number == number and other.at in HOLDS for other in self.shims)
            yield f"supervisor {number} locks", self.without(shim) if busy else self.put(shim, "locked")
        elif at == "locked":
            may = control is not None and (control.right == "unused" if rules.one_start else control.right != "begun")
            then = self.put(shim, "took") if may else self.without(shim)
            if may and rules.one_start:
                then = then.with_attempt(number, right="taken")
            yield f"supervisor {number} {'takes its right' if may else 'leaves'}", then
        elif at == "took":
            world = self.put(shim, "started").with_attempt(number, printed=True)
            yield f"trainer {number} starts", world._replace(children=tuple(sorted((*self.children, number))))
        elif at == "started":
            yield f"child.json {number} is written", self.put(shim, "told").with_attempt(number, right="begun")
        elif at == "told" and number not in self.children:
            yield f"supervisor {number} has swept", self.put(shim, "ended")
        elif at == "ended":
            yield f"exit.json of {number} is written", self.without(shim)._replace(exit=number)

    # -- what dashboards read and do ------------------------------------------------------------------------

    def answer(self, me: int, question: Question) -> tuple[World, Any]:
        """The world after a dashboard's question, and the answer."""
        return getattr(self, f"on_{question[0]}")(me, *question[1:])

    def there(self, place: str, number: int) -> Attempt | None:
        return self.attempt(number) if place == self.place else None

    def on_walk(self, me: int) -> tuple[World, str]:
        return self, self.place if self.place in ("old", "new") else ""

    def on_record(self, me: int, place: str) -> tuple[World, tuple[tuple[int, bool], ...] | None]:
        return self, self.record if place == self.place else None

    def on_attempts(self, me: int, place: str) -> tuple[World, tuple[int, ...]]:
        return self, tuple(one.number for one in self.attempts) if place == self.place else ()

    def on_wish(self, me: int, place: str, number: int) -> tuple[World, bool]:
        control = self.there(place, number)
        return self, control is not None and control.wish

    def on_exit(self, me: int, place: str, number: int) -> tuple[World, bool]:
        return self, place == self.place and self.exit == number

    def on_spec(self, me: int, place: str, number: int) -> tuple[World, bool]:
        return self, self.there(place, number) is not None

    def on_child(self, me: int, place: str, number: int) -> tuple[World, bool]:
        control = self.there(place, number)
        return self, control is not None and control.right == "begun"

    def on_taken(self, me: int, place: str, number: int) -> tuple[World, bool]:
        control = self.there(place, number)
        return self, control is not None and control.right == "taken"

    def on_given(self, me: int, place: str, number: int) -> tuple[World, bool]:
        control = self.there(place, number)
        return self, control is not None and control.right == "given up"

    def on_printed(self, me: int, place: str, number: int) -> tuple[World, bool]:
        control = self.there(place, number)
        return self, control is not None and control.printed

    def on_holder(self, me: int, place: str, number: int) -> tuple[World, bool]:
        held = any(shim.number == number and shim.at in HOLDS for shim in self.shims)
        return self, place == self.place and held

    def on_handle(self, me: int, number: int) -> tuple[World, bool | None]:
        """Whether the supervisor that this dashboard started still lives; None: it started none."""
        control = self.attempt(number)
        if control is None or control.starter != me:
            return self, None
        return self, any(shim.number == number for shim in self.shims)

    def on_clock(self, me: int, place: str, number: int) -> tuple[World, float]:
        control = self.there(place, number)
        return self, 31.0 if control is not None and control.late else 0.0

    def on_members(self, me: int, place: str, number: int) -> tuple[World, bool]:
        return self, number in self.children

    def on_lock(self, me: int) -> tuple[World, bool]:
        assert self.owner == -1
        return self._replace(owner=me), True

    def on_unlock(self, me: int) -> tuple[World, None]:
        return self._replace(owner=-1), None

    def on_give_up(self, me: int, place: str, number: int) -> tuple[World, bool]:
        control = self.there(place, number)
        if control is None or control.right not in ("unused", "given up"):
            return self, False
        return self.with_attempt(number, right="given up"), True

    def on_wishes(self, me: int, place: str, number: int) -> tuple[World, None]:
        return (self if self.there(place, number) is None else self.with_attempt(number, wish=True)), None

    def on_mkdir(self, me: int, number: int) -> tuple[World, bool]:
        """Makes an attempt's folder, or the whole run's; False when it is there."""
        if number == 1:
            if self.place:
                return self, False
            return World(attempts=(Attempt(1),), record=((1, False),), job=self.job, owner=self.owner), True
        if self.place != "old" or self.attempt(number) is not None:
            return self, False
        return self._replace(attempts=tuple(sorted((*self.attempts, Attempt(number))))), True

    def on_write(self, me: int, place: str, record: tuple[tuple[int, bool], ...]) -> tuple[World, None]:
        return (self._replace(record=record) if place == self.place else self), None

    def on_popen(self, me: int, number: int) -> tuple[World, None]:
        world = self.with_attempt(number, starter=me)
        return world._replace(shims=tuple(sorted((*self.shims, Shim(number)))), accepted=number), None

    def on_undo(self, me: int, number: int) -> tuple[World, None]:
        """Takes an attempt away; a supervisor that is in its folder finds nothing there any more."""
        shims = tuple(shim for shim in self.shims if shim.number != number or shim.at == "spawned")
        if number == 1:
            return World(place="", shims=shims, job=self.job, owner=self.owner), None
        rest = tuple(one for one in self.attempts if one.number != number)
        return self._replace(attempts=rest, shims=shims, accepted=0), None

    def on_move(self, me: int, place: str) -> tuple[World, None]:
        return self._replace(place=place), None

    def on_job(self, me: int) -> tuple[World, int]:
        return self, self.job

    def on_done(self, me: int) -> tuple[World, None]:
        return self._replace(job=0), None
