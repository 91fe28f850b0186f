"""The whole run in numbers: tokens, steps, checkpoints, disk."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.forecast import Forecast
from lfdash.engine.machine_words import size_words
from lfdash.engine.whole_run import WholeRun, measure_lengths, whole_run
from lfdash.llamafactory.token_lengths import SAMPLE
from lfdash.outcomes import Refused
from lfdash.ui.form.state import Form
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import language, listed, markdown_safe, t

FEW = 6  # checkpoints whose steps are told one by one


def draw(form: Form, found: Forecast) -> None:
    """The part of the dialog."""
    told = whole_run(form.services, form.read().job, found.foretold.subject)
    if told is None:
        st.info(t("memory.run_unknown"), icon=":material/help:")
    else:
        st.table(rows_of(told), border="horizontal")
        free = form.services.workspace.free_bytes()
        if free is not None and told.totals.disk > free:
            words = t("memory.run_disk_not", free=size_words(language(), free))
            st.warning(words, icon=":material/hard_drive:")
        if not told.totals.exact:
            st.caption(t("memory.run_about", count=SAMPLE))
    if told is None or not told.measured:
        draw_measure(form)


def rows_of(told: WholeRun) -> dict[str, str]:
    """What is told, by name."""
    found, code = told.totals, language()
    unknown = t("memory.run_not_measured")
    steps = listed(f"{step:,}" for step in found.checkpoints[:FEW]) + (", …" if len(found.checkpoints) > FEW else "")
    checkpoints = f"{len(found.checkpoints)}" + (f" ({steps})" if steps else "")
    return {
        t("memory.run_rows"): f"{found.rows:,}",
        t("memory.run_sequences"): f"{found.sequences:,}",
        t("memory.run_tokens"): unknown if found.tokens is None else f"{found.tokens:,}",
        t("memory.run_seen"): unknown if found.seen is None else f"{found.seen:,}",
        t("memory.run_steps"): f"{found.steps:,}",
        t("memory.run_checkpoints"): checkpoints,
        t("memory.run_checkpoint"): size_words(code, found.checkpoint_bytes),
        t("memory.run_model"): size_words(code, found.model_bytes),
        t("memory.run_disk"): size_words(code, found.disk),
    }


def draw_measure(form: Form) -> None:
    """The button that has the lengths counted."""
    cli = form.services.cli
    reason = refusal(cli) if isinstance(cli, Refused) else ""
    clicked = st.button(
        t("ui.lengths"), key="memory_lengths", icon=":material/straighten:", disabled=bool(reason),
        help=reason or t("ui.lengths_help", count=SAMPLE),
    )
    if not clicked:
        return
    with st.spinner(t("ui.lengths_counting")):
        found = measure_lengths(form.services, form.read().job)
    if isinstance(found, Refused):
        why = markdown_safe(form.services.registry.redactor()(refusal(found)))
        st.warning(t("ui.lengths_failed", reason=why))
    else:
        st.rerun()
