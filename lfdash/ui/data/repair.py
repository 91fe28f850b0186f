"""A better entry for a dataset that is listed already: what its file says today, offered where more rows are usable
with it than with the entry that is there (one of an earlier version, or one with a mistake)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from lfdash.data.dataset_info import replace_entry
from lfdash.data.formats import entry, recognise
from lfdash.data.report import format_of, usual_stage
from lfdash.data.usable import Usable
from lfdash.engine.services import Services
from lfdash.ui.shared.text import markdown_safe, problem_words, t

ANSWER = "data.repaired"  # (name, what the last click answered; "" = done)
KEPT = ("file_name", "num_samples", "split", "subset", "folder")  # keys that say what is taken, not what it means


def draw(services: Services, folder: Path, name: str, old: Mapping[str, Any], path: Path, found: Usable) -> None:
    """Draws the offer, and what the last click did. path: the dataset's file, without links. found: its rows today."""
    answer = st.session_state.get(ANSWER)
    if answer is not None and answer[0] == name:
        del st.session_state[ANSWER]
        if answer[1]:
            st.error(markdown_safe(answer[1]))
        else:
            st.success(markdown_safe(t("ui.data_repaired", name=name)))
    if not found.problems:
        return
    better = proposed(services, name, old, path, found.usable or 0)
    if better is None:
        return
    new, usable = better
    numbers = {"usable": f"{usable.usable:,}", "rows": f"{usable.rows:,}"}
    with st.container(border=True, key="data_repair"):
        st.markdown(t("ui.data_repair", **numbers))
        st.caption(t("ui.data_repair_help"))
        st.code(json.dumps({name: new}, ensure_ascii=False, indent=2), language="json")
        st.button(
            t("ui.data_repair_it"), key="data.repair", type="primary", icon=":material/build:", on_click=write,
            args=(folder, name, new),
        )


def proposed(
    services: Services, name: str, old: Mapping[str, Any], path: Path, usable: int
) -> tuple[dict[str, Any], Usable] | None:
    """The entry that the file's values ask for, and its rows; None where it is no better, or not known yet.

    usable: rows that are trained on today.
    """
    survey = services.data.survey(path).found
    mapped = recognise(survey) if survey is not None and survey.problem is None else None
    if survey is None or mapped is None or not mapped.format:
        return None
    new = {**{key: old[key] for key in KEPT if key in old}, **entry(mapped, survey)}
    stage = usual_stage(format_of(new))
    counted = services.data.check(path, name, new, stage).found
    if counted is None or counted.fails or counted.rows is None or (counted.usable or 0) <= usable:
        return None
    return new, counted


def write(folder: Path, name: str, new: Mapping[str, Any]) -> None:
    """Replaces the entry."""
    problem = replace_entry(folder, name, new)
    st.session_state[ANSWER] = (name, problem_words(problem) if problem is not None else "")
