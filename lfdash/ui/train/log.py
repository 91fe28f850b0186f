"""The output of the run that is shown: the browser holds a part of it, is sent what is new, and asks for the rest."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from lfdash.engine.services import Services
from lfdash.jobs.kinds import BY_NAME
from lfdash.runs.metrics.feed import RunFeed
from lfdash.runs.output.log import RunLog
from lfdash.runs.record import TERMINAL
from lfdash.runs.takeaway import log_bytes
from lfdash.runs.view import RunView
from lfdash.ui.shared import browser_part
from lfdash.ui.shared.text import language, t
from lfdash.ui.train import log_answers
from lfdash.ui.train.log_answers import ROWS, Followed, Wire

KEY = "console"
FOLLOWED = "page.log"
CATCH_UP_S = 0.01  # seconds that a tick reads on for the index
FIRST_S = 0.05  # seconds that the first page may take
WORDS = (
    "all", "warnings", "errors", "wrap", "traceback", "search", "previous", "next", "none", "no_warnings",
    "no_errors", "wrapped_start", "wrapped_end", "new", "end", "progress", "metrics", "region",
)


def draw_log(services: Services, view: RunView, feed: RunFeed) -> None:
    """The child's output: follows its end until scrolled up."""
    log = services.logs.of(view.paths.printed)
    if not log.size:
        failed = log.failure and t("problems.data_unreadable", file=log.path.name, reason=log.failure)
        why = "log_unbegun" if view.never_began else "log_over"
        over = view.state in TERMINAL and t(f"ui.{why}", file=log.path.name)
        st.caption(failed or over or t("ui.log_empty"))
        return
    tall = not (BY_NAME[view.kind].trains and len(feed.frame))
    if log.path != view.paths.console:
        st.caption(t("ui.log_of_framework", file=log.path.name, missing=view.paths.console.name))
    with st.container(key="log_box"):
        draw_rows(services, view, tall)
        st.download_button(
            t("ui.log_take"), partial(log_bytes, view.paths, services.registry.redactor()),
            file_name=f"{view.name}.log", mime="text/plain", key="log_take", on_click="ignore",
            icon=":material/download:", help=t("ui.run_download_log_help"),
        )


@st.fragment
def draw_rows(services: Services, view: RunView, tall: bool) -> None:
    """The lines; what the browser asks for draws this alone."""
    followed = st.session_state.get(FOLLOWED)
    if followed is None or followed.run_id != view.run_id:
        followed = st.session_state[FOLLOWED] = Followed(view.run_id)
    data = message(services, view, followed, tall)
    browser_part.mount("log", KEY, data, on_ask_change=partial(take_question, followed))


def take_question(followed: Followed) -> None:
    """What the browser asks for, answered when the log is drawn."""
    followed.asked = st.session_state[KEY].get("ask")


def message(services: Services, view: RunView, followed: Followed, tall: bool) -> dict[str, Any]:
    """What the browser is sent: what is new to it, and what it asked for."""
    log = services.logs.of(view.paths.printed)
    wire = Wire(services.registry.redactor())
    followed.turn += 1
    data: dict[str, Any] = {"run": view.run_id, "session": followed.session, "turn": followed.turn}
    question, followed.asked = followed.asked, None
    wordless = isinstance(question, dict) and bool(question.get("wordless"))  # a message may be left out
    if followed.words != language() or wordless:
        followed.words = language()
        data["words"] = {f"log_{name}": t(f"ui.log_{name}") for name in WORDS}
    try:
        log.catch_up(CATCH_UP_S)
        start = view.paths.attempt(view.attempt).console_start() if log.path == view.paths.console else 0
        if log.generation != followed.generation:
            data["page"] = log_answers.at_end(log, wire, followed, FIRST_S)
        else:
            data |= news(log, wire, followed)
        if isinstance(question, dict):
            data["reply"] = log_answers.answer(log, wire, followed, question, start)
            data.pop("page", None) if "page" in data["reply"] and data["reply"]["page"].get("all") else None
        if log.indexed < 1 or log_answers.is_searching(data):
            services.logs.read_on()
        data["told"] = told_of(log, tall)
    except OSError as error:
        data["told"] = {"size": log.size, "failed": error.strerror or type(error).__name__}
    return data


def news(log: RunLog, wire: Wire, followed: Followed) -> dict[str, Any]:
    """What the log gained since this session was sent any."""
    if log.size == followed.size:
        return {"to": followed.place}
    found = log.news(followed.place, followed.levels, followed.least)
    if found is None or len(found.rows) > 2 * ROWS:
        return {"page": {**log_answers.at_end(log, wire, followed, FIRST_S), "kept": True}}
    sent = {"from": followed.place, "to": found.place, "rows": wire.rows(found.rows, found.place)}
    followed.place, followed.levels, followed.size = found.place, found.levels, log.size
    return sent


def told_of(log: RunLog, tall: bool) -> dict[str, Any]:
    """What is said beside the lines."""
    index = log.index
    return {
        "size": log.size, "warnings": index.total("warnings"), "errors": index.total("errors"), "tall": tall,
        "indexed": round(log.indexed, 2), "traceback": log.first_traceback() is not None,
    }
