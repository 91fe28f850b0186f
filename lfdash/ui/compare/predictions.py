"""The predictions of two evaluations row by row, with what differs marked; matched by prompt, read in stretches."""

from __future__ import annotations

import html
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import streamlit as st

from lfdash.engine.comparison import Subject, evaluations_of
from lfdash.engine.services import Services
from lfdash.runs.compare.pairs import Pairs
from lfdash.runs.compare.scores import Evaluation
from lfdash.runs.compare.words import difference
from lfdash.runs.predictions import PREDICTIONS, Prediction, Predictions, Search
from lfdash.ui.compare import state
from lfdash.ui.shared import dialogs, keyed
from lfdash.ui.shared.text import t

PAGE = 10  # pairs a page
READ_S = 0.25  # seconds that reading may take before what is known so far is shown
LOOK_S = 0.5  # seconds between two looks while it is read
LONGEST = 20_000  # characters of a text that are shown
LEFT, RIGHT, FIND, ALL, NUMBER = (f"compare.predictions.{name}" for name in ("left", "right", "find", "all", "page"))
READER, SEARCH = "compare.predictions.reader", "compare.predictions.search"
CSS = """
.lf-pairs {display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: .25rem .8rem; font-size: .86rem}
.lf-pairs section {grid-column: 1 / -1}
.lf-pairs .lf-first {border-top: 1px solid rgba(127,127,127,.35); padding-top: .5rem; margin-top: .5rem}
.lf-pairs .lf-what {font-size: .78rem; font-weight: 600; color: light-dark(#565d64, #aab2ba)}
.lf-text {white-space: pre-wrap; overflow-wrap: anywhere; max-height: 15rem; overflow-y: auto; line-height: 1.45}
.lf-given {max-height: 7rem; color: light-dark(#3c4249, #c3c9d0)}
.lf-pairs del, .lf-pairs ins {border-radius: .2rem; padding: 0 .1rem}
.lf-pairs del {text-decoration: underline dotted 2px; background: light-dark(#ffe3c7, #5a3413)}
.lf-pairs ins {text-decoration: underline solid 2px; background: light-dark(#cfe6fa, #12405f)}
"""


def draw(services: Services, subjects: Sequence[Subject], names: dict[str, str]) -> None:
    """The two lists, and the rows."""
    found = [one for one in evaluations_of(services, subjects) if has_predictions(services, one)]
    if len(found) < 2:
        st.caption(t("ui.compare_no_predictions"))
        return
    words = distinct_words(services, found, names)
    pair = choose(list(words), words)
    if pair[0] == pair[1]:
        st.caption(t("ui.compare_same_evaluation"))
        return
    pairs = reader(services, pair)
    with st.container(horizontal=True, vertical_alignment="center", key="compare_predictions_bar"):
        wanted = st.text_input(
            t("ui.predictions_find"), key=FIND, type="search", placeholder=t("ui.predictions_find"), live=True,
            label_visibility="collapsed", icon=":material/search:", width=320,
        )
        st.toggle(t("ui.compare_all_rows"), key=ALL, persist_state="session")
    searches = searched(pairs, wanted) if wanted else ()
    going_on = not pairs.done or any(not search.done for search in searches)
    body = partial(draw_found, pairs, searches, [words[run_id] for run_id in pair], services.registry.redactor())
    st.html(f"<style>{CSS}</style>")
    st.fragment(partial(body, going_on), run_every=LOOK_S if going_on else None, key="compare_pairs")()


def has_predictions(services: Services, one: Evaluation) -> bool:
    """Whether a run has left predictions."""
    view = services.registry.get(one.run_id)
    return view is not None and (view.path / PREDICTIONS).is_file()


def words_of(one: Evaluation, names: dict[str, str]) -> str:
    """An evaluation with whose weights it evaluated."""
    owner = names.get(one.origin.run_id) if one.origin else None
    if owner is None:
        return one.name
    step = one.origin.step if one.origin else None
    owner = owner if step is None else f"{owner}, {t('ui.compare_checkpoint', step=step)}"
    return f"{one.name} ({owner})"


def distinct_words(services: Services, found: Sequence[Evaluation], names: dict[str, str]) -> dict[str, str]:
    """Run id -> what its evaluation is called; where several would be called the same, with their datasets, folders or,
    at last, ids."""
    words = {one.run_id: words_of(one, names) for one in found}
    for more in (
        lambda one: one.data,
        lambda one: view.output_dir if (view := services.registry.get(one.run_id)) is not None else "",
        lambda one: one.run_id,
    ):
        counts = Counter(words.values())
        for one in found:
            if counts[words[one.run_id]] > 1 and (part := more(one)):
                words[one.run_id] = f"{words[one.run_id]} · {part}"
    return words


def choose(ids: Sequence[str], words: dict[str, str]) -> tuple[str, str]:
    """The two evaluations whose rows are shown."""
    wanted = [run_id for run_id in state.current().pair if run_id in ids]
    rest = [run_id for run_id in ids if run_id not in wanted]
    pair = wanted if len(wanted) == 2 else [*wanted, *rest][:2]
    st.session_state[LEFT], st.session_state[RIGHT] = pair
    for column, key, label in zip(st.columns(2), (LEFT, RIGHT), ("compare_left", "compare_right"), strict=True):
        with column:
            keyed.select(
                t(f"ui.{label}"), ids, key=key, page="compare", word=lambda run_id: words[run_id], empty=False,
                on_change=chosen,
            )
    return st.session_state[LEFT], st.session_state[RIGHT]


def chosen() -> None:
    """Other evaluations are compared."""
    state.change(pair=(st.session_state[LEFT], st.session_state[RIGHT]))
    st.session_state[NUMBER] = 1


