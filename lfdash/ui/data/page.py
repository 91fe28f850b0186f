"""The Data page: what a dataset holds, how long its rows are, and how to add one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lfdash.data.dataset_info import FILE
from lfdash.data.preview import Preview, preview
from lfdash.engine.services import Services
from lfdash.jobs.kinds import DEFAULT
from lfdash.ui.data import lengths, new
from lfdash.ui.form.state import Form
from lfdash.ui.shared.layout import draw_frame
from lfdash.ui.shared.session import shared_services
from lfdash.ui.shared.text import markdown_safe, problem_words, t

FOLDER, PICK = "data.folder", "data.pick"


def draw() -> None:
    """Draws the page."""
    draw_frame("ui.page_data")
    services = shared_services()
    form = Form(services, DEFAULT)  # lengths are measured with the model and template of the training form
    form.seed()
    with st.sidebar:
        st.text_input(t("ui.data_folder"), key=FOLDER, placeholder="data", persist_state="session")
        st.caption(t("ui.data_folder_help"))
    folder = inside(services, st.session_state.get(FOLDER) or "data")
    if folder is None:
        text = t("problems.name_outside", value=st.session_state[FOLDER])
        st.error(markdown_safe(text), icon=":material/error:")
        return
    root = services.workspace.root.resolve()
    name = str(folder.relative_to(root) if folder.is_relative_to(root) else folder)
    known = services.datasets(name)
    if known.problem:
        text = problem_words(known.problem)
        st.error(markdown_safe(text), icon=":material/error:")
    if known.names:
        draw_dataset(form, folder, name, known.names)
    with st.expander(t("ui.data_add"), expanded=not known.names, icon=":material/add:", key="data.new"):
        new.draw(folder, known, services.roots)


def inside(services: Services, name: str) -> Path | None:
    """The folder of that name in the workspace or the allowed folders; None when it leads out of them."""
    return services.roots.inside(name)


def draw_dataset(form: Form, folder: Path, directory: str, names: tuple[str, ...]) -> None:
    """One dataset: its entry, its size, its lengths, its first rows."""
    services = form.services
    name = st.selectbox(t("ui.data_set"), names, key=PICK, width=420)
    info = services.roots.inside(folder / FILE)  # checked before its names were shown; it may be another file by now
    entry = json.loads(info.read_text(encoding="utf-8")).get(name, {}) if info else {}
    file = entry.get("file_name")
    if not file:
        st.info(t("ui.data_online"))
        st.json(entry)
        return
    path = services.roots.inside(folder / str(file))
    if path is None:
        st.error(t("problems.name_outside", value=markdown_safe(str(file))))
        return
    found = preview(path)
    draw_facts(entry, found)
    lengths.draw(form, directory, name)
    draw_rows(found)


def draw_facts(entry: dict[str, Any], found: Preview) -> None:
    """File, format, rows, whether it is ranked, and which column means what."""
    rows = t("ui.data_many") if found.count is None else f"{found.count:,}"
    facts = {
        t("ui.data_file"): entry.get("file_name", ""),
        t("ui.data_format"): entry.get("formatting", "alpaca"),
        t("ui.data_rows"): rows,
        t("ui.data_ranked"): t("ui.on") if entry.get("ranking") else t("ui.off"),
        t("ui.data_columns"): ", ".join(f"{k} ← {v}" for k, v in entry.get("columns", {}).items())
        or t("ui.data_standard"),
    }
    st.dataframe(pd.DataFrame([facts]), hide_index=True)


def draw_rows(found: Preview, height: int = 430) -> None:
    """The first rows, or which line is broken."""
    if found.problem:
        text = problem_words(found.problem)
        st.error(markdown_safe(text), icon=":material/error:")
    new.draw_table(found.rows, height)
