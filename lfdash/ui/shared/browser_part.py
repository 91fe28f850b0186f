"""Parts of the page that are drawn by JavaScript of our own: `lfdash/ui/browser/<name>.js`, with a style sheet beside
it where it needs one.

The files are brought to a browser once, as files; what is drawn travels alone. Each file exports one function, which
Streamlit calls with `{key, data, parentElement, setStateValue, setTriggerValue}` when what is drawn changed. Streamlit
may leave out a message between two others, and a tab that was closed and opened again has forgotten all: a part that is
sent only what changed says what that stands on (see `deltas`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from lfdash.ui.shared import streamlit_private

FOLDER = Path(__file__).resolve().parents[1] / "browser"
PACKAGE = "lfdash"

Renderer = Callable[..., Any]


def mount(
    name: str, key: str, data: Any = None, *, state: dict[str, Any] | None = None, **events: Callable[[], None]
) -> Any:
    """Draws a part of the page where the script stands, in the width that there is.

    name: of its file. key: one a place of the page. data: what JSON can say, or bytes. state: what the values that
    the browser may set are before it does. events: `on_<name>_change` for each value or trigger that the browser may
    set. Returns the values: `result.<name>`, for a trigger None but in the run that it brought about.
    """
    streamlit_private.serve_folder(f"{PACKAGE}.{name}", FOLDER)
    return renderer(name)(key=key, data=data, default=state, **events)


@cache
def renderer(name: str) -> Renderer:
    """What Streamlit draws the part with; declared once in a server."""
    css = f"{name}.css"
    return st.components.v2.component(
        f"{PACKAGE}.{name}", js=f"{name}.js", css=css if (FOLDER / css).exists() else None, isolate_styles=False
    )
