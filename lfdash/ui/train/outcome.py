"""What a run that is over, or that stops, has to say."""

from __future__ import annotations

from functools import partial

import streamlit as st

from lfdash.engine.more import past_end_in
from lfdash.engine.resume import why_not_resumed
from lfdash.engine.resuming import goes_on, look_standing, resumed_in
from lfdash.engine.scheduler_words import not_ours_in, used_in, uses_in
from lfdash.engine.services import Services
from lfdash.engine.words import no_checkpoint_in, span_in
from lfdash.jobs.kinds import JobKind, named
from lfdash.jobs.secret_arguments import hide
from lfdash.locales import pair_in
from lfdash.runs.diagnose import Diagnosis
from lfdash.runs.record import NO_HEART, STOPPABLE, TERMINAL, RunState
from lfdash.runs.report import bundle, explain
from lfdash.runs.view import RunView, Stall
from lfdash.ui.form.problems import fix_words
from lfdash.ui.form.state import Form
from lfdash.ui.launch import actions, next_steps
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.scheduled_words import (
    ended_words,
    handed_words,
    is_silent,
    pending_words,
    place_words,
    scheduler_name,
    state_help,
    was_words,
)
from lfdash.ui.shared.text import language, markdown_safe, t
from lfdash.ui.train import memory


def draw_outcome(form: Form, view: RunView) -> None:
    """What a run that is over (or stopping) has to say, in one box."""
    if view.unseen:
        where = {"target": markdown_safe(view.target)} if view.target else {}
        key = "scheduled.unseen" if view.target else "ui.unseen"
        st.warning(t(key, reason=markdown_safe(view.unseen), **where), icon=":material/visibility_off:")
    elif view.spoiled and view.error:
        key = "record_spoiled" if view.state in STOPPABLE else "record_spoiled_over"
        st.warning(t(f"ui.{key}", reason=markdown_safe(view.error)), icon=":material/help:")
    if view.state is RunState.FAILED:
        draw_failure(form, view)
    elif view.state is RunState.STOPPED:
        if form.kind.ended:
            st.info(t(form.kind.ended), icon=":material/stop_circle:")
        else:
            by = ended_words(view)
            words = t("scheduled.stopped" if by else "ui.stopped", saved=stopped_words(view))
            st.warning(" ".join(filter(None, (by, unbegun_words(view) or words))), icon=":material/stop_circle:")
    elif view.state is RunState.SUCCEEDED:
        draw_success(form, view)
    elif view.state is RunState.LOST:
        st.error(lost_words(view), icon=":material/help:")
    elif not form.kind.serves or view.state is RunState.STOPPING:
        draw_going(view)
        draw_place(form.services, view)
        strange = not_ours_in(form.services, language(), view)
        if strange:
            st.warning(markdown_safe(strange), icon=":material/front_hand:")
        lacking = no_checkpoint_in(language(), view, form.services.registry.summaries.get(view).details)
        if lacking and not (view.target and view.state is RunState.STARTING):
            st.caption(f":material/info: {lacking}")
    draw_scheduler(form.services, view)
    over = view.state in (RunState.SUCCEEDED, RunState.STOPPED) and not view.never_began
    if view.record and view.exit_code is None and over:
        st.caption(f":material/help: {t('ui.code_unknown')}")


def draw_scheduler(services: Services, view: RunView) -> None:
    """Whether a run that its scheduler has ended goes on by itself; where it was, and what it took there."""
    if not view.target:
        return
    why = look_standing(services, view)
    again = resumed_in(language(), view, why)
    if again:
        st.info(markdown_safe(again), icon=":material/autorenew:")
        if goes_on(why):
            st.button(
                t("scheduler.stay"), key="stay", icon=":material/stop:", on_click=actions.stop,
                args=(services, view.run_id, "graceful"),
            )
    over = [was_words(view), used_in(services, language(), view)] if view.state in TERMINAL else []
    told = " · ".join(filter(None, over))
    if told:
        st.caption(f":material/dns: {markdown_safe(told)}")


def draw_success(form: Form, view: RunView) -> None:
    """That it has finished, and where that was not at its planned end."""
    saved = t(form.kind.done) if form.kind.done else saved_words(view)
    st.success(t("ui.succeeded", saved=saved), icon=":material/check_circle:")
    if view.ended_early:
        step, total = view.progress.step, view.progress.total
        st.warning(f"{t('ui.ended_early', step=step, total=total)}.", icon=":material/last_page:")
    if view.past_end:
        st.warning(past_end_words(view), icon=":material/last_page:")


def draw_place(services: Services, view: RunView) -> None:
    """Where a run on a cluster goes on, what it uses there, and that its scheduler says nothing of it."""
    if is_silent(view):
        st.caption(f":material/visibility_off: {t('scheduled.silent_words', target=markdown_safe(view.target))}")
    elif view.scheduled is not None and view.scheduled.reason == NO_HEART:
        words = t("scheduled.no_heart", by=scheduler_name(view.scheduled.by), word=view.scheduled.word)
        st.warning(markdown_safe(words), icon=":material/visibility_off:")
    elif view.target and not view.pending:
        words = " · ".join(filter(None, (place_words(view), uses_in(services, language(), view))))
        st.caption(f":material/dns: {markdown_safe(words)}", help=markdown_safe(state_help(view)) or None)


