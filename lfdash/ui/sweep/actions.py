"""What is done with a sweep: its best is trained for longer or exported, its runs are compared, it is stopped."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from lfdash.engine.services import Services
from lfdash.engine.sweep_best import MOST_TIMES, Longer, export_job, longer, why_not_exported
from lfdash.engine.sweep_views import SweepView
from lfdash.engine.sweeps import Sweeps
from lfdash.jobs.fields import BY_ID
from lfdash.jobs.kinds import DEFAULT, MERGING
from lfdash.jobs.sweep_values import key_of
from lfdash.outcomes import Refused
from lfdash.runs.compare.address import MOST_RUNS
from lfdash.ui.form.state import Form
from lfdash.ui.launch import sweep_list
from lfdash.ui.shared.answers import SHOWN, forget_answers, refusal
from lfdash.ui.shared.text import markdown_safe, t

ANSWER = sweep_list.ANSWER  # why the last click changed nothing
GO = "sweep.go"  # (page, id of a run or None) to be shown
USUAL_TIMES = 3.0


def draw(services: Services, sweeps: Sweeps, view: SweepView) -> None:
    """The buttons, and what the last one was answered."""
    if ANSWER in st.session_state:
        st.error(markdown_safe(st.session_state[ANSWER]), icon=":material/block:")
    with st.container(horizontal=True, gap="small", key="sweep_actions", vertical_alignment="center"):
        draw_longer(services, view)
        draw_export(services, view)
        draw_compare(services, view)
        draw_state(sweeps, view)
        st.page_link("pages/sweep.py", label=t("sweep.all"), icon=":material/tune:")


def wish(page: str, run_id: str | None = None) -> None:
    """A callback wants another page to be shown, with a run where there is one."""
    st.session_state[GO] = (page, run_id)


def go() -> None:
    """Goes where a callback wanted to."""
    wanted = st.session_state.pop(GO, None)
    if wanted is None:
        return
    page, run_id = wanted
    forget_answers()
    if run_id is not None:
        st.session_state[SHOWN] = run_id
    st.switch_page(page, query_params={"run": run_id} if run_id else None)


# -- its best -------------------------------------------------------------------------------------------


def draw_longer(services: Services, view: SweepView) -> None:
    """A new training with the best settings, for more epochs or steps: the form is filled, nothing is started."""
    best = view.best
    with st.popover(
        t("sweep.longer"), icon=":material/more_time:", disabled=best is None, key="sweep_longer_menu",
        help=t("sweep.longer_help") if best else t("sweep.no_best"),
    ):
        if best is None:
            return
        times = st.number_input(
            t("sweep.times"), min_value=1.0, max_value=MOST_TIMES, value=USUAL_TIMES, step=1.0, format="%g",
            key=f"sweep.times.{view.id}",
        )
        found = longer(view, best, float(times))
        st.caption(markdown_safe(refusal(found) if isinstance(found, Refused) else longer_words(found)))
        st.button(
            t("sweep.longer_yes"), key="sweep_longer", type="primary", disabled=isinstance(found, Refused),
            on_click=fill_longer, args=(services, view, float(times)),
        )


def longer_words(found: Longer) -> str:
    """What is larger than in the sweep."""
    return t("sweep.longer_words", name=key_of(BY_ID[found.field]), before=f"{found.before:g}", now=f"{found.now:g}")


def fill_longer(services: Services, view: SweepView, times: float) -> None:
    """Fills the form of training with the best settings, and goes there, with the best run beside it."""
    st.session_state.pop(ANSWER, None)
    best = view.best
    found = longer(view, best, times) if best is not None else Refused("sweep_best_gone")
    if best is None or isinstance(found, Refused):
        st.session_state[ANSWER] = refusal(found) if isinstance(found, Refused) else t("sweep.no_best")
        return
    form = Form(services, DEFAULT)
    form.seed()  # in a tab that began here the form is not open yet: what its draft holds can be had back
    form.load_job(found.job, [
        ("ui.taken_from", {"name": best.name}),
        ("sweep.longer_words", {
            "name": key_of(BY_ID[found.field]), "before": f"{found.before:g}", "now": f"{found.now:g}",
        }),
    ])
    wish(DEFAULT.page, best.run_id)


def draw_export(services: Services, view: SweepView) -> None:
    """The form of the export filled with the weights of the best run."""
    best = view.best
    refused = None if best is None else why_not_exported(services.registry.get(best.run_id))
    reason = t("sweep.no_best") if best is None else refusal(refused) if refused else ""
    st.button(
        t("sweep.export"), key="sweep_export", icon=":material/ios_share:", disabled=bool(reason),
        help=reason or t("sweep.export_help"), on_click=fill_export, args=(services, view),
    )


def fill_export(services: Services, view: SweepView) -> None:
    """Fills the form of the export, and goes there."""
    st.session_state.pop(ANSWER, None)
    best = view.best
    found = export_job(services, services.registry.get(best.run_id) if best is not None else None)
    if best is None or isinstance(found, Refused):
        st.session_state[ANSWER] = refusal(found) if isinstance(found, Refused) else t("sweep.no_best")
        return
    kind = MERGING
    form = Form(services, kind)
    form.seed()
    form.load_job(found, [("ui.taken_from", {"name": best.name})])
    wish(kind.page)


# -- all of it ------------------------------------------------------------------------------------------


def draw_compare(services: Services, view: SweepView) -> None:
    """All runs over each other; the best of very many."""
    there = [run_id for run_id in compared(view) if services.registry.get(run_id) is not None]
    runs = there[:MOST_RUNS]
    if len(runs) < 2:
        st.button(
            t("sweep.compare_all"), key="sweep_compare_none", icon=":material/compare_arrows:", disabled=True,
            help=t("ui.runs_choose_two") if not runs else t("sweep.compare_one"),
        )
        return
    words = t("sweep.compare_all") if len(there) == len(runs) else t("sweep.compare_best", count=len(runs))
    st.page_link(
        "pages/compare.py", label=words, icon=":material/compare_arrows:", help=t("sweep.compare_help"),
        query_params={"runs": ",".join(runs), "tab": "relation"},
    )


def compared(view: SweepView) -> Sequence[str]:
    """The ids of the runs in the order in which Compare takes them: the best first, then the others."""
    return [one.run_id for one in [*view.complete, *(one for one in view.last if one.state != "complete")]]


def draw_state(sweeps: Sweeps, view: SweepView) -> None:
    """Stop the rest, or go on; of one that is over, why neither can be done."""
    if view.state == "stopped" or view.again:
        st.button(
            t("sweep.go_on"), key="sweep_go_on", icon=":material/play_arrow:", help=sweep_list.go_on_help(view),
            on_click=sweep_list.change, args=(sweeps, view.id, True),
        )
        return
    over = view.state == "done"
    st.button(
        t("sweep.stop"), key="sweep_stop", icon=":material/stop:", disabled=over,
        help=t("sweep.is_over") if over else t("sweep.stop_help"), on_click=sweep_list.change,
        args=(sweeps, view.id, False),
    )
