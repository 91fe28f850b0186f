"""The runs table as it is drawn: one, or one for each group that is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from lfdash.engine.services import Services
from lfdash.jobs.kinds import named
from lfdash.runs.arguments import words
from lfdash.runs.grouping import Group, grouped, marked_id, metric_of
from lfdash.runs.table import PENDING, TableRow
from lfdash.runs.values import ARG, SCORE
from lfdash.ui.launch import sweep_list
from lfdash.ui.runs import actions, filters, selection, view
from lfdash.ui.runs.columns import SCHEMA, columns_of
from lfdash.ui.shared import keyed
from lfdash.ui.shared.run_words import BADGE_LOOKS, BEST, STATE_LOOKS, duration, state_word
from lfdash.ui.shared.session import shared_sweeps
from lfdash.ui.shared.text import isolated, markdown_safe, t

COLOURS = {
    "run": "#1668c7", "done": "#1a7f37", "fail": "#c62f2f", "stop": "#9a6700", "idle": "#6e7781",
}
CURVE = "#4a8fe0"  # seen on white and on black
ROW, HEAD = 35, 37  # px
STATES_PX = 150  # of the column of the states: room for a state and a short mark
TALLEST, TALLEST_GROUP = 606, 387
MOST_GROUPS = 60  # that are drawn
SMALLEST = 1e-6  # a number that the table writes without an exponent
NUMBER = "%.12g"  # all digits that an argument has; Streamlit's "plain" makes 999.9999999999999 of 1000
LONGEST = 60  # characters of a value in a title


@dataclass(frozen=True)
class Part:
    """A table of the page. place: tells it from others; group: what it is of, None = of all rows; key: of the table
    where it is drawn, "" where its group is closed."""

    place: str
    rows: Sequence[TableRow]
    group: Group | None = None
    key: str = ""


def parts_of(rows: Sequence[TableRow]) -> list[Part]:
    """The tables of these rows, with what is selected in them prepared."""
    by = filters.grouping()
    if by is None:
        return [Part("", rows, None, selection.prepare([row.run_id for row in rows]))] if rows else []
    found = []
    for group in grouped(rows, by, metric_of(rows, filters.order()[0])):
        what = f"{by}={group.value!r}{'?' * group.unknown}"
        place = f"{crc32(what.encode()):08x}."
        is_open = bool(st.session_state.get(open_key(place)))
        key = selection.prepare([row.run_id for row in group.rows], place) if is_open else ""
        found.append(Part(place, group.rows, group, key))
    return found


def open_key(place: str) -> str:
    """Where it is kept whether a group is open."""
    return f"runs.group.{place}"


def drawn(parts: Sequence[Part]) -> list[tuple[str, Sequence[TableRow]]]:
    """The tables that are seen."""
    return [(part.key, part.rows) for part in parts if part.key]


def draw(
    services: Services, parts: Sequence[Part], rows: Sequence[TableRow], every: Sequence[TableRow],
    columns: Sequence[str], best: frozenset[str],
) -> None:
    """The tables. rows: all that are shown, in order; every: all rows of the workspace; columns: those that are shown
    beside the name; best: ids of the rows that are marked."""
    if not parts or parts[0].group is None:
        draw_table(services, parts[0].key, rows, every, columns, best, TALLEST)
        return
    metric, by = metric_of(rows, filters.order()[0]), filters.grouping() or ""
    with st.container(key="runs_groups", gap="xsmall"):
        for part in parts[:MOST_GROUPS]:
            assert part.group is not None
            with keyed.expander(title(part.group, by, metric), key=open_key(part.place), page=filters.PAGE) as box:
                if box.open and part.key:
                    draw_sweep(part.rows)
                    marks = frozenset(filter(None, (marked_id(part.group),)))
                    draw_table(services, part.key, part.rows, every, columns, marks, TALLEST_GROUP)
    if len(parts) > MOST_GROUPS:
        st.caption(t("ui.runs_groups_more", count=len(parts) - MOST_GROUPS))


def draw_sweep(rows: Sequence[TableRow]) -> None:
    """The way to the sweep whose runs a group is made of."""
    tags = set(rows[0].tags).intersection(*(row.tags for row in rows))
    sweep = shared_sweeps().of_run(rows[0].run_id, tags)
    if sweep is not None and sweep.tag in tags:
        sweep_list.draw_link(sweep.id, t("sweep.of_run", name=isolated(sweep.name)))


def draw_table(
    services: Services, key: str, rows: Sequence[TableRow], every: Sequence[TableRow], columns: Sequence[str],
    best: frozenset[str], tallest: int,
) -> None:
    """One table; its selection is under `key`."""
    more = [name for name in columns if name not in SCHEMA.names]
    data = columns_of(services.table).of(rows, every, more, best, services.registry.redactor())
    st.dataframe(
        data,
        key=key,
        on_select=partial(chosen_in, key),
        selection_mode=["multi-row", "single-column"],
        hide_index=True,
        column_config=looks(services, key, data, [row.run_id for row in rows]),
        column_order=["name", *columns],
        height=min(tallest, HEAD + ROW * len(rows) + 2),
        row_height=ROW,
        placeholder="–",
        alt=t("ui.page_runs"),
    )


def chosen_in(key: str) -> None:
    """Something was chosen in a table: rows, or the head of a column, by which it is then sorted."""
    heads = st.session_state[key]["selection"]["columns"]
    if heads:
        filters.sort_by(heads[0])
        selection.forget()  # the head is not to stay selected, also where the order is the same
        st.rerun()


def open_named(services: Services, key: str, ids: Sequence[str]) -> None:
    """A name was clicked: the run is shown on the page of its kind."""
    click = st.session_state.get(f"{key}.open")
    place = -1 if click is None else click["row"]
    found = services.registry.get(ids[place]) if 0 <= place < len(ids) else None
    if found is not None:
        st.session_state[actions.GO] = (named(found.kind).page, found.run_id)


def states_width(data: pa.Table) -> int:
    """How wide the column of the states is, px: so that all marks of a run are seen."""
    lengths = pc.list_value_length(data["state"]) if "state" in data.column_names else None
    if lengths is None or len(lengths) == 0:
        return STATES_PX
    marked = data["state"].filter(pc.greater(lengths, 1)).to_pylist()
    if pc.any(pc.equal(pc.list_flatten(data["state"]), PENDING)).as_py():
        marked.append([PENDING])  # longer than a state, in some languages
    words = {name: state_word(name) for names in marked for name in names}
    pixels = {name: 22 + sum(15 if letter > "\u2e80" else 8 for letter in word) for name, word in words.items()}
    return min(max([STATES_PX, *(16 + sum(map(pixels.__getitem__, names)) for names in marked)]), 2 * STATES_PX)


def looks(services: Services, key: str, data: pa.Table, ids: Sequence[str]) -> dict[str, Any]:
    """How the columns look, in the session's language."""
    config = st.column_config
    names = {name: view.word(name) for name in data.column_names}
    by, down = filters.order()
    if by in names:
        names[by] += " ↓" if down else " ↑"
    states = {**STATE_LOOKS, **BADGE_LOOKS, BEST: "done"}
    own: dict[str, Any] = {
        "state": config.MultiselectColumn(
            names["state"], options=list(states), color=[COLOURS[look] for look in states.values()],
            format_func=state_word, width=states_width(data),
        ),
        "name": config.ButtonColumn(
            names["name"], width=210, pinned=True, type="tertiary", alignment="left", key=f"{key}.open",
            on_click=open_named, args=(services, key, ids), help=t("ui.runs_name_help"),
        ),
        "progress": config.ProgressColumn(names["progress"], width=100, format="%d%%", min_value=0, max_value=100),
        "spark": config.LineChartColumn(names["spark"], width=104, color=CURVE),
        "last": config.NumberColumn(names["last"], width=84, format="%.4f"),
        "best": config.NumberColumn(names["best"], width=90, format="%.4f", help=t("ui.runs_best_help")),
        "best_eval": config.NumberColumn(names["best_eval"], width=112, format="%.4f"),
        "speed": config.NumberColumn(
            names["speed"], width=86, format="localized", step=1, help=t("ui.runs_speed_help")
        ),
        "duration": config.TextColumn(names["duration"], width=82, alignment="right"),
        "model": config.TextColumn(names["model"], width=150),
        "dataset": config.TextColumn(names["dataset"], width=120),
        "stage": config.TextColumn(names["stage"], width=60),
        "method": config.TextColumn(names["method"], width=72),
        "kind": config.TextColumn(names["kind"], width=64),
        "tags": config.ListColumn(names["tags"], width=140),
        "note": config.TextColumn(names["note"], width=240),
        "when": config.DatetimeColumn(
            names["when"], width=132, format="YYYY-MM-DD HH:mm", timezone=st.context.timezone or "UTC"
        ),
        "folder": config.TextColumn(names["folder"], width=240),
        "target": config.TextColumn(names["target"], width=90),
    }
    for name in data.column_names:
        if name not in own:
            plain = pa.types.is_floating(data.schema.field(name).type)
            told = t("ui.runs_argument_help") if name.startswith(ARG) else None
            own[name] = (
                number_column(names[name], data[name], told) if plain else config.TextColumn(names[name], help=told)
            )
    return own


