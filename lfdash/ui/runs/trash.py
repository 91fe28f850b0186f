"""The trash on the Runs page: what was deleted, back to its place, or away for good."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import pandas as pd
import streamlit as st

from lfdash.engine.services import Services
from lfdash.files import readable
from lfdash.outcomes import Refused
from lfdash.runs.trash import TrashLook, total
from lfdash.runs.trash_origins import Item
from lfdash.runs.view import relative
from lfdash.ui.runs import actions
from lfdash.ui.shared import keyed
from lfdash.ui.shared.text import markdown_safe, t

OPEN = "runs.trash"
SHOWN_LINES = 30
UNITS = ("B", "kB", "MB", "GB", "TB")


def draw(services: Services) -> None:
    """The section; its sizes are counted only while it is open."""
    seen = services.registry.archive.trash.look()
    count = len(seen.items) + len(seen.away) + len(seen.unreadable)
    if not count:
        return
    with keyed.expander(f":material/delete: {t('ui.trash')} ({count})", key=OPEN, page="runs") as box:
        if box.open:
            if seen.items:
                draw_items(services, seen.items)
            draw_others(seen)


def draw_items(services: Services, items: Sequence[Item]) -> None:
    """The table of what is there, and its two buttons."""
    trash = services.registry.archive.trash
    key = table_key(items)
    held = st.session_state.get(key)
    places = held["selection"]["rows"] if held else []
    chosen = [items[place] for place in places if place < len(items)]
    draw_buttons(services, items, chosen)
    rows = [
        (item.title, relative(services.workspace.root, item.origin), pd.Timestamp(item.discarded, unit="s", tz="UTC"),
         trash.size(item))
        for item in items
    ]
    st.dataframe(
        pd.DataFrame(rows, columns=["name", "folder", "when", "size"]),
        key=key,
        on_select="rerun",
        selection_mode="multi-row",
        hide_index=True,
        height=min(320, 37 + 35 * len(rows)),
        column_config={
            "name": t("ui.runs_col_name"),
            "folder": t("ui.trash_from"),
            "when": st.column_config.DatetimeColumn(
                t("ui.trash_when"), format="YYYY-MM-DD HH:mm", timezone=st.context.timezone or "UTC"
            ),
            "size": st.column_config.NumberColumn(t("ui.file_size"), format="bytes"),
        },
    )


def draw_others(seen: TrashLook) -> None:
    """What can neither be restored nor deleted now, and why."""
    for item in seen.away[:SHOWN_LINES]:
        name, folder = markdown_safe(item.title), markdown_safe(readable(str(item.place.parent)))
        st.markdown(f":gray[:material/hard_drive: {t('ui.trash_away', name=name, folder=folder)}]")
    for note in seen.unreadable[:SHOWN_LINES]:
        words = t("ui.trash_unreadable", file=markdown_safe(note.file), reason=markdown_safe(note.reason))
        st.markdown(f":orange[:material/error:] {words}")


def table_key(items: Sequence[Item]) -> str:
    """The key of the table of these items: a selection is told by place, and must not mean others."""
    return f"runs.trash.{crc32(chr(10).join(item.name for item in items).encode()):08x}"


def draw_buttons(services: Services, items: Sequence[Item], chosen: Sequence[Item]) -> None:
    """Restore what is selected; delete that, or all, for good."""
    with st.container(horizontal=True, key="trash_bar", vertical_alignment="center", gap="small"):
        st.button(
            t("ui.trash_restore"), key="trash_restore", icon=":material/restore_from_trash:", disabled=not chosen,
            help=None if chosen else t("ui.runs_choose"), on_click=restore, args=(services, chosen),
        )
        going = chosen or items
        turn = st.session_state.get(actions.TURN, 0)
        title = t("ui.trash_delete", count=len(chosen)) if chosen else t("ui.trash_empty")
        with st.popover(title, icon=":material/delete_forever:", key=f"trash_menu_{turn}", width="content"):
            size = size_words(total(services.registry.archive.trash, going))
            st.markdown(t("ui.trash_confirm", names=actions.some_of([item.title for item in going]), size=size))
            st.button(
                t("ui.trash_yes", size=size), key="trash_delete", type="primary", on_click=empty, args=(services, going)
            )


def restore(services: Services, chosen: Sequence[Item]) -> None:
    """Takes runs back."""
    outcomes = [(item.title, services.registry.archive.restore(item.name)) for item in chosen]
    actions.settled([(name, refused) for name, refused in outcomes if refused is not None])


def empty(services: Services, going: Sequence[Item]) -> None:
    """Deletes runs for good, and says what that has freed."""
    emptied = services.registry.archive.empty_trash([item.name for item in going])
    if isinstance(emptied, Refused):
        actions.settled([(t("ui.trash"), emptied)])
        return
    st.toast(t("ui.trash_freed", size=size_words(emptied.freed)))
    actions.settled([(t("ui.trash"), emptied.refused)] if emptied.refused else [])


def size_words(size: int) -> str:
    """Bytes as people read them: 34.5 GB."""
    number, unit = float(size), 0
    while number >= 1000 and unit < len(UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.0f} {UNITS[unit]}" if unit == 0 or number >= 100 else f"{number:.1f} {UNITS[unit]}"
