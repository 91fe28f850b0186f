"""The Data page: how to add a dataset, what one holds, how many of its rows are usable, how long they are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lfdash.data.counting import Counting
from lfdash.data.dataset_info import DatasetInfo, without_source
from lfdash.data.json_text import as_text
from lfdash.data.preview import Counted, Preview
from lfdash.data.report import format_of, usual_stage
from lfdash.engine.services import Services
from lfdash.jobs.kinds import DEFAULT
from lfdash.outcomes import Problem
from lfdash.ui.data import lengths, new, outcome, repair, train_with
from lfdash.ui.data.tables import HEADER, ROW, draw_table
from lfdash.ui.data.train_with import PICK
from lfdash.ui.form import sees
from lfdash.ui.form.state import Form
from lfdash.ui.shared import dialogs
from lfdash.ui.shared.layout import draw_frame
from lfdash.ui.shared.session import shared_services
from lfdash.ui.shared.text import markdown_safe, problem_words, t

FOLDER = "data.folder"
TOLD = 5  # entries that cannot be used, by name
COUNTING_S = 1.0  # seconds between two looks at a count that goes on


def draw() -> None:
    """Draws the page."""
    draw_frame("ui.page_data")
    services = shared_services()
    services.warm.want()
    form = Form(services, DEFAULT)  # lengths are measured with the model and template of the training form
    form.seed()
    train_with.go(form)
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
    with st.expander(t("ui.data_add"), expanded=not known.names, icon=":material/add:", key="data.new"):
        new.draw(services, folder, name, known)
    train_with.draw_added(form, name, known)
    if known.problem:
        draw_problem(known.problem)
    draw_unfit(known)
    if known.names:
        draw_dataset(form, folder, name, known)


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
    """One dataset: its entry, its size, how many of its rows are usable, its lengths, its first rows."""
    services = form.services
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(t("ui.data_set"), known.names, key=PICK, width=420)
        if st.session_state.get(train_with.ADDED) != name:  # else the button stands above
            train_with.button(form, directory, name, known, key="data.train")
    entry = known.entries[name]
    file = entry.get("file_name")
    if not file:
        nowhere = without_source(name, entry)
        if nowhere is not None:
            draw_problem(nowhere)
        else:
            st.info(t("ui.data_online"))
        st.json(entry)
        return
    path = services.roots.inside(folder / str(file))
    if path is None:
        st.error(t("problems.name_outside", value=markdown_safe(str(file))))
        return
    found = services.data.preview(path)
    stage = stage_of(form, name, entry)
    looked = services.data.check(path, name, entry, stage)
    counting = services.data.count(path).found is None or looked.found is None
    draw = partial(draw_counted, services, entry, path, name, stage, counting)
    st.fragment(draw, run_every=COUNTING_S if counting else None)()
    if looked.found is not None:
        outcome.draw_left_out(path, looked.found, f"data.left.{name}")
        repair.draw(services, folder, name, entry, path, looked.found)
    lengths.draw(form, directory, name, looked.found)
    sees.draw_part(form, directory, name, stage)
    draw_rows(found)


def stage_of(form: Form, name: str, entry: Mapping[str, Any]) -> str:
    """The stage that rows are counted for: the training form's where it has this dataset, else what such data are
    usually for."""
    job = form.read().job
    chosen = job.get(train_with.DATASET)
    stage = str(job.get(train_with.STAGE) or "") if isinstance(chosen, list) and name in chosen else ""
    return usual_stage(format_of(entry), stage)


def draw_counted(
    services: Services, entry: Mapping[str, Any], path: Path, name: str, stage: str, ticking: bool
) -> None:
    """The facts, with the counts as far as they are; once they are there, the page is drawn anew and rests."""
    count = services.data.count(path)
    looked = services.data.check(path, name, entry, stage)
    if ticking and count.found is not None and looked.found is not None and not dialogs.is_open():
        st.rerun()
    draw_facts(entry, count)
    if looked.found is None:
        st.caption(t("ui.data_looking", share=f"{looked.share:.0%}"))
    else:
        outcome.draw_usable(looked.found, stage)


def draw_facts(entry: Mapping[str, Any], count: Counting[Counted]) -> None:
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


def rows_words(count: Counting[Counted]) -> str:
    """How many rows there are; that it is not known, where it is not."""
    if count.found is None:
        return t("ui.data_counting", share=f"{count.share:.0%}")
    return t("cli.not_known") if count.found.rows is None else f"{count.found.rows:,}"


def draw_rows(found: Preview, height: int = 430) -> None:
    """The first rows, and which of them is odd; that a file is broken is told with its count."""
    if found.warning:
        st.warning(markdown_safe(problem_words(found.warning)), icon=":material/warning:")
    draw_table(found.rows, min(height, HEADER + ROW * len(found.rows)))
