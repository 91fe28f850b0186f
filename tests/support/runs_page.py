"""The Runs page without a browser: a visit, what its table lists, what is ticked and pressed, what is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamlit.testing.v1 import AppTest

from lfdash.ui.runs import page, selection
from tests.support import app as pages


def visit(query: dict[str, Any] | None = None) -> AppTest:
    app = pages.start()
    for name, value in (query or {}).items():
        app.query_params[name] = value
    app.switch_page("pages/runs.py")
    return pages.good(app.run())


def names(app: AppTest) -> list[str]:
    """The runs in the table, in order."""
    return list(app.dataframe[0].value["name"]) if app.dataframe else []


def select(app: AppTest, *wanted: str) -> AppTest:
    """Ticks runs of the table."""
    app.session_state[selection.CHOSEN] = [ids(app)[name] for name in wanted]
    app.session_state[selection.SHOWN_TABLE] = None
    return pages.good(app.run())


def ids(app: AppTest) -> dict[str, str]:
    return dict(zip(names(app), app.session_state[page.ORDER][1], strict=True))


def opened(app: AppTest, *menus: str) -> AppTest:
    """Opens menus of the tools: "filter", "view"."""
    for name in menus:
        app.session_state[f"runs_{name}_menu"] = True
    return pages.good(app.run())


def button(app: AppTest, key: str) -> Any:
    found = [item for kind in ("button", "download_button") for item in app.get(kind) if item.key == key]
    assert len(found) == 1, (key, [item.key for item in app.button])
    return found[0]


def press(app: AppTest, key: str) -> AppTest:
    button(app, key).click()
    return pages.good(pages.good(app.run()).run())  # a fragment may have been drawn alone


def menus(app: AppTest) -> dict[str, Any]:
    """The menus of the bar: name -> its block."""
    found = {}
    for block in app.get("popover"):
        found[block.proto.popover.label] = block.proto.popover
    return found


def texts(app: AppTest) -> str:
    kinds: Sequence[str] = ("info", "error", "caption", "markdown", "text", "success")
    return "\n".join(str(item.value) for kind in kinds for item in app.get(kind))
