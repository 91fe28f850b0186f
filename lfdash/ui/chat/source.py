"""The first field of a chat's form: the run, adapter or model that it shall load."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.chat_jobs import job_for_folder, job_for_run, why_not_tried
from lfdash.jobs.job import JobConfig
from lfdash.outcomes import Refused
from lfdash.ui.form.state import Form
from lfdash.ui.launch.try_it import WANTED
from lfdash.ui.shared import keyed
from lfdash.ui.shared.answers import FORM_MESSAGE, refusal
from lfdash.ui.shared.text import t

SOURCE = "chat.source"  # a run's id, or what was typed
MOST = 200  # runs in the list


def take(form: Form) -> None:
    """Loads the run that somebody wants to try, once."""
    wanted = st.session_state.pop(WANTED, None)
    if wanted:
        st.session_state[SOURCE] = wanted
        choose(form)


def draw(form: Form) -> None:
    """The field. A folder or Hub id may be typed."""
    services = form.services
    views = [view for view in services.registry.snapshot() if why_not_tried(view) is None][:MOST]
    names = {view.run_id: view.name for view in views}
    keyed.select(
        t("ui.chat_source"), list(names), key=SOURCE, page=form.page, open_=True, nothing=t("ui.chat_source_none"),
        word=lambda run_id: names.get(run_id) or str(run_id), on_change=choose, args=(form,),
        help=t("ui.chat_source_help"), placeholder=t("ui.chat_source_none"),
    )


def choose(form: Form) -> None:
    """Fills the form with what was chosen; nothing chosen is the model of now, without adapters."""
    services, chosen = form.services, st.session_state.get(SOURCE)
    if not chosen:
        job = form.read().job
        values = {name: value for name, value in job.values.items() if name != "top.checkpoint_path"}
        form.load_job(JobConfig(job.kind, {**values, form.output: None}, job.extra), [])  # type: ignore[dict-item]
        return
    view = services.registry.get(chosen)
    found = job_for_run(services, view) if view is not None else job_for_folder(services, chosen)
    if isinstance(found, Refused):
        st.session_state[FORM_MESSAGE] = refusal(found)
        return
    st.session_state[FORM_MESSAGE] = None
    form.load_job(found, [("ui.chat_from", {"name": view.name if view else chosen})])
