"""What is wrong with the form's job, with a button where the cure is certain."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from lfdash.jobs.cures import EXTRA_PREFIX
from lfdash.jobs.fields import BY_ID
from lfdash.outcomes import Problem, Value
from lfdash.ui.form import sidebar
from lfdash.ui.form.state import Form
from lfdash.ui.shared import clicks
from lfdash.ui.shared.text import COMMAND, heading, label, markdown_safe, pair, problem_markdown, several, t


def draw_problem(form: Form, key: str, problem: Problem) -> None:
    """One problem: the field's name, which leads to the field, the sentence, and a button where the cure is certain.
    What is to be typed elsewhere stands apart, with a button that copies it.

    key: another one for each problem of the list.
    """
    icon = ":red[:material/error:]" if problem.level == "error" else ":orange[:material/warning:]"
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(icon, width="content")
        if problem.field:
            name = heading(label(problem.field))
            st.button(
                f"**{name}**", key=f"go_{key}", type="tertiary", on_click=show, args=(problem.field,),
                help=t("ui.problem_go_help"), width="content",
            )
        st.space("stretch")
        if problem.fix:
            st.button(
                t("ui.fix"),
                key=key,
                on_click=fix,
                args=(form, dict(problem.fix)),
                help=t("ui.fix_help", changes=fix_words(problem.fix)),
            )
        elif problem.code in ("target_gone", "target_many_nodes") and problem.field:
            # another place to run at costs money, or takes a login node: it is shown where that is chosen
            st.button(t("ui.fix"), key=key, on_click=show, args=(problem.field,), help=t("target.choose_help"))
    st.markdown(problem_markdown(problem, below=True))
    command = problem.params.get(COMMAND)
    if command:
        st.code(str(command), language="bash", wrap_lines=True)


def show(field_id: str) -> None:
    """The name of a field was pressed: the form goes to it, wherever the button stands."""
    sidebar.go_to(field_id)
    st.rerun()


def fix(form: Form, changes: Mapping[str, Value | None]) -> None:
    """The button was pressed: the whole page follows, wherever the button stands. A second click of a double click is
    not one on what has moved up."""
    if clicks.is_first("fix"):
        form.apply_fix(changes)
    st.rerun()


def fix_words(fix: Mapping[str, Value | None]) -> str:
    """What a fix sets, in words."""
    parts = []
    for target, value in fix.items():
        name = target.removeprefix(EXTRA_PREFIX)
        row = BY_ID.get(target)
        shown = t("ui.not_set") if value is None else markdown_safe(str(value))
        if row is not None:
            shown = sidebar.shown_value(row, value)
        parts.append(pair(label(target) if row else markdown_safe(name), shown))
    return several(parts)
