"""The preview of a job: the shell command, the YAML, and both downloads."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import streamlit as st

from lfdash.engine import plans
from lfdash.engine.on_target import target_of
from lfdash.engine.services import Services
from lfdash.jobs.args import build_args, build_env
from lfdash.jobs.job import JobConfig
from lfdash.llamafactory.deep_check import deep_check
from lfdash.llamafactory.locate import Cli
from lfdash.outcomes import Refused
from lfdash.runs.plan import ARGS_FILE
from lfdash.targets.target import Target
from lfdash.ui.form.state import Form
from lfdash.ui.shared import dialogs
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import label, markdown_safe, problem_markdown, t

NEXT = "next_id"  # session key that each form has for itself: the id that its next run gets


def next_id(form: Form) -> str:
    """The id that the form's next run will have: the name of a cluster's job has it, so it stands in the preview."""
    found: str = st.session_state.setdefault(form.key(NEXT), uuid.uuid4().hex[:12])
    return found


def take_id(form: Form) -> str:
    """The same for Start: nothing else gets it any more."""
    found = next_id(form)
    st.session_state.pop(form.key(NEXT))
    return found


def show(form: Form, on_close: Callable[[], None]) -> None:
    """Opens the preview of the form as it is. on_close: called when somebody closes it."""
    dialogs.show(t("ui.preview_title"), on_close, draw, form)


def draw(form: Form) -> None:
    """Command, YAML, downloads; what is still wrong comes first."""
    services = form.services
    reading = form.read()
    errors = [p for p in form.problems(reading) if p.level == "error"]
    if errors:
        lines = [f"- {problem_markdown(p)}" for p in errors]
        st.warning("\n".join([t("ui.preview_problems", count=len(errors)), *lines]))
    draw_deep_check(services, reading.job)
    target = target_of(services, reading.job)
    st.markdown(f"**{markdown_safe(title_of(target))}**")
    redact = services.registry.redactor()
    prepared = plans.prepare(services, reading.job, t("ui.yaml_header"), next_id(form))
    language = "yaml" if target is not None and target.kind == "ray" else "bash"
    st.code(redact(str(prepared.plan)), language=language, wrap_lines=True)
    st.markdown(f"**{t('ui.preview_yaml')}**")
    st.code(redact(prepared.plan.files[ARGS_FILE]), language="yaml", height=330)
    draw_downloads(form, "dialog")


def title_of(target: Target | None) -> str:
    """What is previewed: the command here, or what a cluster gets."""
    if target is None:
        return t("ui.preview_command")
    return t("target.preview_ray" if target.kind == "ray" else "target.preview", target=target.name)


def draw_deep_check(services: Services, job: JobConfig) -> None:
    """A button that asks LLaMA-Factory's own parser, and what it said."""
    if not isinstance(services.cli, Cli):
        return
    outside = next(services.roots.outside(build_args(job)), None)
    if outside:  # its parser looks into these folders
        st.warning(markdown_safe(t("problems.path_outside", name=outside[0], value=outside[1])))
        return
    if not st.button(t("ui.deep_check"), key="deep_check", icon=":material/fact_check:", help=t("ui.deep_check_help")):
        return
    with st.spinner(t("ui.deep_checking")):
        found = deep_check(services.cli, services.workspace.root, [build_args(job)], build_env(job), services.warm)
    redact = services.registry.redactor()
    if isinstance(found, Refused):
        st.warning(t("ui.deep_failed", reason=markdown_safe(redact(refusal(found)))))
    elif found[0].text:
        where = f" {t('ui.deep_field', label=label(found[0].field))}" if found[0].field else ""
        st.error(t("ui.deep_bad", text=markdown_safe(redact(found[0].text))) + where)
    else:
        st.success(t("ui.deep_good"))


def draw_downloads(form: Form, place: str) -> None:
    """The job, and the job with its output folder, as files."""
    job = form.read().job
    name = job.run_name.rsplit("/", 1)[-1] or "job"
    with st.container(horizontal=place == "dialog"):
        for what, with_output, file in (("job", False, f"{name}.yaml"), ("run", True, f"{name}-run.yaml")):
            st.download_button(
                t(f"ui.download_{what}"),
                form.services.registry.redact(plans.document(job, t("ui.yaml_header"), with_output=with_output)),
                file_name=file,
                mime="text/yaml",
                key=f"download_{what}_{place}",
                on_click="ignore",
                help=t(f"ui.download_{what}_help"),
            )
