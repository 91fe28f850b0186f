"""The reference page: one searchable table of all arguments, and which field of the form sets them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from lfdash.engine.services import Services
from lfdash.jobs.fields import BY_ARG
from lfdash.ui.shared.layout import draw_frame
from lfdash.ui.shared.session import shared_services
from lfdash.ui.shared.text import help_text, label, markdown_safe, t

COLUMNS = ("argument", "field", "group", "type", "default", "help")


def table(services: Services) -> pd.DataFrame:
    """One row an argument: its name, the form's label for it, group, type, default, help."""
    rows = []
    for name, argument in sorted(services.upstream.arguments.items()):
        row = BY_ARG.get(name)
        rows.append(
            (
                name,
                label(row.id) if row else "",
                argument.group,
                argument.type,
                "" if argument.default is None else str(argument.default),
                (help_text(row.id) if row else "") or argument.help or "",
            )
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def draw() -> None:
    """Draws the page."""
    draw_frame("ui.page_arguments")
    services = shared_services()
    st.header(t("ui.page_arguments"))
    st.caption(
        t(
            "ui.arguments_about",
            version=services.upstream.llamafactory,
            transformers=services.upstream.transformers,
        )
    )
    wanted = st.text_input(
        t("ui.arguments_find"),
        key="arguments.find",
        type="search",
        live=True,
        label_visibility="collapsed",
        placeholder=t("ui.arguments_find"),
        icon=":material/search:",
    )
    rows = table(services)
    if wanted:
        hit = rows.apply(lambda column: column.str.contains(wanted, case=False, regex=False)).any(axis=1)
        rows = rows[hit]
    if rows.empty:
        st.info(t("ui.filter_none", text=markdown_safe(wanted or "")))
        return
    st.dataframe(
        rows,
        hide_index=True,
        height=640,
        column_config={name: t(f"ui.column_{name}") for name in COLUMNS},
    )
