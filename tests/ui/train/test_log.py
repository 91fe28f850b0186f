"""The output of the run that is shown: of that run, only what is new is sent, without secrets; and what a browser may
ask for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.services import Services
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView
from lfdash.ui.shared.text import t
from lfdash.ui.train.log import message
from lfdash.ui.train.log_answers import UNFOLDED, Followed
from tests.support import app as pages
from tests.support.many import add_run

TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWxYz012345"


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with pages.opened(tmp_path / "workspace") as found:
        found._started = True  # its thread would look at the runs at moments of its own
        for name in ("one", "two"):
            add_run(found.workspace.root, name)
        found.registry.refresh()
        yield found


def log_page() -> None:
    import streamlit as st

    from lfdash.ui.shared.session import shared_services
    from lfdash.ui.train.log import draw_log

    services = shared_services()
    view = services.registry.get(st.session_state["run"])
    assert view is not None
    draw_log(services, view, services.feeds.of(view.paths))


def visit(run_id: str) -> AppTest:
    app = AppTest.from_function(log_page)
    app.session_state["run"] = run_id
    return pages.good(app.run())


def sent(app: AppTest) -> dict[str, Any]:
    """What the browser's part of the page was sent."""
    found = [node.proto for node in nodes(app.main) if getattr(node.proto, "component_name", "") == "lfdash.log"]
    assert len(found) == 1
    data: dict[str, Any] = json.loads(found[0].json)
    return data


def nodes(node: Any) -> Iterator[Any]:
    if hasattr(node, "children"):
        for child in node.children.values():
            yield from nodes(child)
    elif hasattr(node, "proto"):
        yield node


def view_of(services: Services, name: str) -> RunView:
    view = services.registry.get(f"id-{name}")
    assert view is not None
    return view


def console(services: Services, name: str) -> Path:
    return view_of(services, name).paths.console


def words(rows: list[list[Any]]) -> list[str]:
    return [row[2] for row in rows if row[1] != -1]


def test_what_is_new_alone_is_sent_and_another_run_has_its_own(services: Services) -> None:
    console(services, "one").write_text("first line\n")
    console(services, "two").write_text("of another\n")
    app = visit("id-one")
    first = sent(app)
    assert words(first["page"]["rows"]) == ["first line"] and first["words"]["log_all"] == t("ui.log_all")
    with console(services, "one").open("a") as file:
        file.write("second line\n")
    again = sent(pages.good(app.run()))
    assert words(again["rows"]) == ["second line"] and again["from"] == 11 and again["turn"] > first["turn"]
    assert "page" not in again and "words" not in again
    quiet = sent(pages.good(app.run()))
    assert set(quiet) == {"run", "session", "turn", "to", "told"} and len(json.dumps(quiet)) < 250
    app.session_state["run"] = "id-two"
    assert words(sent(pages.good(app.run()))["page"]["rows"]) == ["of another"]


def test_a_log_that_was_cut_is_sent_anew(services: Services) -> None:
    console(services, "one").write_text("first attempt\n")
    app = visit("id-one")
    console(services, "one").write_text("second\n")
    assert words(sent(pages.good(app.run()))["page"]["rows"]) == ["second"]


def test_the_log_of_the_framework_stands_in_where_there_is_no_console(services: Services) -> None:
    file = console(services, "one")
    (file.parent / "running_log.txt").write_text("[INFO] loading\n[WARNING] odd\n")
    file.write_text("its own output\n")
    assert words(sent(visit("id-one"))["page"]["rows"]) == ["its own output"]
    file.unlink()
    app = visit("id-one")
    assert [item.value for item in app.caption] == [
        t("ui.log_of_framework", file="running_log.txt", missing="console.log")
    ]
    assert any("loading" in row for row in words(sent(app)["page"]["rows"]))


