"""Adding a dataset: choose a file, say what its columns mean, see what a row becomes and how many are usable, write
the entry."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from lfdash.data.dataset_info import DatasetInfo, add_entry, is_name, unlisted
from lfdash.data.files import DataFile
from lfdash.data.formats import BY_NAME, FORMATS, Mapped, entry, missing, recognise
from lfdash.data.json_text import is_text
from lfdash.data.preview import Preview, preview, trouble
from lfdash.data.report import format_of, oddities, usual_stage
from lfdash.data.rows import SUFFIXES
from lfdash.data.survey import Survey, survey
from lfdash.data.usable import Usable, check
from lfdash.engine.services import Services
from lfdash.ui.data import outcome, train_with
from lfdash.ui.data.tables import draw_table
from lfdash.ui.form import widgets
from lfdash.ui.shared import keyed
from lfdash.ui.shared.text import choice, listed, markdown_safe, problem_words, t

SOURCE, UPLOAD, LOCAL, NAME, FORMAT = "data.source", "data.upload", "data.local", "data.name", "data.format"
SEEN, ANSWER = "data.seen", "data.answer"  # the file that the fields were filled for; what the last click answered
UPLOADS = "data.uploads"  # how many files were uploaded and added: each has a fresh box
LOOKED = "data.looked"  # (file, its survey, {entry: its rows}) of the uploaded file
PAGE = "data"
TOLD = 5  # files whose names are no text, by name


@dataclass(frozen=True)
class Chosen:
    """The file that is to be added. path: of one that lies in the folder, without links. file: of an uploaded one. key:
    tells it from another of the same name. survey: what it holds; None while it is looked through, as far as share."""

    name: str
    start: Preview
    key: str
    path: Path | None = None
    file: DataFile | None = None
    survey: Survey | None = None
    share: float = 1.0


def draw(services: Services, folder: Path, directory: str, known: DatasetInfo) -> None:
    """Draws the whole form. folder: where the file and its entry belong; directory: its name in a job."""
    source = keyed.segments(
        t("ui.data_source"), ("upload", "local"), key=SOURCE, page=PAGE, word=lambda name: t(f"ui.data_from_{name}"),
        required=True,
    )
    chosen = draw_upload(directory) if source == "upload" else draw_local(services, folder, known)
    if chosen is None:
        return
    st.session_state.pop(train_with.ADDED, None)
    problem = chosen.start.problem or (chosen.survey.problem if chosen.survey else None)
    if problem is None and chosen.survey is not None and not chosen.survey.rows:
        problem = trouble("data_empty", Path(chosen.name))
    if problem:
        st.error(markdown_safe(problem_words(problem)))
        return
    if chosen.survey is None:
        draw_looking(services, chosen)
        return
    draw_columns(services, folder, chosen, chosen.survey)


def draw_columns(services: Services, folder: Path, chosen: Chosen, found: Survey) -> None:
    """What the columns mean, what comes of it, and the button."""
    if st.session_state.get(SEEN) != chosen.key:
        fill(chosen, found)
    for problem in oddities(Path(chosen.name), recognise(found)):
        outcome.draw_problem(problem)
    mapped = draw_mapping(found)
    if mapped is None or missing(mapped):
        draw_raw(chosen.start, found)
    made: dict[str, Any] = {}
    usable: Usable | None = None
    if mapped is not None:
        made = entry(mapped, found)
        if not missing(mapped):
            usable = rows_of(services, chosen, made)
            draw_rows_of(usable, made)
        draw_result(chosen.start, mapped, made)
    draw_add(folder, chosen, made, why_not(mapped, usable))


def draw_upload(directory: str) -> Chosen | None:
    """The uploaded file's name and rows; before, how large it may be and where larger ones go."""
    key = f"{UPLOAD}.{st.session_state.get(UPLOADS, 0)}"
    file = st.file_uploader(t("ui.data_upload"), type=[suffix[1:] for suffix in SUFFIXES], key=key)
    most = st.get_option("server.maxUploadSize")
    where = {"folder": directory, "choice": t("ui.data_from_local")}
    st.caption(markdown_safe(t("ui.data_upload_limit", mb=most, **where)))
    if file is None:
        return None
    source = DataFile(Path(file.name), file.size, file.getvalue())
    looked = st.session_state.get(LOOKED)
    if looked is None or looked[0] != file.file_id:
        looked = (file.file_id, preview(source.path, content=source.content), survey([source]), {})
        st.session_state[LOOKED] = looked
    return Chosen(file.name, looked[1], file.file_id, file=source, survey=looked[2])