def draw_going(view: RunView) -> None:
    """What a run that goes on waits for."""
    if view.pending:
        st.info(pending_words(view), icon=":material/hourglass_top:")
    elif view.target and view.state is RunState.STARTING:
        if not view.unseen:
            st.info(handed_words(view), icon=":material/hourglass_top:")
    elif view.state is RunState.STOPPING and view.stalled:
        st.warning(t("ui.awaiting_stuck"), icon=":material/hourglass_disabled:")
    elif view.state is RunState.STOPPING:
        st.info(t(f"ui.awaiting_{view.awaiting or 'exit'}"), icon=":material/hourglass_top:")
    elif view.state is RunState.RUNNING and view.stall is not None:
        st.warning(stall_words(view.stall, view.progress.step), icon=":material/hourglass_disabled:")
    elif view.progress.step is None and view.state is not RunState.UNKNOWN:
        st.info(preparing_words(named(view.kind)), icon=":material/hourglass_top:")


def preparing_words(kind: JobKind) -> str:
    """What a run does before its first step, and what begins after that."""
    return t("ui.preparing" if kind.trains or kind.serves else f"ui.preparing_{kind.name}")


def stall_words(stall: Stall, step: int | None) -> str:
    """That a run does not step any more, since when, and what to do."""
    quiet, usual = (span_in(language(), seconds) for seconds in (stall.quiet_s, stall.usual_s))
    said = t("alerts.stall_what", step="–" if step is None else step, quiet=quiet, usual=usual)
    return pair_in(language(), f"**{t('alerts.stall')}**", f"{said} {t('alerts.stall_do')}")


def past_end_words(view: RunView) -> str:
    """That the checkpoint of a resumed run stood at its end already."""
    return past_end_in(language(), view)


def lost_words(view: RunView) -> str:
    """Why a run is lost, and what lies in its folder."""
    host = markdown_safe(view.record.host) if view.record else ""
    texts = {"boot": t("ui.lost_boot", saved=saved_words(view)), "pointer": t("ui.lost_pointer")}
    texts["unlogged"] = t("ui.lost_unlogged", saved=saved_words(view))
    if view.record:
        name = markdown_safe(view.record.launcher)
        texts["launcher"] = t("ui.lost_launcher", launcher=name, saved=saved_words(view))
    if host:
        texts["host"] = t("ui.lost_host", host=host, saved=saved_words(view))
    return texts.get(view.lost or "") or t("ui.lost", saved=saved_words(view))


def draw_failure(form: Form, view: RunView) -> None:
    """What went wrong in one sentence, the line of the log that proves it, the cure, and files to ask others with."""
    services = form.services
    found = explained(view)
    redact = services.registry.redactor()
    proof = redact(found.line if found else view.error or "")
    advice = (
        t(f"diagnosis.{found.id}", **{k: markdown_safe(redact(v)) for k, v in found.params.items()})
        if found
        else ""
    )
    code = "?" if view.exit_code is None else view.exit_code
    cause = markdown_safe(proof) if proof else t("ui.failed_unknown")
    text = t("ui.failed", code=code, cause=cause)
    if view.never_began:
        text = t("ui.failed_unbegun", target=markdown_safe(view.target), cause=cause)
    elif view.exit_code is None and not proof:
        text = t("ui.never_started")
    full = found is not None and found.id in memory.CAUSES and form.kind.trains
    more = " ".join(markdown_safe(words) for words in memory.failure_words(services, view)) if full else ""
    st.error("\n\n".join(filter(None, (text, advice, more))), icon=":material/error:")
    with st.container(horizontal=True, key="failure", gap="small"):
        if full:
            memory.draw_offer(form, view)
        if found and found.fix:
            words = fix_words(found.fix)
            st.button(
                t("ui.fix_open"),
                key="fix_open",
                icon=":material/build:",
                help=t("ui.fix_open_help", fix=words),
                on_click=next_steps.take_settings,
                args=(form, view.run_id, dict(found.fix)),
            )
        st.download_button(
            t("ui.bundle"),
            partial(bundle, view, services.upstream.packages, lambda text: hide(redact(text))),
            file_name=f"{view.name}-report.zip",
            mime="application/zip",
            key="bundle",
            icon=":material/folder_zip:",
            on_click="ignore",
            help=t("ui.bundle_help"),
        )


def explained(view: RunView) -> Diagnosis | None:
    """The cause of a failure, looked for once an attempt: a log that ended does not change."""
    key = (view.run_id, view.attempt)
    held = st.session_state.get("monitor.explained")
    if held is None or held[0] != key:
        held = (key, explain(view))
        st.session_state["monitor.explained"] = held
    cause: Diagnosis | None = held[1]
    return cause


def unbegun_words(view: RunView) -> str:
    """That a run was stopped before it began elsewhere, with what earlier attempts have saved; "" where it began."""
    if not view.never_began:
        return ""
    some = view.saved.model is not None or view.saved.checkpoints
    saved = saved_words(view) if some else t("outcomes.resume_never_began")
    return t("ui.stopped_unbegun", target=markdown_safe(view.target), saved=saved)


def stopped_words(view: RunView) -> str:
    """What a stopped run has saved, and that it cannot be resumed where it has no checkpoint."""
    found = why_not_resumed(view)
    lacking = refusal(found) if found is not None and found.code == "resume_no_checkpoint" else ""
    return f"{saved_words(view)} {lacking}".strip()


def saved_words(view: RunView) -> str:
    """What lies in the run's folder, in words."""
    saved = view.saved
    parts = []
    if saved.model is not None:
        parts.append(t(f"ui.saved_{saved.model}", step=saved.step if saved.step is not None else "?"))
    if saved.checkpoints:
        parts.append(t("ui.saved_checkpoints", count=len(saved.checkpoints), last=saved.checkpoints[-1]))
    return " ".join(parts) or t("ui.saved_nothing")
