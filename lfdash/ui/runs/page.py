"""The Runs page: the queue, all runs of the workspace in one table, what can be done with them, and the trash."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any
from zlib import crc32

import pyarrow as pa
import streamlit as st

from lfdash.engine.defaults import now
from lfdash.engine.services import Services
from lfdash.engine.words import stall_in
from lfdash.files import readable
from lfdash.locales import in_language
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.table import MOVING, TableRow, arrange, to_csv
from lfdash.ui.launch import queue
from lfdash.ui.runs import actions as run_actions
from lfdash.ui.runs import filters, trash
from lfdash.ui.runs.columns import SCHEMA, columns_of
from lfdash.ui.shared import streamlit_private
from lfdash.ui.shared.answers import MESSAGE, NOTICE
from lfdash.ui.shared.layout import draw_frame
from lfdash.ui.shared.run_words import BADGE_LOOKS, LOOKS, state_word, tick_seconds
from lfdash.ui.shared.session import shared_services
from lfdash.ui.shared.text import language, markdown_safe, several, t

ORDER = "runs.order"  # (what was asked for, ids in the order that was shown)
CHOSEN = run_actions.CHOSEN
SHOWN_TABLE = "runs.shown_table"  # the key of the table that the page shows
COLOURS = {
    "run": "#1668c7", "done": "#1a7f37", "fail": "#c62f2f", "stop": "#9a6700", "idle": "#6e7781",
}
CURVE = "#4a8fe0"  # seen on white and on black
ROW, HEAD, TALLEST = 35, 37, 604  # px
MOST_UNSEEN = 5  # places that could not be read and are named


def draw() -> None:
    """Draws the page."""
    draw_frame("ui.page_runs")
    services = shared_services()
    filters.seed()
    rows = services.table.rows(services.registry.snapshot())
    with st.sidebar:
        if rows:
            filters.draw(rows)
    filters.publish()
    draw_answers(services)
    views = services.registry.snapshot()
    alive = next((view for view in views if view.state not in TERMINAL), None)
    seconds = tick_seconds(alive, streamlit_private.open_tabs())
    waits = any(view.waiting for view in views) or st.session_state.get(queue.CANCELLED) or queue.is_spoiled(services)
    panels = [
        st.fragment(partial(queue.draw, services), run_every=seconds, key="runs_queue"),
        st.fragment(partial(tick, services), run_every=seconds, key="runs_table"),
    ]
    for panel in panels if waits else reversed(panels):  # an empty queue is for those who look for it
        panel()
    trash.draw(services)


def draw_answers(services: Services) -> None:
    """What the last click was answered."""
    message = st.session_state.get(MESSAGE)
    if message:
        st.error(markdown_safe(message), icon=":material/block:")
    notice = st.session_state.pop(NOTICE, None)
    if notice:
        st.toast(notice)
    queue.draw_question(services)
    run_actions.draw_answers(services)


def tick(services: Services) -> None:
    """The table and what is done with its runs; drawn again and again, at the cost of what changed."""
    rows = services.table.rows(services.registry.snapshot())
    draw_unseen(services)
    if not rows:
        draw_empty(services)
        return
    shown = in_order(filters.read().select(rows))
    key = prepare_selection([row.run_id for row in shown])
    chosen = selected(key, shown)
    with st.container(horizontal=True, key="runs_bar", vertical_alignment="center", gap="small"):
        run_actions.draw(services, [row.run_id for row in chosen])
        draw_csv(services, shown)
    if not shown:
        st.info(t("ui.runs_no_match"), icon=":material/filter_alt:")
        st.button(t("ui.runs_clear"), key="runs_clear_too", on_click=filters.clear)
        return
    st.caption(count_words(rows, shown, len(chosen)))
    draw_table(key, columns_of(services.table).of(shown, rows))
    if len(chosen) == 1:
        draw_details(services, chosen[0])


def draw_unseen(services: Services) -> None:
    """What could not be read just now: nothing is known of what goes on there."""
    unseen = services.registry.watcher.unseen
    if unseen:
        first = sorted(unseen.items())[:MOST_UNSEEN]
        told = [f"{markdown_safe(readable(path))} ({markdown_safe(why)})" for path, why in first]
        more = len(unseen) - len(told)
        places = several([*told, f"+ {more}"] if more else told)
        st.warning(t("ui.unseen_places", places=places), icon=":material/visibility_off:")


def draw_empty(services: Services) -> None:
    """What to do where no run is."""
    st.info(t("ui.runs_none"), icon=":material/rocket_launch:")
    saves = markdown_safe(str(services.workspace.saves))
    st.markdown(t("ui.runs_none_plain", folder=saves))
    st.page_link("app.py", label=t("ui.runs_none_start"), icon=":material/arrow_forward:")


def in_order(rows: Sequence[TableRow]) -> list[TableRow]:
    """The rows in the order that was asked for. An order by values that change by themselves is kept while no row
    comes or goes: a table whose rows move cannot be read, and what is selected in it is told by place."""
    asked = (filters.order(), filters.read())
    held = st.session_state.get(ORDER)
    by_id = {row.run_id: row for row in rows}
    if asked[0][0] in MOVING and held is not None and held[0] == asked and by_id.keys() == set(held[1]):
        return [by_id[run_id] for run_id in held[1]]
    found = arrange(rows, *asked[0])
    st.session_state[ORDER] = (asked, [row.run_id for row in found])
    return found


# -- selection ------------------------------------------------------------------------------------------


def table_key(ids: Sequence[str]) -> str:
    """The key of the table with these runs in this order."""
    return f"runs.table.{crc32(chr(10).join(ids).encode()):08x}"


def prepare_selection(ids: Sequence[str]) -> str:
    """The key of the table that shows these runs, with those selected that were.

    A browser tells a selection by place. Other runs, or the same in another order, make another table: a click on the
    one before, which is still under way, must not mean another run.
    """
    key = table_key(ids)
    if key != st.session_state.get(SHOWN_TABLE) or key not in st.session_state:
        wanted = set(st.session_state.get(CHOSEN, ()))
        places = [place for place, run_id in enumerate(ids) if run_id in wanted]
        st.session_state[table_key(ids)] = {"selection": {"rows": places, "columns": [], "cells": []}}
        st.session_state[SHOWN_TABLE] = key
    return key


def selected(key: str, rows: Sequence[TableRow]) -> list[TableRow]:
    """The selected rows; remembered by their ids."""
    places = st.session_state[key]["selection"]["rows"]
    found = [rows[place] for place in sorted(places) if place < len(rows)]
    st.session_state[CHOSEN] = [row.run_id for row in found]
    return found


def chosen_in(key: str) -> None:
    """Something was chosen in the table: rows, or the head of a column, by which it is then sorted."""
    heads = st.session_state[key]["selection"]["columns"]
    if heads:
        filters.sort_by(heads[0])
        st.session_state[SHOWN_TABLE] = None  # the head is not to stay selected, also where the order is the same
        st.rerun()


# -- the table ------------------------------------------------------------------------------------------


def count_words(rows: Sequence[TableRow], shown: Sequence[TableRow], chosen: int) -> str:
    """How many runs there are, go on, and are selected."""
    alive = sum(row.state in (RunState.STARTING, RunState.RUNNING, RunState.STOPPING) for row in rows)
    words = [t("ui.runs_count", shown=f"{len(shown):,}", total=f"{len(rows):,}")]
    if alive:
        words.append(t("ui.runs_alive", count=alive))
    if chosen:
        words.append(f"**{t('ui.runs_chosen', count=chosen)}**")
    return " · ".join(words)


def draw_csv(services: Services, shown: Sequence[TableRow]) -> None:
    """All that are shown, as a file."""
    words = t("ui.runs_csv_help")
    st.download_button(
        words, partial(csv_of, services, tuple(shown)), file_name=f"runs-{now():%Y%m%d-%H%M}.csv", mime="text/csv",
        key="runs_csv", on_click="ignore", icon=":material/download:", help=words, disabled=not shown,
    )


def csv_of(services: Services, rows: Sequence[TableRow]) -> str:
    """The rows as CSV, made when it is asked for; with a mark by which spreadsheets know UTF-8."""
    return "\ufeff" + to_csv(rows, services.registry.redact, lambda state: in_language("en", f"states.{state.name}"))


def draw_table(key: str, data: pa.Table) -> None:
    """The table; its selection is under `key`."""
    st.dataframe(
        data,
        key=key,
        on_select=partial(chosen_in, key),
        selection_mode=["multi-row", "single-column"],
        hide_index=True,
        column_config=columns(),
        column_order=[name for name in SCHEMA.names if name != "folder"],
        height=min(TALLEST, HEAD + ROW * data.num_rows),
        row_height=ROW,
        placeholder="–",
        alt=t("ui.page_runs"),
    )


def columns() -> dict[str, Any]:
    """How the columns look, in the session's language."""
    config = st.column_config
    names = {name: t(f"ui.runs_col_{name}") for name in SCHEMA.names}
    by, down = filters.order()
    names[by] += " ↓" if down else " ↑"
    looks = {**{state.name: look for state, look in LOOKS.items()}, **BADGE_LOOKS}
    return {
        "state": config.MultiselectColumn(
            names["state"], options=list(looks), color=[COLOURS[look] for look in looks.values()],
            format_func=state_word, width=172,
        ),
        "name": config.TextColumn(names["name"], width=190, pinned=True),
        "progress": config.ProgressColumn(names["progress"], width=104, format="%d%%", min_value=0, max_value=100),
        "spark": config.LineChartColumn(names["spark"], width=110, color=CURVE),
        "last": config.NumberColumn(names["last"], width=84, format="%.4f"),
        "best": config.NumberColumn(names["best"], width=96, format="%.4f"),
        "best_eval": config.NumberColumn(names["best_eval"], width=112, format="%.4f"),
        "duration": config.TextColumn(names["duration"], width=82, alignment="right"),
        "model": config.TextColumn(names["model"], width=160),
        "stage": config.TextColumn(names["stage"], width=60),
        "method": config.TextColumn(names["method"], width=70),
        "kind": config.TextColumn(names["kind"], width=64),
        "tags": config.ListColumn(names["tags"], width=150),
        "note": config.TextColumn(names["note"], width=240),
        "when": config.DatetimeColumn(
            names["when"], width=132, format="YYYY-MM-DD HH:mm", timezone=st.context.timezone or "UTC"
        ),
        "folder": config.TextColumn(names["folder"], width=240),
    }


