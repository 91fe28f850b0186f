"""What the runs table has no room for, of the run that is selected."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.services import Services
from lfdash.engine.words import stall_in
from lfdash.runs.table import TableRow
from lfdash.ui.launch import sweep_list
from lfdash.ui.shared.session import shared_sweeps
from lfdash.ui.shared.text import isolated, language, markdown_safe, t


def draw(services: Services, row: TableRow) -> None:
    """What the table has no room for."""
    parts = [f":material/folder: {markdown_safe(row.folder)}"]
    if row.step is not None:
        parts.append(t("ui.runs_at_step", step=row.step, total=row.total or "?"))
    parts += best_words(row)
    if "early" in row.badges:
        parts[1] = t("ui.ended_early", step=row.step, total=row.total)
    st.caption(" · ".join(parts))
    if "stalled" in row.badges or "dead" in row.badges:
        draw_marks(services, row)
    sweep = shared_sweeps().of_run(row.run_id, row.tags)
    if sweep is not None:
        sweep_list.draw_link(sweep.id, t("sweep.of_run", name=isolated(sweep.name)))
    if row.error:
        st.error(markdown_safe(services.registry.redact(row.error)), icon=":material/error:")
    if row.note:
        st.text(row.note)


def best_words(row: TableRow) -> list[str]:
    """The best losses and where they were reached. That of the training is one logged value, of one batch or a few."""
    found = []
    if row.best is not None:
        found.append(t("ui.runs_lowest_at", value=f"{row.best:.4f}", step=row.best_step))
    if row.best_eval is not None:
        name, value = t("ui.runs_col_best_eval"), f"{row.best_eval:.4f}"
        at = row.best_eval_step
        found.append(f"{name} {value}" if at is None else t("ui.runs_best_at", name=name, value=value, step=at))
    return found


def draw_marks(services: Services, row: TableRow) -> None:
    """What is told of a run beside its state, in words."""
    view = services.registry.get(row.run_id)
    if view is not None and view.stall is not None:
        st.warning(stall_in(language(), view.stall), icon=":material/hourglass_disabled:")
    dead = services.registry.summaries.get(view).summary.dead_step if view is not None else None
    if dead is not None:
        st.warning(t("ui.loss_dead", step=dead), icon=":material/monitor_heart:")
