"""What can be taken away of the run that is shown: its configuration, log, numbers and files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pandas as pd
import streamlit as st

from lfdash.engine.services import Services
from lfdash.files import read_text_file
from lfdash.jobs.secret_arguments import hide
from lfdash.runs.metrics_csv import as_csv
from lfdash.runs.takeaway import MOST, file_bytes, log_bytes, small_files
from lfdash.runs.view import RunView
from lfdash.ui.shared.text import markdown_safe, t

FILE = "page.file"


def draw(services: Services, view: RunView) -> None:
    """The menu; each file is made when it is asked for."""
    redact = services.registry.redactor()

    def clean(text: str) -> str:
        return hide(redact(text))

    offers: list[tuple[str, str, str, bool, Callable[[], str | bytes]]] = [
        ("configuration", "yaml", "text/yaml", view.paths.training_args.exists(), partial(configuration, view, clean)),
        ("log", "log", "text/plain", view.paths.printed.exists(), partial(log_bytes, view.paths, redact)),
        ("metrics", "csv", "text/csv", view.paths.trainer_log.exists(), partial(metrics, services, view)),
        ("small", "zip", "application/zip", True, partial(small_files, view.paths, clean)),
    ]
    with st.popover(t("ui.download"), icon=":material/download:", key="download_menu", help=t("ui.run_download_help")):
        for name, suffix, mime, there, make in offers:
            st.download_button(
                t(f"ui.run_download_{name}"), make, file_name=f"{view.name}.{suffix}", mime=mime,
                key=f"run_download_{name}", on_click="ignore", disabled=not there,
                help=t(f"ui.run_download_{name}_help") if there else t("ui.run_download_none"), width="stretch",
            )


def configuration(view: RunView, clean: Callable[[str], str]) -> str:
    """The arguments that were run."""
    text = read_text_file(view.paths.training_args)
    return clean(text) if isinstance(text, str) else ""


def metrics(services: Services, view: RunView) -> bytes:
    """All that the trainer logged."""
    feed = services.feeds.of(view.paths)
    feed.poll()
    return as_csv(feed.frame)


def draw_files(services: Services, view: RunView) -> None:
    """What lies in the run's folder, and a way to take one file."""
    redact = services.registry.redactor()
    listed = view.paths.listing()
    st.caption(t("ui.files_in", path=markdown_safe(str(view.path))))
    draw_pick(services, view, [(name, size) for name, size, _changed in listed])
    rows = [(redact(name), size, pd.Timestamp(changed, unit="s")) for name, size, changed in listed]
    st.dataframe(
        pd.DataFrame(rows, columns=["name", "size", "changed"]),
        hide_index=True,
        height=300,
        column_config={
            "name": t("ui.file_name"),
            "size": st.column_config.NumberColumn(t("ui.file_size"), format="bytes"),
            "changed": st.column_config.DatetimeColumn(t("ui.file_changed"), format="YYYY-MM-DD HH:mm:ss"),
        },
    )


def draw_pick(services: Services, view: RunView, files: list[tuple[str, int]]) -> None:
    """A file to take; one that is too large for a browser is copied on the machine."""
    sizes = dict(files)
    redact = services.registry.redactor()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small", key="file_bar"):
        shown = {redact(file): file for file in sizes}
        picked = st.selectbox(
            t("ui.file_pick"), list(shown), index=None, key=f"{FILE}.{view.run_id}", placeholder=t("ui.not_set"),
            width=420,
        )
        name = shown[picked] if picked is not None else None
        large = name is not None and sizes.get(name, 0) > MOST
        st.download_button(
            t("ui.file_take"), partial(one_file, view, name, redact) if name else b"",
            file_name=(name or "file").replace("/", "-"), key="file_take", on_click="ignore",
            disabled=name is None or large, icon=":material/download:",
            help=t("ui.file_large", path=markdown_safe(str(view.path))) if large else t("ui.file_take_help"),
        )


def one_file(view: RunView, name: str, redact: Callable[[str], str]) -> bytes:
    """A file's bytes, or why it cannot be read."""
    try:
        return file_bytes(view.paths, name, lambda text: hide(redact(text)))
    except OSError as error:
        return f"could not be read: {error.strerror}\n".encode()
