"""The dashboard's pages without a browser: Streamlit's AppTest on the real services of a workspace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Project, Services
from lfdash.launchers.fake import FakeLauncher
from lfdash.ui.shared import session, streamlit_private
from lfdash.ui.shared.text import LANGUAGE
from tests.support import ROOT
from tests.support.models import pretend_model


@contextmanager
def opened(workspace: Path) -> Iterator[Services]:
    """The process-wide services on a workspace; closed at the end, so that the next test has its own.

    What LLaMA-Factory offers is the shipped snapshot: reading the installed one takes seconds. The demo's model is
    pretended, where it is not there.
    """
    pretend_model(workspace)
    st.cache_resource.clear()
    services = Services(Project(ROOT), workspace)
    session.install(services)
    with (
        mock.patch.object(streamlit_private, "open_tabs", return_value=1),  # AppTest has no server to ask
        mock.patch.object(Services, "_read_installed"),
    ):
        yield services
    services.close()
    session._installed.clear()
    st.cache_resource.clear()


@contextmanager
def with_fake_runs(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """The same, where a fake launcher holds the runs, and no thread looks at them at moments of its own."""
    monkeypatch.setenv("LFDASH_CLI", "/no/llamafactory-cli")
    with opened(workspace) as found:
        found.registry.launchers.default = FakeLauncher()
        found._started = True
        yield found


def start() -> AppTest:
    """A first visit of the Train page."""
    return good(AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run())


def good(app: AppTest) -> AppTest:
    """The page, which must not have raised."""
    assert not app.exception, [(item.message, item.stack_trace) for item in app.exception]
    return app


def widget(app: AppTest, kind: str, key: str) -> Any:
    """The only widget of a kind ("selectbox", "button_group"...) that stands for a key, whatever its words."""
    found = [item for item in app.get(kind) if (item.key or "").strip() == key]
    assert len(found) == 1, (key, [item.key for item in app.get(kind)])
    return found[0]


def type_in(app: AppTest, key: str, text: str) -> AppTest:
    """Types a text into the list that stands for a key, and Enter. AppTest itself chooses what is offered only."""
    box = widget(app, "selectbox", key)
    states = app._tree.get_widget_states()
    (state,) = [item for item in states.widgets if item.id == box.proto.id] or [states.widgets.add(id=box.proto.id)]
    state.string_value = text
    return good(app._run(states))


def speak(app: AppTest, code: str) -> AppTest:
    """The page in another language."""
    widget(app, "selectbox", LANGUAGE).set_value(code)
    return good(app.run())


def looks(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """How often the fragments that are drawn from now on look again by themselves (AppTest does not tell), but for
    those in the head of every page."""
    seconds: list[float | None] = []
    fragment = st.fragment

    def watched(function: Any, **how: Any) -> Any:
        if "run_every" in how and how.get("key") not in ("machine_line", "alerts_count"):
            seconds.append(how["run_every"])
        return fragment(function, **how)

    monkeypatch.setattr(st, "fragment", watched)
    return seconds
