"""Tables whose columns are runs, as HTML: every value escaped, readable aloud, told without colour."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

CSS = """
h2.lf-part {font-size: 1.15rem; font-weight: 650; padding: .4rem 0 0; margin: 0}
.lf-table {overflow-x: auto; max-width: 100%}
.lf-table table {border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; width: auto}
.lf-table th, .lf-table td {padding: .3rem .7rem; text-align: left; vertical-align: top; line-height: 1.35;
  border-bottom: 1px solid rgba(127,127,127,.22)}
.lf-table thead th {font-weight: 600; max-width: 15rem; min-width: 6.5rem; overflow-wrap: anywhere;
  border-bottom-width: 2px}
.lf-table tbody th {font-weight: 400; position: sticky; left: 0; z-index: 1; min-width: 9rem; max-width: 19rem;
  background: light-dark(#ffffff, #15181d); overflow-wrap: anywhere}
.lf-table th.lf-group {padding-top: .8rem; font-weight: 650; font-size: .8rem; letter-spacing: .02em;
  color: light-dark(#565d64, #aab2ba)}
.lf-table td {max-width: 22rem; overflow-wrap: anywhere}
.lf-table code {font-size: .8rem; white-space: normal; background: none; padding: 0; color: inherit}
.lf-table small {display: block; color: light-dark(#565d64, #aab2ba); font-size: .76rem; font-weight: 400}
.lf-table .lf-quiet {color: light-dark(#6e7781, #9aa4ae); font-style: italic}
.lf-table b {font-weight: 680}
.st-key-compare_chosen button, .st-key-compare_offered button {min-height: 1.8rem; padding-top: 0; padding-bottom: 0}
.st-key-compare_chosen a, .st-key-compare_offered button {justify-content: flex-start}
.st-key-compare_chosen [data-testid="stPageLink"] a {padding: .1rem .25rem}
.st-key-compare_parallel {overflow-x: auto}
.lf-swatch {display: inline-block; width: 1.3rem; margin-right: .4rem; vertical-align: .22rem; flex: none}
"""


@dataclass(frozen=True)
class Head:
    """The head of a column. swatch: a piece of its run's line, as HTML. notes: small lines below the name."""

    name: str
    swatch: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cell:
    """A cell. notes: small lines below. full: what is shown when the mouse rests on it. strong: it stands out, and
    `mark` says why. quiet: it says that something is not there."""

    text: str = "–"
    notes: tuple[str, ...] = ()
    full: str = ""
    strong: bool = False
    mark: str = ""
    quiet: bool = False


@dataclass(frozen=True)
class Row:
    """A row. code: whether its name is that of an argument."""

    name: str
    cells: tuple[Cell, ...]
    code: bool = False


@dataclass(frozen=True)
class Group:
    """Rows under a title; "" = none."""

    title: str
    rows: tuple[Row, ...]


def heading(words: str) -> str:
    """The title of a part of the page."""
    return f'<h2 class="lf-part">{html.escape(words)}</h2>'


def table(title: str, heads: Sequence[Head], groups: Iterable[Group]) -> str:
    """A table as HTML. title: what it is, for whoever does not see it."""
    head = "".join(f'<th scope="col">{head_html(one)}</th>' for one in heads)
    body = "".join(group_html(group, len(heads) + 1) for group in groups)
    return (
        f'<div class="lf-table" tabindex="0" role="region" aria-label="{html.escape(title)}"><table>'
        f'<thead><tr><td></td>{head}</tr></thead>{body}</table></div>'
    )


def head_html(head: Head) -> str:
    """The head of a column."""
    return f"{head.swatch}{html.escape(head.name)}{notes_html(head.notes)}"


def notes_html(notes: Sequence[str]) -> str:
    """Small lines."""
    return "".join(f"<small>{html.escape(note)}</small>" for note in notes if note)


def group_html(group: Group, width: int) -> str:
    """The rows of a group."""
    title = f'<tr><th class="lf-group" scope="colgroup" colspan="{width}">{html.escape(group.title)}</th></tr>'
    return f"<tbody>{title if group.title else ''}{''.join(map(row_html, group.rows))}</tbody>"


def breakable(text: str) -> str:
    """A text that may be broken where names are joined."""
    return html.escape(text).replace("_", "_<wbr>").replace("/", "/<wbr>")


def row_html(row: Row) -> str:
    """A row."""
    name = breakable(row.name)
    name = f"<code>{name}</code>" if row.code else name
    return f'<tr><th scope="row">{name}</th>{"".join(map(cell_html, row.cells))}</tr>'


def cell_html(cell: Cell) -> str:
    """A cell."""
    text = breakable(cell.text)
    if cell.strong:
        text = f"<b>{text}</b>"
    if cell.mark:
        text = f"{text} {html.escape(cell.mark)}"
    if cell.quiet:
        text = f'<span class="lf-quiet">{text}</span>'
    full = f' title="{html.escape(cell.full)}"' if cell.full and cell.full != cell.text else ""
    return f"<td{full}>{text}{notes_html(cell.notes)}</td>"
