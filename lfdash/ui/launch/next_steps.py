"""What can be done with a run that is over: resume it, start anew from its weights, take its settings, replace it."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from lfdash.errors import ConfigError
from lfdash.jobs import yaml_format
from lfdash.jobs.args import job_from_args
from lfdash.jobs.converters import model_name, saved_name
from lfdash.jobs.field import Value
from lfdash.jobs.job import JobConfig
from lfdash.jobs.secret_arguments import clean, without
from lfdash.queue.placement import Ask, ask_of
from lfdash.runs.log_reader import read_plain
from lfdash.runs.plan import LaunchPlan, make_plan
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.scan import RunView
from lfdash.ui.form import state as form
from lfdash.ui.form.widgets import markdown_safe
from lfdash.ui.launch import actions
from lfdash.ui.shared import keyed
from lfdash.ui.shared.kind import kind
from lfdash.ui.shared.session import Services
from lfdash.ui.shared.text import t


def stored(view: RunView) -> yaml_format.Document | None:
    """The configuration that a run was started with; None when it cannot be read."""
    try:
        return yaml_format.load(read_plain(view.paths.training_args))
    except (OSError, UnicodeDecodeError, ConfigError):
        return None


def why_not_resumed(view: RunView) -> str:
    """Why a run cannot be resumed; "" when it can."""
    if view.record is None:
        return t("ui.resume_plain")
    if view.state not in TERMINAL:
        return t("ui.resume_alive")
    if not view.saved.checkpoints:
        return t("ui.resume_no_checkpoint")
    return "" if stored(view) else t("ui.no_configuration")


def resume_plan(services: Services, view: RunView, step: int) -> LaunchPlan | None:
    """The next attempt of a run: its own arguments, from one of its checkpoints, in the folder where it lies now
    (it may have been renamed since they were written).

    `overwrite_output_dir` is left out: LLaMA-Factory would delete the run's log
    (train/callbacks.py, LogCallback).
    """
    document = stored(view)
    if document is None or view.record is None:
        return None
    args, secrets = without(document.args)
    args.pop("overwrite_output_dir", None)
    for name, value in secrets.items():
        services.registry.set_secret(name, value)
    args["output_dir"] = view.output_dir
    args["resume_from_checkpoint"] = f"{view.output_dir}/checkpoint-{step}"
    return make_plan(
        run_id=view.run_id,
        attempt=view.paths.next_attempt(),
        args=args,
        env=document.env,
        secrets=tuple(dict.fromkeys([*view.record.secrets, *secrets])),
        files={view.paths.training_args.name: yaml_format.dump(args, [t("ui.yaml_header")], document.env)},
        cli=services.cli_path,
        cwd=str(services.workspace.root),
        output_dir=view.output_dir,
    )


def resume(services: Services, run_id: str, step: int, how: actions.How = "start") -> None:
    """Starts the next attempt of a run from a checkpoint, or lets it wait."""
    actions.forget_answers()
    view = services.registry.get(run_id)
    plan = resume_plan(services, view, step) if view else None
    if view is None or view.record is None or plan is None:
        st.session_state[actions.MESSAGE] = t("outcomes.unknown")
    else:
        document = stored(view)
        ask = ask_of(document.args, document.env) if document else Ask()
        if actions.submit(services, plan, view.record.resumed(plan), ask, how, (run_id, step)):
            form.propose_name(services)
    st.rerun()


def take_settings(
    services: Services, run_id: str, from_weights: bool, fix: Mapping[str, Value | None] | None = None
) -> None:
    """Fills the form with a run's settings under a fresh name; with its weights, or with a cure, where wanted."""
    if fill(services, run_id, from_weights):
        form.apply_fix(services, fix or {})
    st.rerun()


def fill(services: Services, run_id: str, from_weights: bool) -> bool:
    """Fills the form of the page's kind with a run's settings; False, with the reason for the page, without any."""
    view = services.registry.get(run_id)
    document = stored(view) if view else None
    if view is None or document is None:
        st.session_state[actions.MESSAGE] = t("ui.no_configuration")
        return False
    left_out = ("output_dir", "resume_from_checkpoint", "overwrite_output_dir")
    args = {key: value for key, value in document.args.items() if key not in left_out}
    job = clean(job_from_args(args, document.env, kind())).job
    if from_weights:
        job = JobConfig(job.kind, {**job.values, **weights_of(view, job)}, job.extra)
    form.load_job(services, job, [("ui.taken_from", {"name": view.name})])
    return True


