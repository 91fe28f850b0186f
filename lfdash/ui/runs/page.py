"""The Runs page: the queue, all runs of the workspace in one table, what can be done with them, and the trash."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from lfdash.engine.defaults import now
from lfdash.engine.services import Services
from lfdash.files import readable
from lfdash.locales import in_language
from lfdash.runs.grouping import best_ids
from lfdash.runs.misread import misread
from lfdash.runs.order import MOVING, arrange
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.table import PENDING, TableRow
from lfdash.runs.table_csv import to_csv
from lfdash.runs.values import ARG
from lfdash.runs.view import RunView
from lfdash.ui.launch import question, queue
from lfdash.ui.runs import actions as run_actions
from lfdash.ui.runs import details, filters, selection, tables, trash, view
from lfdash.ui.runs.columns import columns_of
from lfdash.ui.shared import streamlit_private
from lfdash.ui.shared.answers import MESSAGE, NOTICE
from lfdash.ui.shared.layout import draw_frame
from lfdash.ui.shared.looks import looks
from lfdash.ui.shared.run_words import tick_seconds
from lfdash.ui.shared.session import shared_services
from lfdash.ui.shared.text import markdown_safe, problem_markdown, several, t

ORDER = "runs.order"  # (what was asked for, ids in the order that was shown)
MOST_UNSEEN = 5  # places that could not be read and are named
TABLE = "runs_table"  # the fragment
ROWS_A_SECOND = 200  # of the table, in which one run goes on: each redraw sends all of it, about 1 kB a row


def draw() -> None:
    """Draws the page."""
    draw_frame("ui.page_runs", sidebar=False)
    services = shared_services()
    filters.seed()
    views = services.registry.snapshot()
    rows = services.table.rows(views)
    draw_answers(services)
    alive = next((view for view in views if view.state not in TERMINAL), None)
    seconds = tick_seconds(alive, streamlit_private.open_tabs())
    waits = any(view.waiting for view in views) or st.session_state.get(queue.CANCELLED) or queue.is_spoiled(services)
    waiting = st.fragment(partial(queue.draw, services), run_every=seconds, key="runs_queue")
    if waits:
        waiting()
    if rows:
        draw_tools(services, rows)
    filters.publish()
    asks = max(seconds, len(rows) / ROWS_A_SECOND)
    st.fragment(partial(tick, services, seconds), run_every=asks, key=TABLE)()
    watch(services, views, seconds)
    if not waits:  # an empty queue is for those who look for it
        waiting()
    trash.draw(services)


def draw_tools(services: Services, rows: Sequence[TableRow]) -> None:
    """What decides which runs are shown, and how."""
    arguments = columns_of(services.table).given(rows)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="runs_tools"):
        filters.draw_search()
        filters.draw_menu(rows, [name.removeprefix(ARG) for name in arguments])
        view.draw_menu(services, rows, arguments)
        filters.draw_chips(view.word)


def draw_answers(services: Services) -> None:
    """What the last click was answered."""
    message = st.session_state.get(MESSAGE)
    if message:
        st.error(markdown_safe(message), icon=":material/block:")
    notice = st.session_state.pop(NOTICE, None)
    if notice:
        st.toast(notice)
    question.draw(services, "all")
    run_actions.draw_answers(services)


def watch(services: Services, drawn: Sequence[RunView], seconds: float) -> None:
    """Has the table drawn at once when a run comes, goes or gets another state; what moves by itself waits for the next
    tick. drawn: the runs as they were drawn. seconds: between two redraws, at least."""
    before = states_of(drawn)
    looks.keep(
        streamlit_private.fragment_of(TABLE), lambda: states_of(services.registry.snapshot()) != before, seconds
    )


def states_of(views: Sequence[RunView]) -> list[tuple[object, ...]]:
    """What is known of runs at a glance."""
    return [(view.run_id, view.state, view.waiting) for view in views]


def tick(services: Services, seconds: float) -> None:
    """The table and what is done with its runs; drawn again and again, at the cost of what changed."""
    views = services.registry.snapshot()
    watch(services, views, seconds)
    rows = services.table.rows(views)
    draw_unseen(services)
    if not rows:
        draw_empty(services)
        return
    shown = in_order(filters.read().select(rows))
    columns = view.resolved(services, columns_of(services.table).differing(shown, rows), rows)
    parts = tables.parts_of(shown)
    chosen = selection.selected(tables.drawn(parts))
    with st.container(horizontal=True, key="runs_bar", vertical_alignment="center", gap="small"):
        run_actions.draw(services, [row.run_id for row in chosen])
        draw_csv(services, shown, columns)
    problems = misread(filters.read().conditions, rows)
    for problem in problems:
        st.warning(problem_markdown(problem), icon=":material/filter_alt:")
    if not shown:
        if not problems:
            st.info(t("ui.runs_no_match"), icon=":material/filter_alt:")
        st.button(t("ui.runs_clear"), key="runs_clear_too", on_click=filters.clear)
        return
    with st.container(key="runs_count"):
        st.caption(count_words(rows, shown, len(chosen)))
    draw_pointers(shown)
    tables.draw(services, parts, shown, rows, columns, best_ids(shown))
    if len(chosen) == 1:
        details.draw(services, chosen[0])


def draw_pointers(shown: Sequence[TableRow]) -> None:
    """Whose files git-lfs has left out, and what fetches them."""
    names = [markdown_safe(row.name) for row in shown if "pointer" in row.badges]
    if names:
        more = [f"+ {len(names) - MOST_UNSEEN}"] if len(names) > MOST_UNSEEN else []
        told = several([*names[:MOST_UNSEEN], *more])
        st.caption(f":material/cloud_download: {t('ui.compare_is_pointer', names=told)}")


def draw_unseen(services: Services) -> None:
    """What could not be read just now: nothing is known of what goes on there. Of runs on a cluster whose scheduler
    does not answer that is said once for each cluster: they keep nobody from this machine."""
    watcher = services.registry.watcher
    unseen = dict(watcher.unseen)
    silent: dict[str, str] = {}
    for run in watcher.alive if unseen else ():
        if run.target and run.unseen and str(run.path) in unseen:
            silent[run.target] = unseen.pop(str(run.path))
    for target, why in sorted(silent.items()):
        words = t("scheduled.unseen_runs", target=markdown_safe(target), reason=markdown_safe(why))
        st.warning(words, icon=":material/visibility_off:")
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


def count_words(rows: Sequence[TableRow], shown: Sequence[TableRow], chosen: int) -> str:
    """How many runs there are, go on, wait in the queue of a scheduler, and are selected."""
    pending = sum(PENDING in row.badges for row in rows)
    alive = sum(row.state in (RunState.STARTING, RunState.RUNNING, RunState.STOPPING) for row in rows) - pending
    words = [t("ui.runs_count", shown=f"{len(shown):,}", total=f"{len(rows):,}")]
    if alive:
        words.append(t("ui.runs_alive", count=alive))
    if pending:
        words.append(t("ui.runs_pending", count=pending))
    if chosen:
        words.append(f"**{t('ui.runs_chosen', count=chosen)}**")
    return " · ".join(words)


def draw_csv(services: Services, shown: Sequence[TableRow], columns: Sequence[str]) -> None:
    """All that are shown, as a file; with the settings and results that are shown."""
    words = t("ui.runs_csv_help")
    st.download_button(
        words, partial(csv_of, services, tuple(shown), columns), file_name=f"runs-{now():%Y%m%d-%H%M}.csv",
        mime="text/csv", key="runs_csv", on_click="ignore", icon=":material/download:", help=words, disabled=not shown,
    )


def csv_of(services: Services, rows: Sequence[TableRow], columns: Sequence[str] = ()) -> str:
    """The rows as CSV, made when it is asked for; with a mark by which spreadsheets know UTF-8."""
    def state_word(state: RunState) -> str:
        return in_language("en", f"states.{state.name}")

    return "\ufeff" + to_csv(rows, services.registry.redact, state_word, columns)
