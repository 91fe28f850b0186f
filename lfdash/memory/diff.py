"""What makes a training fit, setting by setting; which cards it fits on with how many of them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from lfdash.memory.cards import CARDS, TIGHT, Card, Verdict, verdict
from lfdash.memory.estimate import Estimate, estimate
from lfdash.memory.knobs import ARGUMENTS, KNOBS, ORDERS, ZERO3, Changes, Fit, can_share, make_it_fit, tried
from lfdash.memory.subject import Subject

COUNTS = (1, 2, 4, 8)  # GPUs of one machine
Cell = Verdict | str
WITH_ZERO3 = "with_zero3"  # it does not fit as it is, but may with DeepSpeed ZeRO-3
WITH_CHANGES = "with_changes"  # nor so, but with settings that `make_it_fit` finds
TIGHT_WITH_CHANGES = "tight_with_changes"  # with these, too, it cannot be told


@dataclass(frozen=True)
class Step:
    """One knob of a fit. name: as in `knobs.KNOBS`; changes: arguments that it sets; saves: bytes beside those of the
    steps before it."""

    name: str
    changes: Changes
    saves: int


def room_for(subject: Subject, total: int) -> int:
    """What a training may take of so many bytes so that it surely fits."""
    return int(total * (1 - max(TIGHT, estimate(subject).band)))


def fit_into(subject: Subject, total: int, without: Collection[str] = ()) -> Fit | None:
    """As `make_it_fit`, with the room that an estimate may be off by; of one that is not bounded it is no promise."""
    return make_it_fit(subject, room_for(subject, total), without)


def fit_with_more(subject: Subject, total: int, lacks: Mapping[str, str]) -> Fit | None:
    """A fit into so many bytes that turns knobs whose package is not installed: with one package more after the other,
    in the order of KNOBS, until they are enough. None where none would help. lacks: such a knob -> its package."""
    every = list(dict.fromkeys(lacks[name] for name in KNOBS if name in lacks))
    for count in range(1, len(every) + 1):
        fit = fit_into(subject, total, [name for name, package in lacks.items() if package not in every[:count]])
        if fit is not None and lacks.keys() & set(fit.names):
            return fit
    return None


def steps(subject: Subject, fit: Fit) -> tuple[Step, ...]:
    """A fit knob by knob, in order; of several that set the same argument the last."""
    owners = {key: name for name in fit.names for key in ARGUMENTS[name] if key in fit.changes}
    current, before, found = subject, estimate(subject).driver, []
    for name in fit.names:
        changes = {key: fit.changes[key] for key, owner in owners.items() if owner == name}
        if not changes:
            continue
        current = current.changed(**changes)
        after = estimate(current).driver
        found.append(Step(name, changes, before - after))
        before = after
    return tuple(found)


def on_more(subject: Subject, count: int) -> Estimate | None:
    """A training on so many GPUs that share the model by ZeRO-3; None where they cannot."""
    shared = replace(subject, world_size=count)
    if count < 2 or shared.sharding == "z3" or not can_share(shared):
        return None
    return estimate(shared.changed(deepspeed=ZERO3))


def table(subject: Subject, without: Collection[str] = ()) -> Mapping[Card, Mapping[int, Cell]]:
    """Card -> how many of them -> whether a training fits there, as it is, with ZeRO-3, or with other settings.
    without: knobs that cannot be turned here."""
    columns = {count: variants(replace(subject, world_size=count), without) for count in COUNTS}
    return {card: {count: cell(column, card.total) for count, column in columns.items()} for card in CARDS}


def variants(subject: Subject, without: Collection[str]) -> Mapping[str, tuple[Estimate, ...]]:
    """A training as it is ("") and its cheaper variants, by the word of a cell."""
    shared = None if "zero3" in without else on_more(subject, subject.world_size)
    return {
        "": (estimate(subject),), WITH_ZERO3: (shared,) if shared else (),
        WITH_CHANGES: tuple(estimate(made) for skipped in ORDERS for _, made in tried(subject, {*skipped, *without})),
    }


def cell(column: Mapping[str, tuple[Estimate, ...]], total: int) -> Cell:
    """One cell of the table."""
    (plain,) = column[""]
    found = verdict(plain, total)
    if found != "does_not":
        return found
    cheaper = {word: {verdict(variant, total) for variant in column[word]} for word in (WITH_ZERO3, WITH_CHANGES)}
    fitting = next((word for word, verdicts in cheaper.items() if verdicts & {"fits", "unsure"}), "")
    return fitting or (TIGHT_WITH_CHANGES if "tight" in cheaper[WITH_CHANGES] else found)