def weights_of(view: RunView, job: JobConfig) -> dict[str, Value]:
    """What a job gives to start from a run's weights.

    An OFT adapter is loaded while the method is called LoRA: LLaMA-Factory takes adapters there only, and the
    adapter says itself what it is.
    """
    method = view.record.method if view.record else str(job.get("top.finetuning_type"))
    if method == "oft":
        return {"top.finetuning_type": "lora", "top.checkpoint_path": [view.output_dir]}
    return {"top.checkpoint_path": [saved_name(view.output_dir, method, model_name(job.get).replace(" ", ""))]}


def from_weights(services: Services, run_id: str) -> None:
    """Keeps the form, starts from the weights of the run that has its name, and proposes a fresh name."""
    view = services.registry.get(run_id)
    if view is not None:
        form.apply_fix(services, weights_of(view, form.read().job))
    form.propose_name(services)
    st.rerun()


def replace(services: Services, run_id: str) -> None:
    """Moves a run to the trash, so that its name is free."""
    actions.tell(services.registry.archive.discard(run_id))
    st.rerun()


def draw_resume(services: Services, view: RunView, place: str) -> None:
    """The menu that resumes: from which checkpoint, and what that repeats. Disabled with the reason."""
    reason = why_not_resumed(view)
    with st.popover(
        t("ui.resume"), icon=":material/resume:", disabled=bool(reason), help=reason or None, key=f"resume_menu_{place}"
    ):
        if reason:
            return
        steps = sorted(view.saved.checkpoints, reverse=True)
        step = keyed.select(
            t("ui.resume_from"), steps, key=f"resume.step.{place}", empty=False, word=lambda n: t("ui.step_n", step=n)
        )
        reached = view.progress.step or step
        st.caption(t("ui.resume_repeats", count=max(0, reached - step)))
        st.button(
            t("ui.resume_yes"), key=f"resume_{place}", type="primary", on_click=resume,
            args=(services, view.run_id, step),
        )  # fmt: skip


def draw_after(services: Services, view: RunView) -> None:
    """What comes next for a run that is over."""
    if view.state not in TERMINAL or kind() != "train":
        return
    with st.container(horizontal=True, key="after", gap="small"):
        if view.state is not RunState.SUCCEEDED:
            draw_resume(services, view, "after")
        if view.saved.model:
            st.button(
                t("ui.from_weights"), key="from_weights", icon=":material/fork_right:", on_click=take_settings,
                args=(services, view.run_id, True), help=t("ui.from_weights_help"),
            )  # fmt: skip
        if view.paths.training_args.exists():
            st.button(
                t("ui.take_settings"), key="take_settings", icon=":material/content_copy:", on_click=take_settings,
                args=(services, view.run_id, False), help=t("ui.take_settings_help"),
            )  # fmt: skip


def draw_taken(services: Services) -> None:
    """The form's name is taken by a run: ask which of three is meant."""
    job = form.read().job
    view = next((v for v in services.registry.snapshot() if v.output_dir == job.folder), None)
    if view is None:
        return
    st.markdown(t("ui.taken_ask"))
    with st.container(horizontal=True, key="taken", gap="small"):
        if kind() == "train":
            draw_resume(services, view, "taken")
            st.button(
                t("ui.from_weights"), key="taken_weights", icon=":material/fork_right:", disabled=not view.saved.model,
                on_click=from_weights, args=(services, view.run_id),
                help=t("ui.from_weights_keep") if view.saved.model else t("ui.saved_nothing"),
            )  # fmt: skip
        with st.popover(
            t("ui.replace"), icon=":material/delete:", disabled=view.state not in TERMINAL, key="replace_menu"
        ):
            st.write(t("ui.replace_confirm", name=markdown_safe(view.name)))
            st.button(
                t("ui.replace_yes"), key="replace", type="primary", on_click=replace, args=(services, view.run_id)
            )
        st.button(
            t("ui.take_settings"), key="taken_settings", icon=":material/content_copy:", on_click=take_settings,
            args=(services, view.run_id, False), help=t("ui.take_settings_help"),
        )  # fmt: skip
