"""The Data page: what a dataset holds, what is wrong with it, and how to add one's own."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lfdash.data import SUFFIXES, Mapped, Preview, add_entry, preview, recognise
from lfdash.datasets import FILE
from lfdash.ui import widgets
from lfdash.ui.frame import draw_frame
from lfdash.ui.session import Services, services
from lfdash.ui.text import t

FOLDER, PICK, UPLOAD, NAME, ENTRY = "data.folder", "data.pick", "data.upload", "data.name", "data.entry"
ANSWER = "data.answer"


def draw() -> None:
    """Draws the page."""
    draw_frame("ui.page_data")
    shared = services()
    with st.sidebar:
        st.text_input(t("ui.data_folder"), key=FOLDER, placeholder="data", persist_state="session")
        st.caption(t("ui.data_folder_help"))
    folder = inside(shared, st.session_state.get(FOLDER) or "data")
    if folder is None:
        st.error(t("problems.name_outside", value=st.session_state[FOLDER]), icon=":material/error:")
        return
    known = shared.datasets(str(folder.relative_to(shared.workspace.root)))
    if known.problem:
        st.error(t(f"problems.{known.problem.code}", **known.problem.params), icon=":material/error:")
    if known.names:
        draw_dataset(folder, known.names)
    with st.expander(t("ui.data_add"), expanded=not known.names, icon=":material/add:"):
        draw_add(folder)


def inside(shared: Services, name: str) -> Path | None:
    """The folder of that name in the workspace; None when it leads out of it."""
    root = shared.workspace.root.resolve()
    folder = (root / name).resolve()
    return folder if folder.is_relative_to(root) else None


def draw_dataset(folder: Path, names: tuple[str, ...]) -> None:
    """One dataset: its entry, its size, its first rows."""
    name = st.selectbox(t("ui.data_set"), names, key=PICK, width=420)
    entry = json.loads((folder / FILE).read_text(encoding="utf-8")).get(name, {})
    file = entry.get("file_name")
    if not file:
        st.info(t("ui.data_online"))
        st.json(entry)
        return
    path = (folder / file).resolve()
    if not path.is_relative_to(folder):
        st.error(t("problems.name_outside", value=widgets.markdown_safe(str(file))))
        return
    found = preview(path)
    draw_facts(entry, found)
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


def draw_rows(found: Preview) -> None:
    """The first rows, or which line is broken."""
    if found.problem:
        text = t(f"problems.{found.problem.code}", **found.problem.params)
        st.error(widgets.markdown_safe(text), icon=":material/error:")
    if found.rows:
        cells = [{key: cell(value) for key, value in row.items()} for row in found.rows]
        st.dataframe(pd.DataFrame(cells), hide_index=True, row_height=60, height=430)


def cell(value: Any) -> str:
    """A value as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def draw_add(folder: Path) -> None:
    """Upload a file, see what it is, correct its entry, and add it."""
    st.file_uploader(t("ui.data_upload"), type=[suffix[1:] for suffix in SUFFIXES], key=UPLOAD, on_change=guess)
    file = st.session_state.get(UPLOAD)
    answer = st.session_state.get(ANSWER)
    if answer:
        (st.success if answer[0] else st.error)(answer[1])
    if file is None:
        return
    st.text_input(t("ui.data_name"), key=NAME)
    st.text_area(t("ui.data_entry"), key=ENTRY, height=180, help=t("ui.data_entry_help"))
    st.button(t("ui.data_add_it"), type="primary", key="data.add", on_click=add, args=(folder,))


def guess() -> None:
    """Fills name and entry from the uploaded file."""
    file = st.session_state.get(UPLOAD)
    st.session_state[ANSWER] = None
    if file is None:
        return
    found, mapped = look(file.name, file.getvalue())
    st.session_state[NAME] = Path(file.name).stem.replace(" ", "_")
    st.session_state[ENTRY] = json.dumps(mapped.entry, ensure_ascii=False, indent=1)
    if found.problem:
        st.session_state[ANSWER] = (False, t(f"problems.{found.problem.code}", **found.problem.params))
    elif not mapped.kind:
        st.session_state[ANSWER] = (False, t("ui.data_unknown", columns=", ".join(found.columns)))


def look(name: str, content: bytes) -> tuple[Preview, Mapped]:
    """What an uploaded file holds and seems to be."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{Path(name).suffix}"
        path.write_bytes(content)
        found = preview(path)
    return found, recognise(found.columns, found.rows[0]) if found.rows else Mapped()


def add(folder: Path) -> None:
    """Writes the file into the data folder and its entry into dataset_info.json."""
    file = st.session_state[UPLOAD]
    name = (st.session_state.get(NAME) or "").strip()
    try:
        entry = json.loads(st.session_state.get(ENTRY) or "{}")
    except ValueError as error:
        st.session_state[ANSWER] = (False, t("ui.data_entry_broken", reason=str(error)))
        return
    target = folder / f"{name}{Path(file.name).suffix}"
    if not isinstance(entry, dict) or target.exists():
        reason = t("problems.data_taken", value=target.name) if target.exists() else t("ui.data_entry_help")
        st.session_state[ANSWER] = (False, reason)
        return
    problem = add_entry(folder, name, target.name, entry)
    if problem is None:
        target.write_bytes(file.getvalue())
        st.session_state[ANSWER] = (True, t("ui.data_added", name=name))
    else:
        st.session_state[ANSWER] = (False, t(f"problems.{problem.code}", **problem.params))
