"""How a run that is over goes on: resumed, trained for longer, its settings or weights taken; its name for another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from lfdash.engine.defaults import Note
from lfdash.engine.loading import job_for_run, weights_in
from lfdash.engine.more import MOST_EPOCHS, MoreEpochs, more_epochs, prepare_more
from lfdash.engine.resume import prepare_resume, stored, weights_of, why_not_resumed
from lfdash.engine.services import Services
from lfdash.engine.submit import How
from lfdash.errors import ConfigError
from lfdash.jobs.args import job_from_args
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import DEFAULT, named
from lfdash.jobs.secret_arguments import clean
from lfdash.jobs.yaml_format import Document, load
from lfdash.outcomes import Refused, Value
from lfdash.runs.plan import ARGS_FILE
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView
from lfdash.ui.form import run_name
from lfdash.ui.form.state import Form
from lfdash.ui.launch import actions
from lfdash.ui.shared import keyed
from lfdash.ui.shared.answers import MESSAGE, forget_answers, refusal, tell
from lfdash.ui.shared.text import markdown_safe, t

TURN = "next.turn"  # counts what was started: the menus of the turn before are closed


@dataclass(frozen=True)
class Longer:
    """More epochs for a run: what a busy machine asks about again. total: epochs in all."""

    run_id: str
    total: float


def why_not(view: RunView) -> str:
    """Why a run cannot be resumed, in words; "" when it can."""
    refused = why_not_resumed(view)
    return refusal(refused) if refused else ""


def resume(form: Form, run_id: str, step: int, how: How = "start") -> None:
    """Starts the next attempt of a run from a checkpoint, or lets it wait."""
    forget_answers()
    view = form.services.registry.get(run_id)
    prepared = prepare_resume(form.services, view, step, t("ui.yaml_header")) if view else None
    if prepared is None:
        st.session_state[MESSAGE] = t("outcomes.unknown")
    elif actions.submit(form.services, prepared, how, (run_id, step)):
        run_name.propose(form)
    close_menus()
    st.rerun()


def close_menus() -> None:
    """An action of a menu is done."""
    st.session_state[TURN] = st.session_state.get(TURN, 0) + 1


def train_longer(form: Form, longer: Longer, how: How = "start") -> None:
    """Starts a new run that trains a run for more epochs, or lets it wait."""
    forget_answers()
    view = form.services.registry.get(longer.run_id)
    prepared = prepare_more(form.services, view, longer.total, t("ui.yaml_header")) if view else Refused("unknown")
    if isinstance(prepared, Refused):
        st.session_state[MESSAGE] = refusal(prepared)
    else:
        actions.submit(form.services, prepared, how, longer)
    close_menus()
    st.rerun()


def take_settings(form: Form, run_id: str, fix: Mapping[str, Value | None] | None = None) -> None:
    """Fills the form with a run's settings under a fresh name; with a cure, where wanted."""
    if fill(form, run_id):
        form.apply_fix(fix or {})
    close_menus()
    st.rerun()


def fill(form: Form, run_id: str) -> bool:
    """Fills the form with a run's settings under a fresh name; False, with the reason for the page, without any."""
    view = form.services.registry.get(run_id)
    job = same_job(form.services, view) if view is not None else Refused("no_configuration")
    if isinstance(job, Refused):
        st.session_state[MESSAGE] = refusal(job)
        return False
    form.load_job(job, [("ui.taken_from", {"name": view.name if view else run_id})])
    return True


def settings_of(services: Services, view: RunView) -> Document | None:
    """The configuration of a run, or of a job that waits, whose folder is not there yet; None when it cannot be
    read."""
    if view.waiting is None:
        return stored(view)
    entry = services.registry.queue.jobs.get(view.run_id)
    try:
        return load(entry.plan.files[ARGS_FILE]) if entry else None
    except (KeyError, ConfigError):
        return None


def same_job(services: Services, view: RunView) -> JobConfig | Refused:
    """A job with a run's settings, under no name yet. Refused: no_configuration."""
    document = settings_of(services, view)
    if document is None:
        return Refused("no_configuration")
    left_out = ("output_dir", "resume_from_checkpoint", "overwrite_output_dir")
    args = {key: value for key, value in document.args.items() if key not in left_out}
    return clean(job_from_args(args, document.env, named(view.kind).name)).job


def further_job(services: Services, view: RunView) -> JobConfig | Refused:
    """A training with a run's settings that starts from its weights: its own, else those of its last checkpoint; of an
    export from the model that it wrote. Refused: no_configuration, and as `weights_in`."""
    folder = weights_in(view)
    if isinstance(folder, Refused):
        return folder
    if not named(view.kind).trains:
        return job_for_run(services, DEFAULT, view)
    job = same_job(services, view)
    if isinstance(job, Refused):
        return job
    return JobConfig(job.kind, {**job.values, **weights_of(view, job, folder)}, job.extra)


def dead_since(services: Services, view: RunView) -> int | None:
    """The step since which the loss of a run has been no number: the weights that it saved after it are useless."""
    if view.waiting is not None:
        return None
    since = services.feeds.of(view.paths).dead_since  # of a run that is shown; the table knows of all others
    return services.registry.summaries.get(view).summary.dead_step if since is None else int(since)


def dead_told(services: Services, view: RunView) -> list[Note]:
    """What is to be told of the weights of a run whose loss was no number in the end, and which of its checkpoints is
    from before; nothing of any other run."""
    dead = dead_since(services, view)
    if dead is None:
        return []
    before = max((step for step in view.saved.checkpoints if step < dead), default=None)
    return [("ui.weights_dead", {"step": dead}), *([("ui.weights_before", {"step": before})] if before else [])]


