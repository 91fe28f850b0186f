"""What the model sees of the form's job: a dialog, and a part of the Data page."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import streamlit as st

from lfdash.engine.sees import Question
from lfdash.jobs.args import build_args
from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.sees import Sample, Seen, Side
from lfdash.outcomes import Refused
from lfdash.ui.form import sees_html
from lfdash.ui.form.state import Form
from lfdash.ui.shared import dialogs
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import markdown_safe, t

LOOK_S = 1.0  # seconds between two looks at an answer that is waited for
ASKED, TURN = "sees.asked", "sees.turn"  # session: of which dataset somebody wants it; how often it was asked again
BEGUN = "sees.begun"  # session: (what is waited for, since when)
SHOWN, AS = "sees.shown", "sees.as"  # widgets: which sample, in which form
MOST_LEFT = 5  # rows that are left out, each in words


def why_not(form: Form) -> str:
    """Why it cannot be shown for the form as it is; "" when it can."""
    if not isinstance(form.services.cli, Cli):
        return refusal(form.services.cli)
    args = build_args(form.read().job)
    if not args.get("model_name_or_path"):
        return t("problems.model_missing")
    return "" if args.get("dataset") else t("problems.dataset_missing")


def show(form: Form, on_close: Callable[[], None]) -> None:
    """Opens the dialog for the form as it is. on_close: called when somebody closes it."""
    dialogs.show(t("ui.sees"), on_close, draw, form, {}, "form")


def draw_part(form: Form, directory: str, dataset: str, stage: str) -> None:
    """The part of the Data page: a button, and for the dataset for which it was pressed the answer.

    stage: what the dataset is for where the form's job has another one.
    """
    job = form.read().job
    model = build_args(job).get("model_name_or_path")
    reason = refusal(form.services.cli) if isinstance(form.services.cli, Refused) else ""
    reason = reason or ("" if model else t("problems.model_missing"))
    st.button(
        t("ui.sees"), key="sees_part", icon=":material/visibility:", disabled=bool(reason),
        help=reason or t("ui.sees_help"), on_click=partial(want, directory, dataset),
    )
    if st.session_state.get(ASKED) == (directory, dataset) and not reason:
        draw(form, {"dataset": dataset, "dataset_dir": directory, "stage": stage}, "data")


def want(directory: str, dataset: str) -> None:
    """The button of the Data page was pressed."""
    st.session_state[ASKED] = (directory, dataset)


def draw(form: Form, changes: Mapping[str, Any], place: str) -> None:
    """The answer, or that it is waited for. changes: other arguments than the form's. place: part of widgets' keys."""
    asker = form.services.sees
    question = asker.question(form.read().job, changes, turn=st.session_state.get(TURN, 0))
    waiting = asker.ask(question).found is None
    st.html(sees_html.style())
    st.fragment(partial(draw_answer, form, question, place, waiting), run_every=LOOK_S if waiting else None)()


def draw_answer(form: Form, question: Question, place: str, ticking: bool) -> None:
    """As `draw`; when what was waited for is there, the page is drawn once more and rests. A dialog stays open."""
    found = form.services.sees.ask(question).found
    if found is None:
        since = st.session_state.get(BEGUN)
        if since is None or since[0] != question:
            since = st.session_state[BEGUN] = (question, time.monotonic())
        st.info(t("sees.waiting", seconds=int(time.monotonic() - since[1])), icon=":material/hourglass_top:")
    elif ticking:
        st.rerun()
    elif isinstance(found, Refused):
        reason = markdown_safe(form.services.registry.redactor()(refusal(found)))
        st.warning(t("sees.failed", reason=reason))
        st.button(t("sees.again"), key=f"sees_again_{place}", on_click=ask_again)
    else:
        draw_seen(found, place, form.services.registry.redactor())


def ask_again() -> None:
    """Asks anew, at the next drawing."""
    st.session_state[TURN] = st.session_state.get(TURN, 0) + 1


def draw_seen(found: Seen, place: str, redact: Callable[[str], str]) -> None:
    """One sample at a time; what was left out is said before."""
    draw_left(found)
    if not found.samples:
        if not found.large:
            st.error(t("sees.nothing"), icon=":material/error:")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        number = st.segmented_control(
            t("sees.which"), range(1, len(found.samples) + 1), default=1, key=f"{SHOWN}.{place}",
            label_visibility="collapsed", required=True,
        )
        talk = st.toggle(t("sees.as_talk"), key=f"{AS}.{place}")
    sample = found.samples[min(int(number or 1), len(found.samples)) - 1]
    with st.empty().container():  # a dialog's fragment keeps what the other form had more of
        if talk:
            draw_talk(sample, redact)
        else:
            draw_tokens(sample)


def draw_left(found: Seen) -> None:
    """The rows that are left out, and those that are not shown."""
    words = [t(f"sees.left_{why}", row=row + 1, cutoff=found.cutoff) for row, why in found.left_out]
    for said in words[:MOST_LEFT]:
        st.warning(said, icon=":material/warning:")
    if len(words) > MOST_LEFT:
        st.caption(t("sees.left_more", count=len(words) - MOST_LEFT))
    for row, length in found.large[:MOST_LEFT]:
        st.warning(t("sees.large", row=row + 1, count=f"{length:,}"), icon=":material/warning:")
    if len(found.large) > MOST_LEFT:
        st.caption(t("sees.large_more", count=len(found.large) - MOST_LEFT))
    if found.few:
        st.info(t("sees.few", rows=found.looked, count=f"{found.few:,}"), icon=":material/info:")
    if found.tail:
        st.warning(t("sees.tail", count=found.tail), icon=":material/warning:")


def draw_talk(sample: Sample, redact: Callable[[str], str]) -> None:
    """The rows as people read them."""
    if not sample.conversations:
        st.caption(t("sees.no_rows"))
    for row, said in zip(sample.rows, sample.conversations, strict=False):
        st.caption(t("sees.row", row=row + 1))
        st.html(sees_html.conversation([(who, redact(text)) for who, text in said]))


def draw_tokens(sample: Sample) -> None:
    """The sequences of a sample, with what is to be said of each."""
    facts = [t("sees.rows", rows=", ".join(str(row + 1) for row in sample.rows))] if sample.rows else []
    facts += [t(f"sees.{kind}", count=count) for kind, count in sample.media.items()]
    if sample.desired is not None:
        facts.append(t("sees.desired" if sample.desired else "sees.undesired"))
    if facts:
        st.caption(" · ".join(facts))
    st.html(sees_html.legend())
    for side in sample.sides:
        draw_side(side)


def media_words(side: Side) -> list[str]:
    """How many tokens the images, videos and sounds of a sequence take."""
    return [
        t(f"sees.{kind}_unknown") if count is None else t(f"sees.{kind}_tokens", count=count)
        for kind, count in side.media.items()
    ]


def draw_side(side: Side) -> None:
    """One sequence."""
    counts = {state: side.count(state) for state in ("trained", "masked", "cut")}
    words = " · ".join([t("sees.counts", total=len(side.ids), **counts), *media_words(side)])
    st.markdown(f"**{t(f'sees.side_{side.name}')}** · {words}" if side.name else words)
    for code, numbers in side.findings:
        st.warning(t(f"sees.{code}", **numbers), icon=":material/warning:")
    st.html(sees_html.tokens(side))
