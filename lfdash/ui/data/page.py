"""The Data page: what a dataset holds, how long its rows are, and how to add one's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lfdash.data.counting import Counting
from lfdash.data.dataset_info import DatasetInfo
from lfdash.data.json_text import as_text
from lfdash.data.preview import Preview
from lfdash.engine.services import Services
from lfdash.jobs.kinds import DEFAULT
from lfdash.outcomes import Problem
from lfdash.ui.data import lengths, new
from lfdash.ui.form.state import Form
from lfdash.ui.shared.layout import draw_frame
from lfdash.ui.shared.session import shared_services
from lfdash.ui.shared.text import markdown_safe, problem_words, t

FOLDER, PICK = "data.folder", "data.pick"
TOLD = 5  # entries that cannot be used, by name
COUNTING_S = 1.0  # seconds between two looks at a count that goes on


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
        draw_problem(known.problem)
    draw_unfit(known)
    if known.names:
        draw_dataset(form, folder, name, known)
    with st.expander(t("ui.data_add"), expanded=not known.names, icon=":material/add:", key="data.new"):
        new.draw(folder, known, services.roots)


def inside(services: Services, name: str) -> Path | None:
    """The folder of that name in the workspace or the allowed folders; None when it leads out of them."""
    return services.roots.inside(name)


def draw_problem(problem: Problem) -> None:
    """What is wrong."""
    st.error(markdown_safe(problem_words(problem)), icon=":material/error:")


def draw_unfit(known: DatasetInfo) -> None:
    """The entries that cannot be used; the others can."""
    words = [markdown_safe(problem_words(problem)) for problem in list(known.unfit.values())[:TOLD]]
    if words:
        more = [f"… +{len(known.unfit) - TOLD}"] if len(known.unfit) > TOLD else []
        st.warning("\n\n".join([*words, *more]), icon=":material/warning:")


def draw_dataset(form: Form, folder: Path, directory: str, known: DatasetInfo) -> None:
    """One dataset: its entry, its size, its lengths, its first rows."""
    services = form.services
    name = st.selectbox(t("ui.data_set"), known.names, key=PICK, width=420)
    entry = known.entries[name]
    file = entry.get("file_name")
    if not file:
        st.info(t("ui.data_online"))
        st.json(entry)
        return
    path = services.roots.inside(folder / str(file))
    if path is None:
        st.error(t("problems.name_outside", value=markdown_safe(str(file))))
        return
    found = services.data.preview(path)
    counting = services.data.count(path).found is None
    draw = partial(draw_counted, services, entry, path, found, counting)
    st.fragment(draw, run_every=COUNTING_S if counting else None)()
    lengths.draw(form, directory, name)
    draw_rows(found)


def draw_counted(services: Services, entry: Mapping[str, Any], path: Path, found: Preview, ticking: bool) -> None:
    """The facts, with the count as far as it is; once it is there, the page is drawn anew and rests."""
    count = services.data.count(path)
    if ticking and count.found is not None:
        st.rerun()
    draw_facts(entry, count)
    if found.problem is None and count.found is not None and count.found.problem is not None:
        draw_problem(count.found.problem)


def draw_facts(entry: Mapping[str, Any], count: Counting) -> None:
    """File, format, rows, whether it is ranked, and which column means what."""
    facts = {
        t("ui.data_file"): entry.get("file_name", ""),
        t("ui.data_format"): str(entry.get("formatting", "alpaca")),
        t("ui.data_rows"): rows_words(count),
        t("ui.data_ranked"): t("ui.on") if entry.get("ranking") else t("ui.off"),
        t("ui.data_columns"): ", ".join(f"{k} ← {v}" for k, v in entry.get("columns", {}).items())
        or t("ui.data_standard"),
    }
    st.dataframe(pd.DataFrame([{name: as_text(text) for name, text in facts.items()}]), hide_index=True)


def rows_words(count: Counting) -> str:
    """How many rows there are; that it is not known, where it is not."""
    if count.found is None:
        return t("ui.data_counting", share=f"{count.share:.0%}")
    return t("cli.not_known") if count.found.rows is None else f"{count.found.rows:,}"


def draw_rows(found: Preview, height: int = 430) -> None:
    """The first rows, and which line is broken or odd."""
    if found.problem:
        draw_problem(found.problem)
    if found.warning:
        st.warning(markdown_safe(problem_words(found.warning)), icon=":material/warning:")
    new.draw_table(found.rows, height)
