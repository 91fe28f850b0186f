"""The line at the top: state, step, times and loss of the run that is shown."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import replace

from lfdash.engine.words import stall_in
from lfdash.jobs.kinds import named
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.metrics.whole import whole_frame
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView
from lfdash.ui.shared.page_script import read_aloud
from lfdash.ui.shared.run_words import BADGE_LOOKS, SHOWN_LOOKS, duration, state_of, state_word
from lfdash.ui.shared.scheduled_words import own_words, place_words
from lfdash.ui.shared.text import isolated, language, t

NOT_A_NUMBER = "NaN"


def strip_html(view: RunView | None, feed: RunFeed | None = None, marks: Sequence[str] = ()) -> str:
    """State, step, epoch, times, loss and speed as one block of HTML; every value escaped. feed: see `strip_facts`.
    marks: names of what is wrong with the run (see `monitor.wrong`), which the title of the tab says too."""
    if view is None:
        return (
            f'<div class="lf-strip">{heading(t("ui.no_run"))}'
            f'<span class="lf-state lf-idle">{html.escape(t("ui.idle"))}</span></div>'
            '<div class="lf-bar lf-idle"><i style="width:0"></i></div>'
        )
    shown = state_of(view)
    look = SHOWN_LOOKS[shown]
    facts = "".join(
        f'<span class="lf-fact"{fact_help(name, view)}><b>{html.escape(value)}</b>'
        f"<small>{html.escape(name)}</small></span>"
        for name, value in strip_facts(view, feed)
    )
    percent = view.shown_percent or 0.0
    return (
        f'<div class="lf-strip" data-title="{html.escape(title_words(view, marks))}">{heading(view.name)}'
        f'<span class="lf-state lf-{look}" data-state="{view.state.name}"{state_title(view)}>'
        f"{html.escape(state_word(shown))}</span>{place_html(view)}{marks_html(marks)}{facts}</div>"
        f'<div class="lf-bar lf-{look}" role="progressbar" '
        f'aria-label="{html.escape(t("ui.progress"))}" aria-valuenow="{percent:.0f}" aria-valuemin="0" '
        f'aria-valuemax="100"><i style="width:{percent:.1f}%"></i></div>'
    )


def title_words(view: RunView, marks: Sequence[str] = ()) -> str:
    """What the tab of the browser says: what is wrong, how far the run is, or how it stands, and its name."""
    percent = view.progress.percent
    known = view.state is RunState.RUNNING and percent is not None
    how = f"{percent:.0f} %" if known else state_word(state_of(view))
    wrong = "⚠ " if marks or view.state in (RunState.FAILED, RunState.LOST) else ""
    return wrong + " ".join([*map(state_word, marks), how, view.name])


def heading(words: str) -> str:
    """The name of the run, by which a screen reader finds the column."""
    return f'<span class="lf-name" role="heading" aria-level="2">{html.escape(words)}</span>'


def spoken_state(view: RunView | None) -> str:
    """The state, and that a run does not step, for whoever does not see it: read aloud when it changes, and only
    then."""
    words = t("ui.no_run")
    if view is not None:
        words = f"{isolated(view.name)}: {state_word(state_of(view))}"
    if view is not None and view.stall is not None:
        words += f". {stall_in(language(), view.stall)}"
    return read_aloud("run", words)


def marks_html(marks: Sequence[str]) -> str:
    """What is wrong with a run, beside its state; nothing where nothing is."""
    return "".join(
        f'<span class="lf-state lf-{BADGE_LOOKS[mark]}" data-mark="{mark}">{html.escape(state_word(mark))}</span>'
        for mark in marks
    )


def place_html(view: RunView) -> str:
    """The cluster that a run is on, beside its state; nothing for this machine."""
    if not view.target:
        return ""
    told = f"{t('scheduled.target')}: {place_words(view)}"
    return f'<span class="lf-state lf-idle" data-target title="{html.escape(told)}">{html.escape(view.target)}</span>'


def state_title(view: RunView) -> str:
    """What a scheduler calls the state of a run, for whoever points at it."""
    words = own_words(view.scheduled) if view.scheduled is not None else ""
    return f' title="{html.escape(words)}"' if words else ""


def fact_help(name: str, view: RunView) -> str:
    """What is told of a value to whoever points at it: which speed it is."""
    if name != t("ui.speed"):
        return ""
    return f' title="{html.escape(t("ui.speed_whole" if view.state in TERMINAL else "ui.speed_recent"))}"'


def loss_words(loss: float | None) -> str:
    """A loss as it is shown."""
    return "–" if loss is None else f"{loss:.4f}" if math.isfinite(loss) else NOT_A_NUMBER


def strip_facts(view: RunView, feed: RunFeed | None = None) -> list[tuple[str, str]]:
    """The labelled values of the strip, in order; a dash where nothing is known yet. feed: what is read of the run's
    files, where that tells more than the last lines of its log. Of what does not train: its steps while it goes on, and
    its time."""
    if feed is not None and feed.reading is None and len(feed.frame):
        view = view.with_whole(whole_frame(feed.frame))
    p = view.progress
    if feed is not None and feed.dead_since is not None:
        p = replace(p, loss=math.nan)  # transformers logs 0
    step = t("ui.step"), f"{p.step if p.step is not None else '–'} / {p.total if p.total else '–'}"
    left = t("ui.eta"), duration(p.remaining_s) if view.state is RunState.RUNNING else "–"
    elapsed = t("ui.elapsed"), duration(view.elapsed_s)
    if not named(view.kind).trains:
        return [*([step, left] if p.step is not None and view.state not in TERMINAL else []), elapsed]
    return [
        step,
        (t("ui.epoch"), "–" if p.epoch is None else f"{p.epoch:.2f}"),
        left,
        elapsed,
        (t("ui.loss"), loss_words(p.loss)),
        (t("ui.speed"), "–" if p.tokens_per_s is None else t("ui.speed_value", value=f"{p.tokens_per_s:,.0f}")),
    ]
