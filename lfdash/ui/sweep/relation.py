"""What a sweep's settings do: one of them against the metric, all beside each other, and how much each matters."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import streamlit as st

from lfdash.engine.sweep_table import TrialRow
from lfdash.engine.sweep_views import SweepView
from lfdash.jobs.sweep_values import NUMBERS, key_of, told
from lfdash.ui.compare import relation
from lfdash.ui.compare.relation import LOOKS, Point
from lfdash.ui.compare.tables import heading
from lfdash.ui.shared import keyed
from lfdash.ui.shared.text import t

SETTING, LOOK = "sweep.setting", "sweep.look"
ENOUGH = 50  # runs: Optuna wants five in the best tenth (optuna/importance/_ped_anova/evaluator.py)
FEWEST = 2  # points that a picture needs
CSS = """
.lf-weights {display: grid; grid-template-columns: minmax(5rem, max-content) minmax(4rem, 16rem) max-content;
  gap: .3rem .8rem; align-items: center; font-size: .86rem; font-variant-numeric: tabular-nums}
.lf-weights code {background: none; padding: 0; color: inherit; overflow-wrap: anywhere}
.lf-weights .lf-bar {margin: 0; color: var(--lf-blue)}
.st-key-sweep_actions a {background: none}
.st-key-sweep_actions a * {font-weight: inherit}
.lf-sweep {min-height: 0; padding-bottom: .2rem}
.lf-sweep .lf-fact b {white-space: normal; overflow-wrap: anywhere}
"""


def draw(view: SweepView, rows: Sequence[TrialRow]) -> None:
    """The picture, and below it the importance of each setting."""
    complete = [row for row in rows if row.trial.state == "complete" and row.value is not None]
    points = [point for row in complete if (point := point_of(view, row)) is not None]
    if len(points) < FEWEST:
        st.caption(t("sweep.no_picture"))
        return
    st.html(heading(t("ui.compare_tab_relation")))
    draw_picture(view, points)
    if len(points) < len(view.last):
        st.caption(t("sweep.picture_of", count=len(points)))
    draw_importance(view)


def point_of(view: SweepView, row: TrialRow) -> Point | None:
    """A complete run in the picture; None where its value is no number that can be drawn."""
    if row.value is None or not math.isfinite(row.value):
        return None
    found = {key_of(one.row): (one, row.trial.values.get(one.field)) for one in view.sweep.dimensions}
    settings = {
        name: value if one.row.kind in NUMBERS else told(value) for name, (one, value) in found.items()
        if value is not None
    }
    return Point(row.trial.run_id, row.name, "", "", settings, {view.sweep.metric: row.value})


def draw_picture(view: SweepView, points: Sequence[Point]) -> None:
    """One setting against the metric, or a line a run over all settings."""
    names = [key_of(one.row) for one in view.sweep.dimensions]
    first = max(view.importance, key=lambda name: view.importance[name], default=names[0])
    if st.session_state.get(SETTING) not in names:
        st.session_state[SETTING] = first
    with st.container(horizontal=True, vertical_alignment="bottom", key="sweep_relation_bar"):
        setting = keyed.select(
            t("ui.compare_setting"), names, key=SETTING, page="sweep", empty=False, width=260
        )
        look = keyed.segments(
            t("ui.compare_look"), LOOKS, key=LOOK, page="sweep", required=True,
            word=lambda name: t(f"ui.compare_{name}"), label_visibility="collapsed",
        )
    if look == LOOKS[0]:
        relation.draw_scatter(points, setting, view.sweep.metric, coloured=False)
    else:
        ordered = [setting, *(name for name in names if name != setting)]
        relation.draw_parallel(points, ordered, view.sweep.metric, coloured=False)


def draw_importance(view: SweepView) -> None:
    """How much each setting matters, from how many runs that is told, and whether those are enough."""
    st.html(heading(t("sweep.importance")))
    count = len(view.complete)
    if not view.importance:
        st.caption(t("sweep.importance_none"))
        return
    ordered = sorted(view.importance.items(), key=lambda pair: -pair[1])
    st.html(f'<div class="lf-weights">{"".join(weight(name, part) for name, part in ordered)}</div>')
    st.caption(t("sweep.importance_of", count=count))
    if count < ENOUGH:
        st.caption(f":material/help: {t('sweep.importance_unsure', enough=ENOUGH)}")


def weight(name: str, part: float) -> str:
    """A setting's importance as HTML."""
    return (
        f'<code>{html.escape(name)}</code><div class="lf-bar" aria-hidden="true">'
        f'<i style="width:{100 * part:.0f}%"></i></div><span>{part:.0%}</span>'
    )
