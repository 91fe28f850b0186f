"""Vega and Vega-Lite for the browser: one file, taken out of vl-convert once on a machine and then served as a file."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from zlib import crc32

from lfdash.ui.shared import streamlit_private

COMPONENT = "lfdash.vega"
# What it leaves in the window of the browser.
SNIPPET = "globalThis.lfdashVega = vegaEmbed;"
# A process of its own: it takes two seconds and 200 MB, which a server would keep.
PROGRAM = """
import os, sys, vl_convert
target = sys.argv[1]
with open(target + f".{os.getpid()}", "w", encoding="utf-8") as file:
    file.write(vl_convert.javascript_bundle(sys.argv[2]))
os.replace(file.name, target)
"""


def cache_folder() -> Path:
    """Where the file is kept for all workspaces of a user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lfdash" / "browser"


class Bundle:
    """The file, made in the background when a server first asks for it.

    folder: where it is kept; instead: where it is kept if nothing can be written there.
    """

    def __init__(self, folder: Path, instead: Path) -> None:
        self.name = f"vega-{version('vl-convert-python')}-{crc32(SNIPPET.encode()):08x}.js"
        self._folders = (folder, instead)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._found: Path | None = None
        self.error: str | None = None

    def url(self) -> str | None:
        """Where a part finds it, beside its own files; None while it is being made. Serves it from now on."""
        if self._found is None:
            self._found = next((folder for folder in self._folders if (folder / self.name).exists()), None)
        if self._found is None:
            self.prepare()
            return None
        streamlit_private.serve_folder(COMPONENT, self._found)
        return f"../{COMPONENT}/{self.name}"

    def prepare(self) -> None:
        """Makes it in the background, unless it is there, or that is going on or has failed."""
        with self._lock:
            if self._thread is None and not any((folder / self.name).exists() for folder in self._folders):
                self._thread = threading.Thread(target=self.make, name="lfdash-vega", daemon=True)
                self._thread.start()

    def make(self) -> None:
        """Makes it; `error` says why that failed."""
        for folder in self._folders:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                self.error = str(error)
                continue
            command = [sys.executable, "-c", PROGRAM, str(folder / self.name), SNIPPET]
            told = subprocess.run(command, capture_output=True, text=True, check=False)
            self.error = None if told.returncode == 0 else told.stderr.strip().rpartition("\n")[2]
            if self.error is None:
                return
