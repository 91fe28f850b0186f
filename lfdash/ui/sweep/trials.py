"""The table of a sweep's runs, best first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from lfdash.engine.services import Services
from lfdash.engine.sweep_table import TrialRow
from lfdash.engine.sweep_views import REASONS, SweepView, TrialView
from lfdash.jobs.kinds import named
from lfdash.jobs.sweep_values import NUMBERS, Dimension, key_of, told
from lfdash.outcomes import Value
from lfdash.ui.shared.run_words import BEST, state_word
from lfdash.ui.shared.text import t
from lfdash.ui.sweep import actions

TABLE = "sweep_table"
NUMBER = "%.12g"  # all digits that an argument has
TALLEST, ROW, HEAD = 430, 35, 37  # px


def draw(services: Services, view: SweepView, rows: Sequence[TrialRow]) -> None:
    """The table; a click on a name shows the run."""
    if not rows:
        st.info(t("sweep.no_runs_yet"), icon=":material/hourglass_top:")
        return
    st.dataframe(
        [cells(view, row) for row in rows], key=TABLE, hide_index=True, row_height=ROW, placeholder="–",
        column_config=looks(services, view, [row.trial.run_id for row in rows]), alt=t("sweep.runs"),
        height=min(TALLEST, HEAD + ROW * len(rows) + 2),
    )


def cells(view: SweepView, row: TrialRow) -> dict[str, Any]:
    """A run's cells by the name of their column. The settings stand last, under the names that files have for them:
    they are in the names of the runs, too, and where there is little room the others are looked for."""
    best = view.best
    settings = {key_of(one.row): setting(one, row.trial) for one in view.sweep.dimensions}
    mark = f" ★ {state_word(BEST)}" if best is not None and row.trial.number == best.number else ""
    return {
        "name": row.name or None, "value": row.value, "at": row.at, "state": state_words(view, row) + mark,
        **{f"setting.{name}": value for name, value in settings.items()},
    }


def setting(dimension: Dimension, trial: TrialView) -> Value | None:
    """A trial's value of a setting: a number as one, so that it can be sorted by; anything else as it is told."""
    value = trial.values.get(dimension.field)
    return value if value is None or dimension.row.kind in NUMBERS else told(value)


def state_words(view: SweepView, row: TrialRow) -> str:
    """How a run stands, and the how manieth of its values it is where they were tried again."""
    words = own_words(view, row)
    return words if row.trial.tries < 2 else f"{words} · {t('sweep.tries', count=row.trial.tries)}"


def own_words(view: SweepView, row: TrialRow) -> str:
    """How a run stands: of one that was stopped early by which rule, of a failed one why."""
    trial = row.trial
    if trial.state == "pruned":
        rule = t(f"sweep.is_{view.sweep.stop_early}")
        return t("sweep.pruned_by", rule=rule, percent="?" if trial.percent is None else trial.percent)
    if trial.state == "failed":
        return t("sweep.failed_why", why=t(f"sweep.why_{trial.reason if trial.reason in REASONS else 'refused'}"))
    if trial.state == "running" and row.state is not None:
        word = state_word(row.state.name)
        return word if row.percent is None else f"{word} · {row.percent:.0f} %"
    return t(f"sweep.{trial.state}")


def looks(services: Services, view: SweepView, ids: Sequence[str]) -> dict[str, Any]:
    """How the columns look. ids: of the runs, by row."""
    config = st.column_config
    own: dict[str, Any] = {
        "name": config.ButtonColumn(
            t("ui.runs_col_name"), width=220, pinned=True, type="tertiary", alignment="left", key=f"{TABLE}.open",
            on_click=opened, args=(services, ids), help=t("ui.runs_name_help"),
        ),
        "value": config.NumberColumn(view.sweep.metric, width=90, format="%.4f", help=t("sweep.value_help")),
        "at": config.NumberColumn(t("sweep.at"), width=80, format="%d"),
        "state": config.TextColumn(t("sweep.state"), width=240),
    }
    for one in view.sweep.dimensions:
        name = key_of(one.row)
        number = one.row.kind in NUMBERS
        own[f"setting.{name}"] = config.NumberColumn(name, format=NUMBER) if number else config.TextColumn(name)
    return own


def opened(services: Services, ids: Sequence[str]) -> None:
    """A name was clicked: the run is shown on the page of its kind."""
    click = st.session_state.get(f"{TABLE}.open")
    place = -1 if click is None else click["row"]
    found = services.registry.get(ids[place]) if 0 <= place < len(ids) else None
    if found is None:
        st.session_state[actions.ANSWER] = t("sweep.run_gone")
    else:
        actions.wish(named(found.kind).page, found.run_id)
