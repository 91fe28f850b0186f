"""The foot of the form, always in view: what the job is in one line, what is wrong with it, Start.

What is said here is about the form's job; the main column belongs to the run that is shown.
"""

from __future__ import annotations

from functools import partial

import streamlit as st

from lfdash.engine import context
from lfdash.jobs.args import build_args
from lfdash.jobs.model_words import short_name
from lfdash.jobs.summary import Summary, summary
from lfdash.outcomes import Problem
from lfdash.ui.form import preview, problems, sees, source
from lfdash.ui.form.state import Form
from lfdash.ui.launch import actions, memory, memory_dialog, next_steps, question, sweep
from lfdash.ui.shared import dialogs, keyed
from lfdash.ui.shared.answers import FORM_MESSAGE, refusal
from lfdash.ui.shared.page_script import read_aloud
from lfdash.ui.shared.text import choice, label, markdown_safe, pair, problem_words, t
from lfdash.ui.targets import dialog as targets
from lfdash.ui.targets import keys as target_keys

TOLD = "form.problems_told"  # (field, code) of the errors that were listed last
SAID = "form.problems_said"  # what was read aloud of them last: (voice, words, number of refused clicks on Start)
MOST_SAID = 3  # errors that are read aloud; all are counted


def draw(form: Form) -> None:
    """The whole foot. Its parts are fragments that follow each change of the form."""
    with st.container(key="foot", gap="xsmall"):
        draw_answers(form)
        st.fragment(partial(draw_problems, form), key="early")()
        st.fragment(partial(draw_bar, form), key="bar")()


def draw_answers(form: Form) -> None:
    """What the last click on Start was answered."""
    message = st.session_state.get(FORM_MESSAGE)
    if message:
        st.error(markdown_safe(message), icon=":material/block:")
    question.draw(form.services, "form")


def draw_problems(form: Form) -> None:
    """How many things are wrong, and which. A new error opens the list; closed, it stays so until another comes."""
    found = form.shown_problems(form.read())
    errors = [problem for problem in found if problem.level == "error"]
    speak(errors)
    if not found:
        st.session_state.pop(TOLD, None)
        if form.checked:
            st.success(t("ui.problems_gone"), icon=":material/check:")
        return
    codes = {(problem.field, problem.code) for problem in errors}
    if not codes <= st.session_state.get(TOLD, set()):
        st.session_state[actions.PROBLEMS] = True
    st.session_state[TOLD] = codes
    warnings = [problem for problem in found if problem.level != "error"]
    words = title(len(errors), len(warnings))
    with st.container(key="problems"), keyed.expander(words, key=actions.PROBLEMS, page=form.page) as box:
        if box.open:
            with st.container(key="problem_list", gap="xsmall"):
                draw_list(form, [*errors, *warnings])


def speak(errors: list[Problem]) -> None:
    """Reads aloud what errors are new, and all of them after a click on Start that they refused."""
    refused = st.session_state.get(actions.REFUSED, 0)
    voice, words, turn = st.session_state.get(SAID, ("form", "", refused))
    told = st.session_state.get(TOLD, set())
    new = [problem for problem in errors if (problem.field, problem.code) not in told]
    if turn != refused and errors:
        voice, words = "refused", t("ui.said_refused", what=aloud(errors, len(errors)))
    elif new:
        voice, words = "form", aloud(new, len(errors))
    elif not errors:
        words = ""
    st.session_state[SAID] = (voice, words, refused)
    st.html(read_aloud(voice, words, refused))


def aloud(errors: list[Problem], count: int) -> str:
    """How many errors there are, and some of them in words."""
    parts = [
        pair(label(problem.field), problem_words(problem)) if problem.field else problem_words(problem)
        for problem in errors[:MOST_SAID]
    ]
    return pair(t("ui.errors_count", count=count), " ".join(parts))


def title(errors: int, warnings: int) -> str:
    """How many errors and warnings there are."""
    parts = [f":red[:material/error: {t('ui.errors_count', count=errors)}]"] if errors else []
    if warnings:
        parts.append(f":orange[:material/warning: {t('ui.warnings_count', count=warnings)}]")
    return " ".join(parts)


def draw_list(form: Form, found: list[Problem]) -> None:
    """Each problem with its cure; a taken name with what can be done with the run that has it."""
    for place, problem in enumerate(found):
        problems.draw_problem(form, f"fix_{place}", problem)
    if any(problem.code == "name_taken" for problem in found):
        next_steps.draw_taken(form)


