"""What all sessions of one server share, reached through the only `st.cache_resource` of the project."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from lfdash.engine import fitting, resuming
from lfdash.engine.services import Services, find_project
from lfdash.engine.sweeps import Sweeps, attach
from lfdash.workspace.allowed_paths import named

_installed: list[Services] = []
_sweeps: list[Sweeps] = []  # of the same workspace


def install(services: Services) -> None:
    """Makes `services` the process-wide object (called once, by the server's entry)."""
    _installed[:] = [services]
    _sweeps[:] = [attach(services)]
    fitting.attach(services)
    resuming.attach(services)


def opened() -> Services:
    """The process-wide services; opened from the environment when no entry did (`streamlit run app.py`)."""
    if not _installed:  # Streamlit was started without our entry
        workspace = Path(os.environ.get("LFDASH_WORKSPACE", "workspace")).resolve()
        roots = named(os.environ.get("LFDASH_ROOTS", ""))
        install(Services(find_project(), workspace, roots))
        _installed[0].by_entry = False
    return _installed[0]


@st.cache_resource(show_spinner=False)
def shared_services() -> Services:
    """The process-wide services, started. Clearing the cache loses nothing: the object is the process's."""
    found = opened()
    found.start()
    return found


def shared_sweeps() -> Sweeps:
    """The sweeps of the process-wide services, which a thread of their registry's carries on."""
    shared_services()
    return _sweeps[0]