def reader(services: Services, pair: tuple[str, str]) -> Pairs:
    """This session's reader of two evaluations."""
    paths = []
    for run_id in pair:
        view = services.registry.get(run_id)
        assert view is not None  # has_predictions has seen it
        paths.append(view.path / PREDICTIONS)
    held = st.session_state.get(READER)
    if not isinstance(held, Pairs) or [held.left.rows.path, held.right.rows.path] != paths:
        held = Pairs(Predictions(paths[0]), Predictions(paths[1]))
        st.session_state[READER] = held
        st.session_state[NUMBER] = 1
        held.go_on(until(READ_S))
    return held


def until(seconds: float) -> Callable[[], bool]:
    """Says when so many seconds are over."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def searched(pairs: Pairs, text: str) -> tuple[Search, Search]:
    """This session's search in both files."""
    held = st.session_state.get(SEARCH)
    rows = (pairs.left.rows, pairs.right.rows)
    if held is None or held[0].text != text or (held[0].rows, held[1].rows) != rows:
        held = (Search(rows[0], text), Search(rows[1], text))
        st.session_state[SEARCH] = held
        look(pairs, held)
    return held


def look(pairs: Pairs, searches: Sequence[Search]) -> None:
    """Reads and searches on for as long as a key may take."""
    enough = until(READ_S)
    pairs.go_on(enough)
    for search in searches:
        if not search.done and not enough():
            search.go_on(enough)


def draw_found(
    pairs: Pairs, searches: Sequence[Search], names: Sequence[str], redact: Callable[[str], str], going_on: bool
) -> None:
    """A page of the rows; while the files are read, how far that is."""
    if going_on:
        look(pairs, searches)
        if pairs.done and all(search.done for search in searches) and not dialogs.is_open():
            st.rerun()
        st.progress(pairs.share, text=t("ui.compare_reading", share=f"{pairs.share:.0%}"))
    if not pairs.done:
        return
    found = pairs.matched
    numbers = pairs.wanted(all_rows=bool(st.session_state.get(ALL)), searches=searches)
    line, number = st.columns([5, 1.4], vertical_alignment="center")
    with number:
        pages = max(1, -(-len(numbers) // PAGE))
        chosen_page = st.selectbox(
            t("ui.predictions_page"), range(1, pages + 1), key=NUMBER, label_visibility="collapsed"
        )
    begin = ((chosen_page or 1) - 1) * PAGE
    told = [t("ui.compare_pairs", both=f"{found.both:,}", other=f"{int(found.differs.sum()):,}")]
    if not found.both:
        told = [t("ui.compare_no_common")]
    if found.only_left or found.only_right:
        told.append(t("ui.compare_only", left=f"{found.only_left:,}", right=f"{found.only_right:,}"))
    line.caption(" ".join(told))
    if not len(numbers) and not found.both and not searches:
        return
    if not len(numbers):
        st.caption(t("ui.compare_no_difference" if not searches else "ui.predictions_no_match"))
        return
    st.html(pairs_html(list(pairs.at(numbers[begin : begin + PAGE])), names, redact))


# -- as HTML --------------------------------------------------------------------------------------------


def pairs_html(
    shown: Sequence[tuple[Prediction | None, Prediction | None]], names: Sequence[str], redact: Callable[[str], str]
) -> str:
    """Rows beside each other; every text escaped."""
    legend = (
        f'<div><div class="lf-what"><del>{html.escape(t("ui.compare_words_left"))}</del></div></div>'
        f'<div><div class="lf-what"><ins>{html.escape(t("ui.compare_words_right"))}</ins></div></div>'
    )
    return f'<div class="lf-pairs">{legend}{"".join(pair_html(pair, names, redact) for pair in shown)}</div>'


def pair_html(
    pair: tuple[Prediction | None, Prediction | None], names: Sequence[str], redact: Callable[[str], str]
) -> str:
    """What was asked, what the data say, and the two answers."""
    left, right = pair
    given = left or right
    if given is None:  # both files were replaced meanwhile
        return ""
    numbers = " / ".join(f"#{row.number}" if row else "–" for row in pair)
    labels = dict.fromkeys(clean(row.label, redact) for row in pair if row is not None and row.label)
    parts = [section(f"{numbers} · {t('ui.prediction_prompt')}", clean(given.prompt, redact), look="lf-first")]
    parts += [section(t("ui.prediction_label"), label) for label in labels]
    answers = tuple("" if row is None else clean(row.predict, redact) for row in pair)
    both = left is not None and right is not None
    marked = marked_html(*answers) if both else tuple(map(html.escape, answers))
    for row, name, text in zip(pair, names, marked, strict=True):
        body = text if row is not None else f'<span class="lf-quiet">{html.escape(t("ui.compare_no_row"))}</span>'
        parts.append(f'<div><div class="lf-what">{html.escape(name)}</div><div class="lf-text">{body}</div></div>')
    return "".join(parts)


def clean(text: str, redact: Callable[[str], str]) -> str:
    """A text without secrets; of a very long one the beginning."""
    text = redact(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def section(title: str, text: str, look: str = "") -> str:
    """A text under its title, across both columns."""
    body = f'<div class="lf-text lf-given">{html.escape(text)}</div>'
    return f'<section class="{look}"><div class="lf-what">{html.escape(title)}</div>{body}</section>'


def marked_html(left: str, right: str) -> tuple[str, str]:
    """Two answers; in each, what the other does not have is marked."""
    pieces = difference(left, right)
    sides = []
    for own, tag in (("removed", "del"), ("added", "ins")):
        sides.append("".join(
            f"<{tag}>{html.escape(text)}</{tag}>" if kind == own else html.escape(text)
            for kind, text in pieces if kind in ("same", own)
        ))
    return sides[0], sides[1]