def weights_help(services: Services, view: RunView, usual: str) -> str:
    """What is said of a start from a run's weights. usual: where nothing is wrong with them."""
    return " ".join(t(key, **params) for key, params in dead_told(services, view)) or usual


def from_weights(form: Form, run_id: str) -> None:
    """Keeps the form, starts from the weights of the run that has its name, and proposes a fresh name."""
    view = form.services.registry.get(run_id)
    if view is not None:
        form.apply_fix(weights_of(view, form.read().job))
    run_name.propose(form)
    st.rerun()


def replace(services: Services, run_id: str) -> None:
    """Moves a run to the trash, so that its name is free."""
    tell(services.registry.archive.discard(run_id))
    st.rerun()


def draw_resume(form: Form, view: RunView, place: str) -> None:
    """The menu that resumes: from which checkpoint, and what that repeats. Disabled with the reason.

    place: tells the menu apart from others, of this page and of others.
    """
    reason = why_not(view)
    with st.popover(
        t("ui.resume"), icon=":material/resume:", disabled=bool(reason), help=reason or None,
        key=f"resume_menu_{place}_{st.session_state.get(TURN, 0)}",
    ):
        if reason:
            return
        steps = sorted(view.saved.checkpoints, reverse=True)
        key = preset_newest(view, steps, place)
        step = keyed.select(
            t("ui.resume_from"), steps, key=key, page=form.page, empty=False,
            word=lambda n: t("ui.step_n", step=n),
        )
        reached = view.progress.step or step
        st.caption(t("ui.resume_repeats", count=max(0, reached - step)))
        st.button(
            t("ui.resume_yes"), key=f"resume_{place}", type="primary", on_click=resume,
            args=(form, view.run_id, step),
        )


def preset_newest(view: RunView, steps: list[int], place: str) -> str:
    """The session key of the checkpoint that is resumed from; preset to the newest until another is chosen.

    A choice is one among the checkpoints of an attempt: kept for the next one, it would throw away what that trained.
    steps: those of the checkpoints, the newest first. place: as for `draw_resume`.
    """
    key, about = f"resume.step.{place}", f"resume.about.{place}"
    offered = (view.run_id, view.attempt, steps)
    if st.session_state.get(about) != offered:
        st.session_state.update({key: steps[0], about: offered})
    return key


def draw_more(form: Form, view: RunView, place: str) -> None:
    """The menu that trains a finished run for longer: how many epochs, and what LLaMA-Factory makes of that. Disabled
    with the reason. place: as for `draw_resume`."""
    found = more_epochs(view)
    reason = refusal(found) if isinstance(found, Refused) else ""
    with st.popover(
        t("ui.more_epochs"), icon=":material/more_time:", disabled=bool(reason),
        help=reason or t("ui.more_epochs_help"), key=f"more_menu_{place}_{st.session_state.get(TURN, 0)}",
    ):
        if isinstance(found, Refused):
            return
        total = st.number_input(
            t("ui.more_total"), min_value=0.0, max_value=MOST_EPOCHS, value=2 * found.done, step=1.0, format="%g",
            key=f"more.total.{place}.{view.run_id}",
        )
        good = found.done < total <= MOST_EPOCHS
        bad = t("ui.more_bad", done=f"{found.done:g}", most=f"{MOST_EPOCHS:g}")
        st.caption(more_words(found, total) if good else bad)
        st.button(
            t("ui.more_yes"), key=f"more_{place}", type="primary", disabled=not good, on_click=train_longer,
            args=(form, Longer(view.run_id, total)),
        )


def more_words(found: MoreEpochs, total: float) -> str:
    """What a longer training does."""
    if found.step is None:
        return t("ui.more_from_weights", count=f"{total - found.done:g}")
    return t("ui.more_from_checkpoint", step=found.step, total=f"{total:g}")


def draw_further(form: Form, view: RunView, place: str) -> None:
    """How a run goes on: to its end, or, where it has finished, beyond it as a new run. place: as for `draw_resume`."""
    (draw_more if view.state is RunState.SUCCEEDED else draw_resume)(form, view, place)


def draw_taken(form: Form) -> None:
    """The form's name is taken by a run: ask which of three is meant."""
    job = form.read().job
    view = next((v for v in form.services.registry.snapshot() if v.output_dir == job.folder), None)
    if view is None:
        return
    st.markdown(t("ui.taken_ask"))
    with st.container(horizontal=True, key="taken", gap="small"):
        if form.kind.trains:
            draw_further(form, view, "taken")
            st.button(
                t("ui.next_continue"), key="taken_weights", icon=":material/fork_right:", disabled=not view.saved.model,
                on_click=from_weights, args=(form, view.run_id),
                help=weights_help(form.services, view, t("ui.next_continue_keep")) if view.saved.model
                else t("ui.saved_nothing"),
            )
        with st.popover(
            t("ui.replace"), icon=":material/delete:", disabled=view.state not in TERMINAL, key="replace_menu"
        ):
            st.write(t("ui.replace_confirm", name=markdown_safe(view.name)))
            st.button(
                t("ui.replace_yes"), key="replace", type="primary", on_click=replace,
                args=(form.services, view.run_id),
            )
        st.button(
            t("ui.next_use_settings"), key="taken_settings", icon=":material/content_copy:", on_click=take_settings,
            args=(form, view.run_id), help=t("ui.next_use_settings_help"),
        )