def number_column(title: str, values: pa.ChunkedArray, told: str | None = None) -> Any:
    """How a column of numbers that may be of any size looks. told: its help."""
    return st.column_config.NumberColumn(title, format=NUMBER, width=number_width(title, values), help=told)


def number_width(title: str, values: pa.ChunkedArray) -> int:
    """The width of a column of numbers (px): as wide as its head, or as its smallest and largest."""
    ends = [end for end in pc.min_max(values).as_py().values() if end is not None]
    digits = max((len(f"{end:.10f}".rstrip("0")) for end in ends), default=0)
    return max(70, 7 * len(title) + 30, 8 * digits + 16)


# -- groups ---------------------------------------------------------------------------------------------


def title(group: Group, by: str, metric: str) -> str:
    """What a group is called: its value, how many runs it has, their best and mean."""
    name = markdown_safe(value_words(group, by)[:LONGEST])
    parts = [f"**{name}**", t("ui.runs_group_count", count=len(group.rows))]
    if group.best is not None:
        what = markdown_safe(view.word(metric))
        parts += [t("ui.runs_group_best", name=what, value=f"{group.best:.4g}")]
        if group.mean is not None:
            parts += [t("ui.runs_group_mean", value=f"{group.mean:.4g}")]
    return " · ".join(parts)


