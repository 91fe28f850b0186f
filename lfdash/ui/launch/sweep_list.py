"""The sweeps of the workspace, below the dialog that makes one: how far each is, its best, Stop, Go on, Compare."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.sweep_views import SweepView
from lfdash.engine.sweeps import Sweeps
from lfdash.jobs.sweep_values import key_of, told
from lfdash.outcomes import Refused
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import markdown_safe, pair, t

MOST = 10  # sweeps that are shown, the newest
ANSWER = "sweep.list_answer"  # why the last click changed nothing
ENDED = ("complete", "pruned", "failed")


def draw(sweeps: Sweeps) -> None:
    """All sweeps, the newest first; nothing where there is none."""
    try:
        views, broken = sweeps.views()[:MOST], sweeps.unreadable()
    except (OSError, KeyError, ValueError) as error:
        st.warning(markdown_safe(t("sweep.unreadable", reason=str(error))))
        return
    for refused in broken:
        st.warning(markdown_safe(refusal(refused)))
    if ANSWER in st.session_state:
        st.error(markdown_safe(st.session_state[ANSWER]), icon=":material/block:")
    for view in views:
        ended = sum(trial.state in ENDED for trial in view.trials)
        title = f"{markdown_safe(view.name)} · {t(f'sweep.{view.state}')} · {ended}/{view.count}"
        with st.expander(title, key=f"sweep_{view.id}"):
            draw_one(sweeps, view)


def draw_one(sweeps: Sweeps, view: SweepView) -> None:
    """A sweep: its best run, its trials, and what can be done with it."""
    best = view.best
    if best is not None:
        name = f"**{markdown_safe(best.name)}**"
        st.markdown(f"{pair(t('sweep.best'), name)} · {markdown_safe(view.sweep.metric)} {best.value:.4g}")
    if view.importance:
        parts = ", ".join(f"{key} {part:.0%}" for key, part in view.importance.items())
        st.caption(markdown_safe(pair(t("sweep.importance"), parts)))
    dimensions = [(key_of(one.row), one.field) for one in view.sweep.dimensions]
    rows = [
        {
            t("ui.runs_col_name"): trial.name, **{key: told(trial.values[field]) for key, field in dimensions},
            view.sweep.metric: trial.value, t("sweep.state"): t(f"sweep.{trial.state}"),
        }
        for trial in view.trials if len(trial.values) == len(dimensions)
    ]
    if rows:
        st.dataframe(rows, hide_index=True, key=f"sweep_trials_{view.id}", height=min(250, 36 * (len(rows) + 1)))
    with st.container(horizontal=True, gap="small"):
        if view.state == "going":
            st.button(
                t("sweep.stop"), key=f"sweep_stop_{view.id}", icon=":material/stop:", help=t("sweep.stop_help"),
                on_click=change, args=(sweeps, view.id, False),
            )
        elif view.state == "stopped":
            st.button(
                t("sweep.go_on"), key=f"sweep_go_on_{view.id}", icon=":material/play_arrow:",
                help=t("sweep.go_on_help"), on_click=change, args=(sweeps, view.id, True),
            )
        runs = [trial.run_id for trial in view.trials if trial.name][:200]
        if runs:
            st.page_link(
                "pages/compare.py", label=t("sweep.compare"), icon=":material/compare_arrows:",
                query_params={"runs": ",".join(runs), "tab": "relation"}, help=t("sweep.compare_help"),
            )


def change(sweeps: Sweeps, sweep_id: str, going: bool) -> None:
    """Stop or Go on was clicked."""
    outcome = sweeps.go_on(sweep_id) if going else sweeps.stop(sweep_id)
    st.session_state.pop(ANSWER, None)
    if isinstance(outcome, Refused):
        st.session_state[ANSWER] = refusal(outcome)
