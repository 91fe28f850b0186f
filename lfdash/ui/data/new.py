"""Adding a dataset: choose a file, say what its columns mean, see what a row becomes, write the entry."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from lfdash.data.dataset_info import DatasetInfo, add_entry, unlisted
from lfdash.data.formats import BY_NAME, FORMATS, Mapped, entry, missing, recognise
from lfdash.data.json_text import as_text, is_text
from lfdash.data.preview import Preview, preview
from lfdash.data.rows import SUFFIXES
from lfdash.ui.form import widgets
from lfdash.ui.shared import keyed
from lfdash.ui.shared.text import choice, markdown_safe, problem_words, t
from lfdash.workspace.allowed_paths import Roots

SOURCE, UPLOAD, LOCAL, NAME, FORMAT = "data.source", "data.upload", "data.local", "data.name", "data.format"
SEEN, ANSWER = "data.seen", "data.answer"  # the file that the fields were filled for; what the last click answered
PAGE = "data"
TOLD = 5  # files whose names are no text, by name
SHOWN = 10_000  # characters of a value that are shown


def draw(folder: Path, known: DatasetInfo, roots: Roots) -> None:
    """Draws the whole form. folder: where the file and its entry belong. roots: where files may lie."""
    answer = st.session_state.pop(ANSWER, None)
    if answer:
        (st.success if answer[0] else st.error)(markdown_safe(answer[1]))
    sources = ("upload", "local")
    source = keyed.segments(
        t("ui.data_source"), sources, key=SOURCE, page=PAGE, word=lambda name: t(f"ui.data_from_{name}"), required=True
    )
    chosen = draw_upload() if source == "upload" else draw_local(folder, known, roots)
    if chosen is None:
        return
    name, found = chosen
    if found.problem:
        st.error(markdown_safe(problem_words(found.problem)))
        return
    if st.session_state.get(SEEN) != name:
        fill(name, found)
    mapped = draw_mapping(found)
    if mapped is not None:
        draw_result(found, mapped)
    draw_add(folder, name, source == "upload", found, mapped)


def draw_upload() -> tuple[str, Preview] | None:
    """The uploaded file's name and rows."""
    file = st.file_uploader(t("ui.data_upload"), type=[suffix[1:] for suffix in SUFFIXES], key=UPLOAD)
    return None if file is None else (file.name, look(file.name, file.getvalue()))


def draw_local(folder: Path, known: DatasetInfo, roots: Roots) -> tuple[str, Preview] | None:
    """A file that lies in the data folder already."""
    files = unlisted(folder, known.files.values(), roots.inside)
    for unnamed in files.unnamed[:TOLD]:
        st.warning(markdown_safe(t("problems.data_file_name", file=unnamed)), icon=":material/warning:")
    if not files.names:
        st.caption(t("ui.data_local_none"))
        return None
    name = st.selectbox(t("ui.data_local"), files.names, index=None, key=LOCAL, placeholder=t("ui.data_local_pick"))
    path = roots.inside(folder / name) if name is not None else None
    return None if name is None or path is None else (name, preview(path))


def look(name: str, content: bytes) -> Preview:
    """What an uploaded file holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{Path(name).suffix}"
        path.write_bytes(content)
        return preview(path)


def fill(file: str, found: Preview) -> None:
    """Fills name, format and columns with what the file seems to be."""
    st.session_state[SEEN] = file
    st.session_state[NAME] = Path(file).stem.replace(" ", "_")
    mapped = recognise(found.columns)
    st.session_state[FORMAT] = mapped.format or None
    for item in FORMATS:
        for role in item.roles:
            st.session_state[f"data.role.{role}"] = mapped.columns.get(role)


def draw_mapping(found: Preview) -> Mapped | None:
    """The format and the column of each role; None while no format is chosen. No entry can name a column whose name
    is no text."""
    columns = tuple(filter(is_text, found.columns))
    name = keyed.select(
        t("ui.data_format"),
        [item.name for item in FORMATS],
        key=FORMAT,
        page=PAGE,
        word=lambda name: choice("formats", name),
        placeholder=t("ui.data_unknown", columns=", ".join(columns) or "–"),
        help=t("ui.data_format_help"),
    )
    if name is None:
        return None
    item = BY_NAME[name]
    places = st.columns(4)
    for number, role in enumerate(item.roles):
        held = st.session_state.get(f"data.role.{role}")
        places[number % 4].selectbox(
            choice("roles", role) + (" *" if role in item.needed else ""),
            widgets.with_current(columns, held),
            index=None,
            key=f"data.role.{role}",
            placeholder=t("ui.not_set"),
        )
    chosen = {role: st.session_state.get(f"data.role.{role}") for role in item.roles}
    return Mapped(name, {role: column for role, column in chosen.items() if column})


def draw_result(found: Preview, mapped: Mapped) -> None:
    """The first rows by their roles, and the entry that will be written."""
    rows = [{choice("roles", role): row.get(column) for role, column in mapped.columns.items()} for row in found.rows]
    if mapped.columns:
        st.caption(t("ui.data_becomes"))
        draw_table(rows[:3], None)
    with st.popover(t("ui.data_entry"), type="tertiary"):
        st.code(json.dumps(made(found, mapped), ensure_ascii=False, indent=2), language="json")


def made(found: Preview, mapped: Mapped) -> dict[str, Any]:
    """The entry of the chosen columns."""
    return entry(mapped, found.rows[0] if found.rows else {})


def draw_table(rows: Sequence[Mapping[str, Any]], height: int | None) -> None:
    """Rows as text."""
    if rows:
        cells = [{as_text(key): cell(value) for key, value in row.items()} for row in rows]
        size: dict[str, Any] = {} if height is None else {"height": height}
        st.dataframe(pd.DataFrame(cells), hide_index=True, row_height=60, **size)


def cell(value: Any) -> str:
    """A value as text, of at most SHOWN characters."""
    text = as_text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def draw_add(folder: Path, file: str, uploaded: bool, found: Preview, mapped: Mapped | None) -> None:
    """The dataset's name and the button, which says why it is disabled."""
    reason = ""
    if mapped is None:
        reason = t("ui.data_need_format")
    elif absent := missing(mapped):
        reason = t("ui.data_need_columns", columns=", ".join(choice("roles", role) for role in absent))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(t("ui.data_name"), key=NAME, width=320)
        st.button(
            t("ui.data_add_it"), type="primary", key="data.add", on_click=add, disabled=bool(reason),
            help=reason or None, args=(folder, file, uploaded, made(found, mapped) if mapped else {}),
        )
    if reason:
        st.caption(f":material/info: {reason}")


def add(folder: Path, file: str, uploaded: bool, made_entry: Mapping[str, Any]) -> None:
    """Writes the file into the data folder (unless it is there) and its entry into dataset_info.json."""
    name = (st.session_state.get(NAME) or "").strip()
    target = folder / (f"{name}{Path(file).suffix}" if uploaded else file)
    if uploaded and os.path.lexists(target):
        st.session_state[ANSWER] = (False, t("problems.data_taken", value=target.name))
        return
    problem = add_entry(folder, name, target.relative_to(folder).as_posix(), made_entry)
    if problem is not None:
        st.session_state[ANSWER] = (False, problem_words(problem))
        return
    if uploaded:
        with target.open("xb") as written:  # never through a link that was put there meanwhile
            written.write(st.session_state[UPLOAD].getvalue())
    st.session_state[ANSWER] = (True, t("ui.data_added", name=name))
    st.session_state.pop(SEEN, None)
