"""The thin line in the head of every page: what the GPUs, the processors, the memory and the disk do.

It stands in the band at the top of the page that Streamlit keeps for its menu, so it takes no room of the page, and no
value of it moves anything.
"""

from __future__ import annotations

import html
import re
import time
from functools import partial

import streamlit as st

from lfdash.engine.machine_words import Cell, cells_in
from lfdash.engine.services import Services
from lfdash.ui.shared import streamlit_private
from lfdash.ui.shared.looks import SELDOM_S, looks
from lfdash.ui.shared.text import language, t

LOOKS_S, IDLE_S = 5.0, 15.0  # between two looks while something may change, and on an idle machine without a GPU
WAIT_S = 0.3  # that the first page after a rest waits for figures of now
CALM_S = 15.0  # after which a line that says almost the same is drawn anew, too
LITTLE, SHARE = 3.0, 0.03  # figures that differ by less, or by less of themselves, say almost the same
NUMBER = re.compile(r"\d+(?:\.\d+)?")
KEY = "machine_line"
FEW, MANY = 2, 5  # devices up to which each has its figures; from which on each is a bar

# The container lies where the menu's band is, whatever the padding of the page below it (ui/shared/layout.py); there is
# room for two rows, where the page is narrow.
CSS = """
[data-testid="stLayoutWrapper"]:has(> .st-key-machine) {position: sticky; top: 0; z-index: 999991; height: 2.4rem;
  margin: -3.5rem 0 .1rem; pointer-events: none}
.st-key-machine {height: 2.4rem; width: calc(100% - 6rem); justify-content: center; overflow: hidden;
  container-type: inline-size}
body:has([data-testid="stExpandSidebarButton"]) .st-key-machine {margin-left: 2rem; width: calc(100% - 8rem)}
.lf-machine {display: flex; flex-wrap: wrap; gap: 0 1.1rem; align-items: center; align-content: center; height: 2.4rem;
  overflow: hidden; font-size: .8rem; line-height: 1.15rem; font-variant-numeric: tabular-nums; white-space: nowrap}
.lf-cell {display: inline-flex; align-items: center; gap: .4rem; pointer-events: auto; cursor: default}
.lf-cell b {font-weight: 500; color: light-dark(#565d64, #aab2ba)}
.lf-cell small {font-size: .74rem; color: light-dark(#565d64, #aab2ba)}
.lf-cell em {font-style: normal; min-width: 2.3rem}
.lf-cell.lf-text em {min-width: 0}
.lf-cell i {display: inline-flex; flex-direction: column; gap: 2px; width: 2.2rem}
.lf-cell u {display: block; height: 4px; border-radius: 2px; text-decoration: none;
  background: linear-gradient(currentColor, currentColor) no-repeat rgba(127,127,127,.25)}
.lf-cell.lf-run b, .lf-cell.lf-run u {color: var(--lf-blue)}
.lf-cell.lf-stop em {color: light-dark(#9a6700, #e3b341)}
.lf-cell.lf-old em, .lf-cell.lf-old u {color: light-dark(#6e7781, #9aa4ae)}
.lf-many {gap: 0 .6rem}
.lf-many small, .lf-many .lf-host i, .lf-crowd .lf-device small, .lf-crowd .lf-device em {display: none}
.lf-many .lf-device i {width: 1.8rem}
.lf-crowd {gap: 0 .7rem}
.lf-crowd .lf-device {gap: .25rem}
.lf-crowd .lf-device i {width: 1.4rem}
@container (max-width: 960px) {
  .lf-host small {display: none}
}
@container (max-width: 800px) {
  .lf-cell small, .lf-crowd .lf-host i {display: none}
}
@container (max-width: 640px) {
  .lf-crowd .lf-device:not(:first-child) b {display: none}
  .lf-machine {gap: 0 .6rem; font-size: .74rem}
  .lf-cell em {min-width: 2.2rem}
  .lf-cell i {width: 1.2rem}
  .lf-host i, .lf-many .lf-device em {display: none}
  .lf-crowd .lf-device i {width: .9rem}
  .lf-crowd {gap: 0 .4rem}
}
@media (max-width: 900px) {
  .st-key-machine {width: calc(100% - 2.5rem)}
  [data-testid="stLayoutWrapper"]:has(> .st-key-machine) {margin: -4rem 0 .6rem}
}
"""