def value_words(group: Group, by: str) -> str:
    """The value of a group, with the name of a setting or a result before it."""
    label = f"{view.word(by)} " if by.startswith((ARG, SCORE)) else ""
    if group.value is None:
        return label + t(f"ui.runs_group_{without_word(group, by)}")
    if by == "when":
        return label + when_words(group)
    ends = [group.value, *([] if group.to is None or group.to == group.value else [group.to])]
    return label + " – ".join(end_words(end, by) for end in ends)


def without_word(group: Group, by: str) -> str:
    """Which word stands for no value: nothing tells of one, LLaMA-Factory's default was taken, or there is none."""
    return "unknown" if group.unknown else "default" if by.startswith(ARG) else "without"


def end_words(value: Any, by: str) -> str:
    """One value as the table writes it."""
    if by == "state":
        return state_word(value)
    if by == "kind":
        return t(f"ui.runs_kind_{value}")
    if by == "duration":
        return duration(value)
    if by in SCHEMA.names and isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, float) and SMALLEST <= abs(value) < 1:
        return f"{value:.12f}".rstrip("0")
    return words(value)


def when_words(group: Group) -> str:
    """From when to when."""

    zone = ZoneInfo(st.context.timezone) if st.context.timezone else UTC
    ends = [group.value, *([] if group.to is None else [group.to])]
    return " – ".join(f"{datetime.fromtimestamp(float(end), zone):%Y-%m-%d %H:%M}" for end in ends if end is not None)