def draw_local(services: Services, folder: Path, known: DatasetInfo) -> Chosen | None:
    """A file that lies in the data folder already."""
    files = unlisted(folder, known.files.values(), services.roots.inside)
    for unnamed in files.unnamed[:TOLD]:
        st.warning(markdown_safe(t("problems.data_file_name", file=unnamed)), icon=":material/warning:")
    if not files.names:
        st.caption(t("ui.data_local_none"))
        return None
    name = keyed.select(
        t("ui.data_local"), files.names, key=LOCAL, page=PAGE, nothing=t("ui.data_local_pick"),
        placeholder=t("ui.data_local_pick"),
    )
    path = services.roots.inside(folder / name) if name is not None else None
    if name is None or path is None:
        return None
    counting = services.data.survey(path)
    return Chosen(
        name, services.data.preview(path), name, path=path, survey=counting.found, share=counting.share
    )


def draw_looking(services: Services, chosen: Chosen) -> None:
    """How far the look through a large file is; the page is drawn anew when it is done."""

    @st.fragment(run_every=1.0)
    def wait() -> None:
        counting = services.data.survey(chosen.path) if chosen.path else None
        if counting is None or counting.found is not None:
            st.rerun()
        st.progress(min(1.0, counting.share), text=t("ui.data_looking", share=f"{counting.share:.0%}"))

    wait()


def fill(chosen: Chosen, found: Survey) -> None:
    """Fills name, format and columns with what the file seems to be."""
    st.session_state[SEEN] = chosen.key
    st.session_state[NAME] = suggested(Path(chosen.name).stem)
    mapped = recognise(found)
    st.session_state[FORMAT] = mapped.format or None
    for item in FORMATS:
        for role in item.roles:
            st.session_state[f"data.role.{role}"] = mapped.columns.get(role)


def suggested(stem: str) -> str:
    """A name for a dataset that the name of its file suggests, of letters that an entry may have."""
    name = re.sub(r"[^\w.-]+", "_", stem).strip("._-")[:60]
    return name if is_name(name) else f"data_{name}".rstrip("_")


def draw_mapping(found: Survey) -> Mapped | None:
    """The format and the column of each role; None while no format is chosen. No entry can name a column whose name
    is no text."""
    columns = tuple(filter(is_text, found.columns))
    name = keyed.select(
        t("ui.data_format"),
        [item.name for item in FORMATS],
        key=FORMAT,
        page=PAGE,
        nothing=t("ui.not_set"),
        word=lambda name: choice("formats", name),
        placeholder=t("ui.not_set"),
        help=t("ui.data_format_help"),
    )
    if name is None:
        return None
    item = BY_NAME[name]
    places = st.columns(4)
    for number, role in enumerate(item.roles):
        held = st.session_state.get(f"data.role.{role}")
        with places[number % 4]:
            keyed.select(
                choice("roles", role) + (" *" if role in item.needed else ""), widgets.with_current(columns, held),
                key=f"data.role.{role}", page=PAGE, nothing=t("ui.not_set"), placeholder=t("ui.not_set"),
            )
    chosen = {role: st.session_state.get(f"data.role.{role}") for role in item.roles}
    return Mapped(name, {role: column for role, column in chosen.items() if column})