def draw(services: Services) -> None:
    """Draws the line, and then again and again by itself."""
    with st.container(key="machine"):
        tabs = streamlit_private.open_tabs()
        sample = services.machine.latest(WAIT_S)
        idle = bool(sample.time) and not sample.devices and not services.registry.watcher.alive
        seconds = (IDLE_S if idle else LOOKS_S) * max(1.0, tabs / 8)
        st.fragment(partial(tick, services, seconds), run_every=max(seconds, 2 * SELDOM_S), key=KEY)()


def tick(services: Services, seconds: float) -> None:
    """The line as it is now; drawn again when it says something else, after so many seconds at the earliest, later
    where no figure moved by much: a processor that does nothing is 3 % busy, then 5 %, then 4 %."""

    def name_of(run_id: str) -> str:
        view = services.registry.get(run_id)
        return view.name if view is not None else run_id

    def cells() -> list[Cell]:
        return cells_in(code, services.machine.latest(), time.time(), name_of, services.warm.held)

    def news() -> bool:
        now = cells()
        return now != drawn and (time.monotonic() - began >= CALM_S or moved(drawn, now))

    code, began = language(), time.monotonic()
    drawn = cells()
    st.html(line_html(drawn, len(services.machine.latest().devices)))
    looks.keep(streamlit_private.fragment_of(KEY), news, seconds)


def moved(before: list[Cell], now: list[Cell]) -> bool:
    """Whether a line says something else than one before, and not just a figure that is a little different."""
    return shape(before) != shape(now) or any(
        abs(old - new) >= max(LITTLE, SHARE * max(old, new))
        for old, new in zip(figures(before), figures(now), strict=True)
    )


def shape(cells: list[Cell]) -> list[tuple[str, ...]]:
    """A line without its figures."""
    return [(cell.name, cell.look, *(NUMBER.sub("#", text) for text in (cell.value, cell.more, cell.told)))
            for cell in cells]


def figures(cells: list[Cell]) -> list[float]:
    """The figures that a line shows or says."""
    return [
        float(number) for cell in cells for text in (cell.value, cell.more, cell.told)
        for number in NUMBER.findall(text)
    ]


def line_html(cells: list[Cell], devices: int) -> str:
    """The line. devices: how many of the cells, the first, are devices."""
    size = "lf-few" if devices <= FEW else "lf-many" if devices < MANY else "lf-crowd"
    drawn = "".join(cell_html(cell, size, device=place < devices, first=place == 0) for place, cell in enumerate(cells))
    return f'<div class="lf-machine {size}" role="group" aria-label="{html.escape(t("machine.title"))}">{drawn}</div>'


def cell_html(cell: Cell, size: str, *, device: bool, first: bool) -> str:
    """A cell: name, bars, the figure that matters, others where there is room. What it says in full, its title, is its
    name for a screen reader, and shown when a mouse rests on it."""
    told = html.escape(cell.told or cell.value)
    name = cell.name.split()[-1] if device and size == "lf-crowd" and not first else cell.name
    bars = "".join(f'<u style="background-size:{bar or 0:.0f}% 100%"></u>' for bar in cell.bars)
    kind = "lf-device" if device else "lf-host"
    text = "" if cell.bars and cell.value.endswith("%") else " lf-text"
    return (
        f'<span class="lf-cell {kind}{text}{f" lf-{cell.look}" if cell.look else ""}" role="img" '
        f'title="{told}"><b>{html.escape(name)}</b>'
        + (f"<i>{bars}</i>" if bars else "") + (f"<em>{html.escape(cell.value)}</em>" if cell.value else "")
        + (f"<small>{html.escape(cell.more)}</small>" if cell.more else "") + "</span>"
    )
