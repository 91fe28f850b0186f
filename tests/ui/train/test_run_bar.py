"""What can be done with the run that is shown."""

from __future__ import annotations

import io
import shutil
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from lfdash.engine.services import Services
from lfdash.runs.record import RunState
from lfdash.ui.train import downloads
from tests.support import app as pages
from tests.support.many import add_run

HIDDEN_VALUE = "hf_abcdefghijklmnopqrstuvwxyz012345"


def test_a_run_that_is_over_has_no_stop_and_its_own_files(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = add_run(services.workspace.root, "one", args={"learning_rate": 0.0123})
    paths.console.write_text(f"HF_TOKEN={HIDDEN_VALUE}\nthe end\n")
    services.registry.refresh()
    made: dict[str, Callable[[], Any]] = {}

    def noted(_label: str, data: Callable[[], Any], *, key: str, **_look: Any) -> bool:
        made[key] = data
        return False

    monkeypatch.setattr(downloads.st, "download_button", noted)
    app = pages.start()
    keys = {button.key for button in app.button}
    assert "stop" not in keys and "next_use_settings_after" in keys
    assert "learning_rate: 0.0123" in made["run_download_configuration"]()  # the run's, not the form's
    log = made["run_download_log"]().decode()
    assert "the end" in log
    assert made["run_download_metrics"]().splitlines()[0].startswith(b"step,")
    with zipfile.ZipFile(io.BytesIO(made["run_download_small"]())) as archive:
        assert HIDDEN_VALUE.encode() not in archive.read("console.log")


def test_runs_of_one_name_are_called_by_their_folders_and_each_can_be_shown(services: Services) -> None:
    ours, other = add_run(services.workspace.root, "one"), services.workspace.root / "saves/other/lora/one"
    shutil.copytree(ours.root, other, ignore=shutil.ignore_patterns("run.json", "attempts"))
    add_run(services.workspace.root, "two")
    services.registry.refresh()
    app = pages.start()
    pick = pages.widget(app, "selectbox", "page.run_pick")
    assert sorted(line.partition(" · ")[0] for line in pick.options) == ["demo-llama/lora/one", "other/lora/one", "two"]
    for line in pick.options:
        app = pages.good(pages.widget(app, "selectbox", "page.run_pick").select(line).run())
        shown = services.registry.get(app.session_state["page.run_pick"])
        assert shown is not None and shown.output_dir.endswith(line.partition(" · ")[0])


def test_a_run_that_goes_on_can_be_stopped(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    add_run(services.workspace.root, "one")
    services.registry.refresh()
    (view,) = services.registry.snapshot()
    object.__setattr__(view, "state", RunState.RUNNING)
    monkeypatch.setattr(type(services.registry), "snapshot", lambda _self: (view,))
    app = pages.start()
    assert "stop" in {button.key for button in app.button}


def test_without_runs_there_is_no_bar(services: Services) -> None:
    assert "file_take" not in {button.key for button in pages.start().button}


def test_a_link_to_a_run_that_is_not_there_shows_no_other_one(services: Services) -> None:
    add_run(services.workspace.root, "one")
    services.registry.refresh()
    app = pages.start()
    app.query_params["run"] = "gone"
    pages.good(app.run())
    assert any("gone" in str(item.value) for item in app.warning)
    assert "next_use_settings_after" not in {button.key for button in app.button}
    app.button(key="run_newest").click()
    pages.good(app.run())
    pages.good(app.run())
    assert app.query_params["run"] == "id-one" and "next_use_settings_after" in {button.key for button in app.button}


def test_a_link_names_a_run_by_its_name(services: Services) -> None:
    for name, age in (("one", 90), ("two", 60)):
        add_run(services.workspace.root, name, age=age)
    services.registry.refresh()
    app = pages.start()
    app.query_params["run"] = "one"
    pages.good(app.run())
    assert app.query_params["run"] == "id-one" and not app.warning
