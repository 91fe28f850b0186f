"""The form as somebody has it who opens a file: on any page, with what is said of it, every Fix, Start and Preview."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from unittest import mock

import pytest
import yaml
from streamlit.testing.v1 import AppTest

from lfdash.demo.__main__ import make_data
from lfdash.engine.services import Services
from lfdash.outcomes import Problem
from lfdash.ui.form import configurations
from lfdash.ui.launch.actions import PROBLEMS
from lfdash.ui.shared.text import label, problem_words
from lfdash.workspace.devices import Gpu
from tests.support import app as pages
from tests.support.pseudo import ESCAPED

MOST_FIXES = 20
OF_FEW_STEPS = ("train.logging_steps", "train.save_steps")  # the demo's data are small: told of every job here


@contextmanager
def demo(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, gpus: tuple[Gpu, ...] = (), packages: str | None = None
) -> Iterator[Services]:
    """The dashboard on the demo's data, on a machine with these GPUs, where Start reaches a fake launcher. packages:
    what is installed beside torch, known names; None = it is not known."""
    monkeypatch.setattr("lfdash.workspace.devices.read_gpus", lambda: (gpus, None))
    make_data(workspace / "data")
    fake = pages.with_fake_runs(workspace, monkeypatch)
    with fake as services, mock.patch.object(Services, "blocked", None):
        if packages is not None:
            versions = dict.fromkeys(["torch", *packages.split()], "99")
            services.upstream = replace(services.upstream, packages=versions, source="installed")
        yield services


class FormPage:
    """A page with a form: app.py is that of a training."""

    def __init__(self, services: Services, page: str = "app.py") -> None:
        self.services = services
        self.app: AppTest = pages.start()
        if page != "app.py":
            pages.good(self.app.switch_page(page).run())

    def run(self) -> Self:
        """Draws the whole page: after a click AppTest's tree may hold only the part that was drawn anew."""
        pages.good(self.app.run())
        self.app.session_state[PROBLEMS] = True
        pages.good(self.app.run())
        return self

    def open(self, path: Path, name: str = "") -> Self:
        """Opens a file. name: by which it comes; "" = its own."""
        file = (name or path.name, path.read_bytes(), "text/plain")
        self.app.get("file_uploader")[0].set_value(file)
        return self.run()

    def paste(self, text: str) -> Self:
        """Opens a text."""
        self.app.text_area(key=configurations.PASTED).set_value(text)
        pages.good(self.app.run())
        self.app.button(key="config.open_text").click()
        return self.run()

    @property
    def kind(self) -> str:
        """The kind of job that the page is for."""
        kind: str = self.app.session_state["page.entered_kind"]
        return kind

    @property
    def notes(self) -> str:
        """What is said in small letters: what became of a file, why it was not opened."""
        return "\n".join(ESCAPED.sub(r"\1", str(item.value)) for item in self.app.sidebar.caption)

    def told(self, level: str = "error") -> list[str]:
        """The list of what is wrong, as `Field: sentence`."""
        lines = [ESCAPED.sub(r"\1", str(item.value)) for item in self.app.sidebar.markdown]
        icons = [place for place, line in enumerate(lines) if line.endswith(":]") and ":material/" in line]
        names = {item.key: item.label.replace("**", "") + " " for item in self.app.button}
        told = [(lines[place], names.get(f"go_fix_{number}", "") + lines[place + 1])
                for number, place in enumerate(icons)]
        return [line for icon, line in told if f":material/{level}:" in icon]

    @property
    def warnings(self) -> list[str]:
        """The warnings, without those on too few steps."""
        few = tuple(f"{label(field)}: " for field in OF_FEW_STEPS)
        return [line for line in self.told("warning") if not line.startswith(few)]

    def _fixes(self) -> list[Any]:
        """The buttons."""
        return [item for item in self.app.button if (item.key or "").startswith("fix_")]

    def fixes(self) -> list[str]:
        """What each Fix says it sets."""
        return [ESCAPED.sub(r"\1", item.help) for item in self._fixes()]

    def fix(self) -> Self:
        """Presses the first Fix."""
        self.app.session_state["clicks.fix"] = None  # it is no double click
        self._fixes()[0].click()
        return self.run()

    def fix_all(self) -> Self:
        """Presses every Fix there is."""
        for _ in range(MOST_FIXES):
            if not self._fixes():
                return self
            self.fix()
        raise AssertionError(self.fixes())

    def undo(self) -> Self:
        """Takes back what was replaced last."""
        self.app.button(key="undo").click()
        return self.run()

    def sent(self) -> dict[str, Any]:
        """The arguments that the preview shows, and those alone."""
        self.app.button(key="preview").click()
        pages.good(self.app.run())
        (text,) = [item.value for item in self.app.code if item.language == "yaml"]
        self.run()
        arguments: dict[str, Any] = yaml.safe_load(text)
        return arguments

    def start(self) -> list[str]:
        """Presses Start; the names of the runs that there are then."""
        self.app.button(key="start").click()
        self.run()
        return [view.name for view in self.services.registry.snapshot()]

    def value(self, field: str) -> Any:
        """What a field of the form shows."""
        return self.app.session_state[field]


def words(field: str, code: str, **params: Any) -> str:
    """A problem as `FormPage.told` has it."""
    return f"{label(field)}: {problem_words(Problem(field, code, params))}"
