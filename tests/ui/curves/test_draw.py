"""What is sent of the curves, and what the browser says of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.ui.curves import draw
from lfdash.ui.curves.draw import ASKED_CSV, SETTINGS, ladder, settings_of, take
from lfdash.ui.curves.lines import RUN_COLOURS, CurveRun
from lfdash.ui.curves.settings import CurveSettings
from tests.support import app as pages
from tests.ui.curves.feeds import feed


def page(folder: str) -> None:
    from pathlib import Path

    import streamlit as st

    from lfdash.runs.metrics.feed import RunFeed
    from lfdash.runs.paths import RunPaths
    from lfdash.ui.curves.draw import draw, settings_of
    from lfdash.ui.curves.lines import RUN_COLOURS, CurveRun, charts_of

    if "feed" not in st.session_state:
        st.session_state["feed"] = RunFeed(RunPaths(Path(folder)))
    st.session_state["feed"].poll()
    run = CurveRun("a run", RUN_COLOURS[0], st.session_state["feed"], alive=True)
    charts, settings = charts_of([run]), settings_of("g")
    draw("main", [run], charts[:1], settings, group="g", choices=charts, large=True, file="a run", csv=lambda: "")


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with pages.opened(tmp_path / "workspace") as found:
        found._started = True
        yield found


@pytest.fixture
def log(tmp_path: Path, services: Services) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "trainer_log.jsonl"


def add(log: Path, *steps: int) -> None:
    with log.open("a") as file:
        file.writelines(
            json.dumps({"current_steps": n, "total_steps": 90, "loss": 1 / n, "lr": 1e-4}) + "\n" for n in steps
        )


def sent(app: AppTest) -> dict[str, Any]:
    (part,) = app.get("bidi_component")
    found: dict[str, Any] = json.loads(part.proto.json)
    return found


def test_first_all_is_sent_then_what_is_new(log: Path) -> None:
    add(log, *range(1, 31))
    app = pages.good(AppTest.from_function(page, args=(str(log.parent),)).run())
    first = sent(app)
    assert first["base"] is None and first["parts"]["order"] == ["loss"]
    assert first["parts"]["range"] == {"lo": 1, "hi": 90}
    assert [len(change[1]) for change in first["lines"].values()] == [30, 30]
    assert [name for name, _word in first["parts"]["settings"]["charts"]] == ["loss", "learning_rate"]
    app.run()
    assert sent(app) == {"key": "main", "seq": 1, "base": 1}
    add(log, 31)
    app.run()
    news = sent(app)
    assert news["lines"] == {"loss/loss": [30, [31], [0.0322581]], "loss/loss~": [30, [31], mock.ANY]}
    assert set(news["parts"]) == {"marks/loss"} and len(json.dumps(news)) < 600


def test_a_browser_that_lacks_something_is_sent_all(log: Path) -> None:
    add(log, 1, 2)
    app = pages.good(AppTest.from_function(page, args=(str(log.parent),)).run())
    app.session_state["curves.sent"]["main"].forget()
    app.run()
    assert sent(app)["base"] is None and sent(app)["seq"] == 3 and "page" in sent(app)["parts"]


def test_the_address_says_what_is_shown(log: Path) -> None:
    add(log, *range(1, 31))
    app = AppTest.from_function(page, args=(str(log.parent),))
    app.query_params["smooth"], app.query_params["log"], app.query_params["zoom"] = "0", "1", "5~9"
    pages.good(app.run())
    parts = sent(app)["parts"]
    assert (parts["settings"]["spanUsed"], parts["chart/loss"]["log"], parts["detail"]) == (0, True, [5, 9])
    assert list(sent(app)["lines"]) == ["loss/loss", "loss/loss@"]


def test_an_axis_that_none_of_the_runs_has_is_not_offered_and_not_used(log: Path) -> None:
    row = {"total_steps": 90, "loss": 1.0, "total_tokens": 0}
    log.write_text("".join(json.dumps({"current_steps": step, **row}) + "\n" for step in (1, 2, 3)))
    app = AppTest.from_function(page, args=(str(log.parent),))
    app.query_params["x"], app.query_params["zoom"] = "tokens", "100~900"
    pages.good(app.run())
    parts = sent(app)["parts"]
    assert [name for name, _word in parts["settings"]["axes"]] == ["step"] and parts["settings"]["x"] == "step"
    assert parts["order"] == ["loss"] and "detail" not in parts
    assert len(sent(app)["lines"]["loss/loss"][1]) == 3


class Session:
    """A session and its address."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **address: str) -> None:
        self.state: dict[str, Any] = {}
        self.address = address
        monkeypatch.setattr(draw.st, "session_state", self.state)
        monkeypatch.setattr(draw.st, "query_params", self.address)

    def says(self, group: str = "g", **said: Any) -> CurveSettings:
        """Settings after the browser said something."""
        self.state["k"] = {"told": said}
        take("k", group)
        return settings_of(group)


def test_what_the_browser_says_goes_into_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(monkeypatch, run="r", log="1")
    assert session.says(x="epoch", zoom=[1, 2]) == CurveSettings(x="epoch", log=True, zoom=(1, 2))
    assert session.address == {"run": "r", "log": "1", "x": "epoch", "zoom": "1~2"}
    assert session.says(zoom=None, log=False) == CurveSettings(x="epoch")
    assert session.address == {"run": "r", "x": "epoch"}
    assert ASKED_CSV not in session.state
    session.says(csv=1)
    assert session.state[ASKED_CSV] is True


def test_a_zoom_is_not_another_run_s(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(monkeypatch, x="epoch", zoom="1~2")
    assert settings_of("one").zoom == (1, 2)
    assert settings_of("other") == CurveSettings(x="epoch") == session.state[SETTINGS][1]
    assert session.address == {"x": "epoch"}


def test_what_is_no_message_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(monkeypatch)
    session.state["k"] = {"told": None}
    take("k", "g")
    assert session.state == {"k": {"told": None}}


def test_the_half_lives_to_choose_from() -> None:
    run = CurveRun("a", RUN_COLOURS[0], feed([{"current_steps": n, "total_steps": 90, "loss": 1.0} for n in (1, 40)]))
    assert ladder(5.0, [run]) == [0, 1, 2, 5, 10, 20, 50]
    assert ladder(7.5, [run]) == [0, 1, 2, 5, 7.5, 10, 20, 50]
    assert ladder(0.0, []) == [0, 1, 2]