def draw_raw(start: Preview, found: Survey) -> None:
    """What the file holds, for whoever has to say which column is what."""
    st.caption(markdown_safe(t("ui.data_columns_are", columns=listed(filter(is_text, found.columns)) or "–")))
    draw_table(list(start.rows[:3]), None)


def draw_result(start: Preview, mapped: Mapped, made: Mapping[str, Any]) -> None:
    """The first rows by their roles, and the entry that will be written."""
    rows = [{choice("roles", role): row.get(column) for role, column in mapped.columns.items()} for row in start.rows]
    if mapped.columns:
        st.caption(t("ui.data_becomes"))
        draw_table(rows[:3], None)
    with st.popover(t("ui.data_entry"), type="tertiary"):
        st.code(json.dumps(made, ensure_ascii=False, indent=2), language="json")


def rows_of(services: Services, chosen: Chosen, made: Mapping[str, Any]) -> Usable | None:
    """How many rows are usable with an entry; None while they are looked through."""
    stage = usual_stage(format_of(made))
    if chosen.path is not None:
        return services.data.check(chosen.path, chosen.name, made, stage).found
    kept: dict[str, Usable | None] = st.session_state[LOOKED][3]
    key = json.dumps(made, sort_keys=True)
    if key not in kept:
        kept[key] = check([chosen.file] if chosen.file else (), chosen.name, made, stage)
    return kept[key]


def draw_rows_of(usable: Usable | None, made: Mapping[str, Any]) -> None:
    """How many rows are usable, in words."""
    if usable is None:
        st.caption(t("ui.data_looking", share="…"))
        return
    outcome.draw_usable(usable, usual_stage(format_of(made)))
    if made.get("formatting") == "openai":
        st.info(t("ui.data_openai"))


def why_not(mapped: Mapped | None, usable: Usable | None) -> str:
    """Why the dataset cannot be added; "" when it can."""
    if mapped is None:
        return t("ui.data_need_format")
    absent: Sequence[str] = missing(mapped)
    if absent:
        return t("ui.data_need_columns", columns=listed(choice("roles", role) for role in absent))
    return t("ui.data_need_rows") if usable is not None and usable.fails else ""


def draw_add(folder: Path, chosen: Chosen, made: Mapping[str, Any], reason: str) -> None:
    """The dataset's name and the button, which says why it is disabled; beside it what the last click answered."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(t("ui.data_name"), key=NAME, width=320)
        st.button(
            t("ui.data_add_it"), type="primary", key="data.add", on_click=add, disabled=bool(reason),
            help=reason or None, args=(folder, chosen, made),
        )
    if reason:
        st.caption(f":material/info: {reason}")
    answer = st.session_state.pop(ANSWER, None)
    if answer:
        st.error(markdown_safe(answer))


def add(folder: Path, chosen: Chosen, made: Mapping[str, Any]) -> None:
    """Writes the file into the data folder (unless it is there) and its entry into dataset_info.json; then the form is
    empty again."""
    name = (st.session_state.get(NAME) or "").strip()
    uploaded = chosen.file is not None
    target = folder / (f"{name}{Path(chosen.name).suffix}" if uploaded else chosen.name)
    if uploaded and os.path.lexists(target):
        st.session_state[ANSWER] = t("problems.data_taken", value=target.name)
        return
    problem = add_entry(folder, name, target.relative_to(folder).as_posix(), made)
    if problem is not None:
        st.session_state[ANSWER] = problem_words(problem)
        return
    if chosen.file is not None and chosen.file.content is not None:
        with target.open("xb") as written:  # never through a link that was put there meanwhile
            written.write(chosen.file.content)
    st.session_state[train_with.ADDED] = st.session_state[train_with.PICK] = name
    st.session_state[UPLOADS] = st.session_state.get(UPLOADS, 0) + 1
    st.session_state[LOCAL] = None
    for key in (SEEN, LOOKED):
        st.session_state.pop(key, None)