def draw_details(services: Services, row: TableRow) -> None:
    """What the table has no room for."""
    parts = [f":material/folder: {markdown_safe(row.folder)}"]
    if row.step is not None:
        parts.append(t("ui.runs_at_step", step=row.step, total=row.total or "?"))
    for name, value, step in (("best", row.best, row.best_step), ("best_eval", row.best_eval, row.best_eval_step)):
        if value is not None:
            parts.append(t("ui.runs_best_at", name=t(f"ui.runs_col_{name}"), value=f"{value:.4f}", step=step))
    st.caption(" · ".join(parts))
    if "stalled" in row.badges or "dead" in row.badges:
        draw_marks(services, row)
    if row.error:
        st.error(markdown_safe(services.registry.redact(row.error)), icon=":material/error:")
    if row.note:
        st.text(row.note)


def draw_marks(services: Services, row: TableRow) -> None:
    """What is told of a run beside its state, in words."""
    view = services.registry.get(row.run_id)
    if view is not None and view.stall is not None:
        st.warning(stall_in(language(), view.stall), icon=":material/hourglass_disabled:")
    dead = services.registry.summaries.get(view).summary.dead_step if view is not None else None
    if dead is not None:
        st.warning(t("ui.loss_dead", step=dead), icon=":material/monitor_heart:")
