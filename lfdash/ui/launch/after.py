"""What comes after a run that is over: one table of steps, as a line on its page and as buttons in Runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import streamlit as st

from lfdash.engine.chat_jobs import launch, why_mute
from lfdash.engine.defaults import Note
from lfdash.engine.loading import job_for_run, loads_run, makes_weights, weights_in, why_unsound
from lfdash.engine.services import Services
from lfdash.jobs.job import JobConfig
from lfdash.jobs.kinds import DEFAULT, EVALUATING, MERGING, SERVING, JobKind, named
from lfdash.outcomes import Refused
from lfdash.runs.record import TERMINAL
from lfdash.runs.view import RunView
from lfdash.ui.form.state import Form
from lfdash.ui.launch import next_steps
from lfdash.ui.shared.answers import MESSAGE, SHOWN, forget_answers, refusal
from lfdash.ui.shared.text import t

GO = "after.go"  # (page, run id or "") that a click leads to
COMPARED = "chat.compared"  # run ids of the chats that are asked beside the one that is shown
COMPARED_WITH = "chat.compared_with"  # run id of the chat that they were started with, until it is shown


class Subject:
    """A run that something may be done with, and what has to be known of it for that; each is looked at once."""

    def __init__(self, services: Services, view: RunView) -> None:
        self.services, self.view = services, view

    @cached_property
    def going(self) -> Refused | None:
        """That it goes on still."""
        return None if self.view.state in TERMINAL else Refused("next_running")

    @cached_property
    def unsound(self) -> Refused | None:
        """That it has made no weights, that something which they stand on is gone, or that they are a wreck."""
        args = loads_run(self.services, self.view)
        return args if isinstance(args, Refused) else why_unsound(self.services, args)

    @cached_property
    def mute(self) -> Refused | None:
        """That its model gives scores."""
        return why_mute(self.view)

    @cached_property
    def unsettled(self) -> Refused | None:
        """That its settings cannot be read."""
        found = next_steps.settings_of(self.services, self.view)
        return Refused("no_configuration") if found is None else None


def loaded(kind: JobKind) -> Callable[[Services, RunView], JobConfig | Refused]:
    """The job of a kind that loads what a run has made."""
    return lambda services, view: job_for_run(services, kind, view)


@dataclass(frozen=True)
class NextStep:
    """A step. name: of its text, `ui.next_<name>`, and its button. kind: of the job that it fills the form of; None:
    the run's own. against: what may speak against it, of a `Subject`: the first that
    does is the reason. job: what the
    form is filled with. weights: whether it starts from what the run has made. pair: it can be done with two runs side
    by side."""

    name: str
    icon: str
    kind: JobKind | None
    against: tuple[str, ...]
    job: Callable[[Services, RunView], JobConfig | Refused]
    weights: bool = True
    pair: bool = False

    def kind_for(self, view: RunView) -> JobKind:
        """The kind of job that it makes of a run."""
        return self.kind or named(view.kind)

    def why_not(self, subject: Subject) -> str:
        """Why it cannot be done with a run, in words; "" when it can."""
        reasons = (getattr(subject, name) for name in self.against)
        return next((refusal(refused) for refused in reasons if refused is not None), "")


NEXT_STEPS = (
    NextStep("try_it", ":material/forum:", SERVING, ("unsound", "mute"), loaded(SERVING), pair=True),
    NextStep("evaluate", ":material/quiz:", EVALUATING, ("unsound",), loaded(EVALUATING)),
    NextStep("export", ":material/package_2:", MERGING, ("going", "unsound"), loaded(MERGING)),
    NextStep("continue", ":material/fork_right:", DEFAULT, ("going", "unsettled", "unsound"), next_steps.further_job),
    NextStep("use_settings", ":material/content_copy:", None, ("unsettled",), next_steps.same_job, weights=False),
)


def offered(kind: JobKind) -> list[NextStep]:
    """The steps that runs of a kind may ever have."""
    return [] if kind.serves else [step for step in NEXT_STEPS if makes_weights(kind) or not step.weights]


def draw(services: Services, view: RunView) -> None:
    """The line on the page of a run that is over: where its weights are, and the steps."""
    kind = named(view.kind)
    go(kind.page)
    if view.state not in TERMINAL or not makes_weights(kind):
        return
    with st.container(horizontal=True, key="after", gap="small", vertical_alignment="center"):
        folder = weights_in(view)
        if not isinstance(folder, Refused):
            with st.container(horizontal=True, key="after_where", gap="small", vertical_alignment="center"):
                st.caption(t(f"ui.next_{view.saved.model or 'model'}"), width="content")
                st.code(folder, language=None)
        draw_steps(services, view)


def draw_bare(services: Services, view: RunView) -> None:
    """The steps of a run of a kind that leaves no weights, beside its other buttons."""
    if view.state in TERMINAL and not makes_weights(named(view.kind)):
        draw_steps(services, view)


def draw_steps(services: Services, view: RunView) -> None:
    """The buttons of one run."""
    subjects = [Subject(services, view)]
    for step in offered(named(view.kind)):
        draw_step(step, subjects, "after")


def draw_all(services: Services, found: Sequence[RunView], place: str) -> None:
    """The steps as buttons for the runs that are selected. place: tells them from others."""
    go()
    subjects = [Subject(services, view) for view in found]
    for step in NEXT_STEPS:
        draw_step(step, subjects, place)


def draw_step(step: NextStep, subjects: Sequence[Subject], place: str) -> None:
    """The button of a step; disabled with the reason."""
    reason = why_not(step, subjects)
    usual = t(f"ui.next_{step.name}_two" if step.pair and len(subjects) == 2 else f"ui.next_{step.name}_help")
    ids = tuple(subject.view.run_id for subject in subjects)
    st.button(
        t(f"ui.next_{step.name}"), key=f"next_{step.name}_{place}", icon=step.icon, disabled=bool(reason),
        help=reason or usual, on_click=take, args=(subjects[0].services, step, ids) if subjects else (),
    )


def why_not(step: NextStep, subjects: Sequence[Subject]) -> str:
    """Why a step cannot be done with these runs, in words; "" when it can."""
    if len(subjects) != 1 and not (step.pair and len(subjects) == 2):
        return t("ui.runs_choose_pair" if step.pair else "ui.runs_choose_one")
    return next((reason for subject in subjects if (reason := step.why_not(subject))), "")


def take(services: Services, step: NextStep, ids: Sequence[str]) -> None:
    """A step was clicked: fills the form that it means, and leads to its page."""
    forget_answers()
    found = [view for run_id in ids if (view := services.registry.get(run_id)) is not None]
    reason = t("outcomes.unknown")
    if len(found) == len(ids):
        reason = why_not(step, [Subject(services, view) for view in found])
    if reason:  # it has changed since it was drawn
        st.session_state[MESSAGE] = reason
        st.rerun()
    refused = fill(services, step, found[0]) if len(found) == 1 else beside(services, found)
    if refused is not None:
        st.session_state[MESSAGE] = refusal(refused)
        st.session_state.pop(GO, None)
    next_steps.close_menus()
    st.rerun()


def fill(services: Services, step: NextStep, view: RunView) -> Refused | None:
    """Fills the form of a step."""
    job = step.job(services, view)
    if isinstance(job, Refused):
        return job
    form = Form(services, step.kind_for(view))
    form.seed()  # so that what it held can be taken back
    told: list[Note] = [("ui.next_from" if step.weights else "ui.taken_from", {"name": view.name})]
    form.load_job(job, [] if form.kind.starts_from == "model" and step.weights else told, view.name)
    st.session_state[GO] = (form.kind.page, "")
    return None


def beside(services: Services, found: Sequence[RunView]) -> Refused | None:
    """Loads each of the runs into a chat of its own, to be asked side by side."""
    ids = []
    for view in found:
        job = job_for_run(services, SERVING, view)
        chat = job if isinstance(job, Refused) else launch(services, job, t("ui.yaml_header"))
        if isinstance(chat, Refused):
            return chat
        ids.append(chat)
    st.session_state[SHOWN] = st.session_state[COMPARED_WITH] = ids[0]
    st.session_state[COMPARED] = ids[1:]
    st.session_state[GO] = (SERVING.page, ids[0])
    return None


def go(here: str = "") -> None:
    """Goes where a click led: its own function cannot. here: the page that draws this."""
    wanted = st.session_state.pop(GO, None)
    if wanted is not None and wanted[0] != here:
        page, run_id = wanted
        st.switch_page(page, query_params={"run": run_id} if run_id else None)