def summary_words(form: Form) -> str:
    """The form's job in one line: what is known of it, with a middle dot between."""
    job = form.read().job
    told = summary(form.kind, build_args(job), context.of(form.services, job))
    path = short_name(str(job.get("top.model_path") or ""))
    model = path if "/" in path else short_name(str(job.get("top.model_name") or path))
    method = choice("top.finetuning_type", told.method)
    where = t("target.foot", target=job.target) if job.target else ""
    parts = [where, model, t("ui.job_rank", method=method, rank=told.rank) if told.rank else method]
    if form.kind.trains:
        parts.append(rows_words(told))
        parts.append(t("ui.job_steps", count=told.steps) if told.steps else t("ui.job_steps_unknown"))
        parts.append(t("ui.job_batch", count=told.batch))
    return " · ".join(part for part in parts if part)


def wish_preview() -> None:
    """Preview was pressed."""
    st.session_state[dialogs.PREVIEW] = True


def wish_sees() -> None:
    """"What the model sees" was pressed."""
    st.session_state[dialogs.SEES] = True


def draw_dialogs(form: Form) -> None:
    """The dialog that is open, at each drawing until somebody closes it. Streamlit has one at a time: the first of
    those that are wished for, and the others are closed."""
    use = None if form.kind.serves else partial(use_target, form)
    shown = {
        dialogs.ALERTS: lambda: None,  # drawn with the head of the page
        dialogs.SWEEP: lambda: sweep.draw_dialog(form),
        dialogs.PREVIEW: lambda: preview.show(form, on_close=partial(close, dialogs.PREVIEW)),
        dialogs.SEES: lambda: sees.show(form, on_close=partial(close, dialogs.SEES)),
        dialogs.TARGETS: lambda: targets.draw_dialog(form.services, use),
        dialogs.MEMORY: lambda: memory_dialog.show(form, on_close=partial(close, dialogs.MEMORY)),
    }
    wished = [key for key in shown if key in st.session_state]
    for key in wished[1:]:
        close(key)
    if wished:
        shown[wished[0]]()


def use_target(form: Form, name: str) -> None:
    """The target that was just made is chosen for the form."""
    form.choose_target(name)
    target_keys.close()
    st.rerun()


def close(key: str) -> None:
    """Somebody has closed a dialog."""
    if key == dialogs.SWEEP:
        sweep.close()
    elif key == dialogs.TARGETS:
        target_keys.close()
    else:
        st.session_state.pop(key, None)


def draw_sees_button(form: Form) -> None:
    """The button that shows what the model sees; why it cannot, where it cannot."""
    reason = sees.why_not(form)
    words = t("ui.sees")
    st.button(
        words, key="sees_open", icon=":material/visibility:", on_click=wish_sees, disabled=bool(reason),
        help=f"{words}: {reason or t('ui.sees_help')}",
    )


def rows_words(told: Summary) -> str:
    """How many rows are trained on, beside those of the datasets where that is not the same; "" when not known."""
    if told.rows is None:
        return ""
    if told.all_rows is None or told.all_rows == told.rows:
        return t("ui.job_rows", count=told.rows)
    return t("ui.job_rows_of", count=told.all_rows, used=f"{told.rows:,}")


def draw_bar(form: Form) -> None:
    """The job in one line, and the buttons; disabled where nothing can be started at all, with the reason."""
    services = form.services
    why = services.blocked_on(form.read().job.target)
    place = markdown_safe(form.read().job.target)
    blocked = refusal(why) if why else ""
    reason = blocked or source.why_nothing_is_loaded(form)
    words = markdown_safe(" · ".join(filter(None, (summary_words(form), sweep.count_words(form)))))
    with st.container(horizontal=True, key="foot_job", vertical_alignment="center", gap="xsmall", wrap=False):
        st.caption(words, width="stretch")
        if form.kind.trains:
            st.button(
                t("sweep.button"), key="sweep", type="tertiary", on_click=sweep.wish, disabled=bool(reason),
                help=reason or t("sweep.about"),
            )
    if form.kind.trains:
        memory.draw_figure(form)
    with st.container(horizontal=True, key="bar", vertical_alignment="center", gap="xsmall"):
        st.button(
            t("ui.start"), key="start", type="primary", icon=":material/play_arrow:", shortcut="Ctrl+Enter",
            on_click=actions.start, args=(form,), disabled=bool(reason),
            help=reason or (t("target.start_help", target=place) if place else t("ui.start_help")),
        )
        if form.kind.queued:
            st.button(
                t("ui.queue"), key="enqueue", on_click=actions.start, args=(form, "queue"), disabled=bool(reason),
                help=reason or (t("target.queue_help", target=place) if place else t("ui.queue_help")),
            )
        # as a callback: a value that was typed and is confirmed by this very click draws the page anew
        st.button(t("ui.preview"), key="preview", help=t("ui.preview_help"), on_click=wish_preview)
        if form.kind.trains:
            draw_sees_button(form)
        draw_dialogs(form)
        words = t("ui.job_download_help")
        with st.popover(words, icon=":material/download:", key="job_menu", help=words):
            preview.draw_downloads(form, "bar")
    if blocked:
        st.warning(blocked, icon=":material/block:")