def test_without_output_it_says_so(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit("id-one")
    assert [item.value for item in app.caption] == [t("ui.log_over", file="console.log")]
    going = replace(view_of(services, "one"), state=RunState.RUNNING)
    monkeypatch.setattr(services.registry, "get", lambda _run_id: going)
    assert [item.value for item in visit("id-one").caption] == [t("ui.log_empty")]


class Browser:
    """What one browser is sent, without a page."""

    def __init__(self, services: Services, name: str) -> None:
        self.services, self.view = services, view_of(services, name)
        self.followed = Followed(self.view.run_id)

    def look(self, question: Any = None) -> dict[str, Any]:
        self.services.logs.of(self.view.paths.console)
        self.followed.asked = question
        return message(self.services, self.view, self.followed, tall=False)

    def ask(self, what: str, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.look({"what": what, "id": "x.1", **more})["reply"]
        assert answer["id"] == "x.1"
        return answer


def test_a_secret_is_neither_shown_nor_found(services: Services) -> None:
    services.registry.set_secret("HF_TOKEN", TOKEN)
    console(services, "one").write_text(f"login with {TOKEN} done\nlogin with {TOKEN[:20]}")
    browser = Browser(services, "one")
    first = browser.look()
    assert words(first["page"]["rows"]) == ["login with •••HF_TOKEN done", "login with …"]
    assert TOKEN[:8] not in json.dumps(first)
    found = browser.ask("find", query=TOKEN[3:15], place=0)["found"]
    assert found["count"] == 0 and found["place"] is None and found["done"]
    assert browser.ask("find", query="DONE", place=0)["found"]["place"] == 0


def test_a_long_log_is_opened_at_its_end_and_goes_back_by_pages(services: Services) -> None:
    console(services, "one").write_text("".join(f"line {number}\n" for number in range(5000)))
    browser = Browser(services, "one")
    page = browser.look()["page"]
    seen = words(page["rows"])
    assert len(seen) == 200 and seen[-1] == "line 4999" and page["rest"]
    while page["rest"]:
        page = browser.ask("older", place=page["begin"])["page"]
        seen = words(page["rows"]) + seen
    assert seen == [f"line {number}" for number in range(5000)]


def test_what_is_folded_is_sent_when_it_is_asked_for(services: Services) -> None:
    steps = "".join(f"\r{n}%|#| {n}/900 [00:01<00:09]" for n in range(900))
    console(services, "one").write_text(f"begin\n{steps}\nend\n")
    browser = Browser(services, "one")
    rows = browser.look()["page"]["rows"]
    assert [row[1] for row in rows] == [0, -1, 1, 0] and rows[1][3:] == [899, 0]
    page = browser.ask("lines", begin=rows[1][0], end=rows[1][2])["page"]
    assert len(page["rows"]) == UNFOLDED and page["rows"][-1][2].startswith("898%") and page["begin"] > rows[1][0]


def test_the_first_traceback_of_the_attempt(services: Services) -> None:
    text = "x\nTraceback (most recent call last):\n  File\nValueError: bad\n" + "later\n" * 400
    console(services, "one").write_text(text)
    browser = Browser(services, "one")
    assert browser.look()["told"]["traceback"]
    page = browser.ask("traceback")["page"]
    assert page["mark"] == 2 and [row[1] for row in page["rows"][:4]] == [0, 8, 8, 8] and page["more"]
    rest = browser.ask("newer", place=page["end"])["page"]
    assert rest["begin"] == page["end"] and words(rest["rows"])[0] == "later"


def test_only_warnings_and_errors(services: Services) -> None:
    console(services, "one").write_text("a\n[WARNING|x.py:1] b\nc\nKilled\n")
    browser = Browser(services, "one")
    browser.look()
    assert words(browser.ask("end", level=1)["page"]["rows"]) == ["[WARNING|x.py:1] b", "Killed"]
    assert words(browser.ask("end", level=2)["page"]["rows"]) == ["Killed"]
    with console(services, "one").open("a") as file:
        file.write("d\nsrun: error: e\n")
    assert words(browser.look()["rows"]) == ["srun: error: e"]


@pytest.mark.parametrize(
    "question",
    [None, 3, "end", {}, {"what": "older", "place": "1"}, {"what": "older", "place": -5},
     {"what": "newer", "place": 1 << 80},
     {"what": "lines", "begin": None, "end": 1e9}, {"what": "find", "query": ["x"], "place": True}, {"what": []},
     {"what": "around", "place": 3, "level": "2"}, {"what": "find", "query": "x" * 10_000, "place": 0}],
)
def test_whatever_a_browser_asks_it_is_answered(services: Services, question: Any) -> None:
    console(services, "one").write_text("first\n\0second\n" * 9)
    browser = Browser(services, "one")
    browser.look()
    data = browser.look(question)
    assert ("reply" in data) is isinstance(question, dict)
    assert len(json.dumps(data)) < 3000


def test_a_huge_line_is_cut(services: Services) -> None:
    console(services, "one").write_bytes(b"before\n" + b"A" * 3_000_000 + b"\nafter\n")
    browser = Browser(services, "one")
    page = browser.look()["page"]
    rows = page["rows"]
    while page["rest"]:  # there was no time for more
        page = browser.ask("older", place=page["begin"])["page"]
        rows = page["rows"] + rows
    assert words(rows)[0] == "before" and words(rows)[2] == "after"
    assert len(rows[1][2]) == 4000 and rows[1][3] == 3_000_001 - 4000
