"""The runs that are compared as the page names and colours them."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise

from lfdash.engine.comparison import Subject
from lfdash.engine.services import Services
from lfdash.runs.compare.address import MOST_CURVES
from lfdash.runs.record import TERMINAL
from lfdash.ui.compare.tables import Head
from lfdash.ui.curves.lines import RUN_COLOURS, CurveRun, RunColour
from lfdash.ui.shared.text import isolated, listed, markdown_safe, t

LONGEST_LIST = 12  # names in a sentence


def names_of(subjects: Sequence[Subject]) -> dict[str, str]:
    """Run id -> its name; where several have the same, with what tells them apart."""
    counts = Counter(subject.name for subject in subjects)
    return {
        subject.run_id: isolated(subject.name) if counts[subject.name] == 1 else longer_name(subject)
        for subject in subjects
    }


def longer_name(subject: Subject) -> str:
    """A name with the run's place, and its id where that tells nothing."""
    folder = subject.view.output_dir.removeprefix("saves/").rpartition("/")[0] if subject.view else ""
    return f"{isolated(subject.name)} ({folder or subject.run_id}, {subject.run_id[:6]})"


def colour_of(place: int) -> RunColour | None:
    """The colour of a run's place; None beyond those that have one."""
    return RUN_COLOURS[place] if place < min(MOST_CURVES, len(RUN_COLOURS)) else None


def swatch(place: int) -> str:
    """A short piece of a run's line, as HTML."""
    colour = colour_of(place)
    if colour is None:
        return ""
    own = f"light-dark({colour.light},{colour.dark})"
    ends = list(accumulate(colour.dash or (1,), initial=0))
    parts = [f"{'transparent' if n % 2 else own} {a}px {b}px" for n, (a, b) in enumerate(pairwise(ends))]
    style = f"height:3px;background:repeating-linear-gradient(90deg,{','.join(parts)})"
    return f'<span class="lf-swatch" style="{html.escape(style)}" aria-hidden="true"></span>'


def is_alive(subject: Subject) -> bool:
    """Whether a run goes on, so that its numbers change."""
    view = subject.view
    return view is not None and view.waiting is None and view.state not in TERMINAL


def curve_runs(services: Services, subjects: Sequence[Subject], names: dict[str, str]) -> list[CurveRun]:
    """The runs whose curves are drawn."""
    return [
        CurveRun(
            names[subject.run_id], colour, services.feeds.of(subject.view.paths), is_alive(subject),
            subject.view.saved.checkpoints,
        )
        for subject in subjects
        if subject.view is not None and has_curves(subject) and (colour := colour_of(subject.place)) is not None
    ]


def has_curves(subject: Subject) -> bool:
    """Whether a run logs what curves are made of."""
    return subject.view is not None and not {"waits", "evaluation", "export"} & set(subject.remarks)


def head_of(subject: Subject, names: dict[str, str], base: str) -> Head:
    """The head of a run's column."""
    notes = [t("ui.compare_baseline")] if subject.run_id == base else []
    if subject.view is not None:
        notes.append(t(f"states.{subject.view.state.name}"))
    return Head(names[subject.run_id], swatch(subject.place), tuple(notes))


def some_of(names: Sequence[str]) -> str:
    """Names in a sentence; the first of many."""
    words = listed(f"**{markdown_safe(name)}**" for name in names[:LONGEST_LIST])
    more = len(names) - LONGEST_LIST
    return words if more <= 0 else t("ui.runs_and_more", names=words, count=more)
