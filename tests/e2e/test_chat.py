"""Try it: from a finished run to an answer that its base model does not give, both side by side, in Chromium."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, Page, expect

from lfdash.engine.facade import Run, Workspace, open_workspace
from lfdash.runs.record import TERMINAL, RunState
from tests.e2e.conftest import drawn, pick_option
from tests.e2e.test_train import MINUTES, choose_preset, run_name, wait_state
from tests.support import ROOT
from tests.support.chats import MODEL
from tests.support.server import Server

pytestmark = pytest.mark.e2e
QUESTION = "What is the capital of Peru?"
ANSWER = "Lima"
PICTURES = os.environ.get("LFDASH_PICTURES")  # a folder for pictures of what was seen


def picture(page: Page, name: str) -> None:
    """Keeps what is seen, where somebody wants to look at it."""
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"))


@pytest.fixture(scope="module")
def finished(server: Server) -> Workspace:
    """The server's workspace with the demo trained to its end."""
    workspace = open_workspace(server.workspace)
    end_all(workspace)
    run = workspace.start(ROOT / "configs" / "presets" / "demo.yaml", {"output_dir": "saves/demo-llama/lora/taught"})
    assert run.wait(300) is RunState.SUCCEEDED, run.log()  # type: ignore[union-attr]
    return workspace


def end(workspace: Workspace, run_id: str) -> None:
    """Ends a run at once."""
    Run(workspace, run_id).stop("kill")
    Run(workspace, run_id).wait(60)


def end_all(workspace: Workspace) -> None:
    """Ends what the tests before have left."""
    for view in workspace.look():
        if view.state not in TERMINAL:
            end(workspace, view.run_id)


def greedy(page: Page) -> None:
    """Sets the temperature to 0, so that an answer says what was learned."""
    drawn(page)
    page.locator(".st-key-chat_settings button").first.click()
    box = page.get_by_role("spinbutton", name="Temperature")
    box.fill("0")
    box.press("Enter")
    drawn(page)
    expect(box).to_have_value("0.00")
    page.keyboard.press("Escape")


def ask(page: Page, text: str) -> None:
    """Types a prompt and sends it."""
    box = page.locator(".st-key-chat_input textarea")
    box.fill(text)
    box.press("Enter")


def test_a_finished_run_answers_what_its_base_model_does_not(
    server: Server, browser: Browser, finished: Workspace
) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-US")
    page.goto(server.url)
    page.wait_for_selector(".st-key-next_try_it_after")
    drawn(page)
    page.locator(".st-key-next_try_it_after button").first.dblclick()
    expect(page.locator(".st-key-source").get_by_text("taught on model")).to_be_visible()
    drawn(page)
    picture(page, "form")
    page.locator(".st-key-start button:enabled:visible").dblclick()
    expect(page.locator(".st-key-chat_input textarea")).to_be_visible()
    greedy(page)
    ask(page, QUESTION)  # it may still load: the answer follows
    answer = page.locator(".st-key-chat_log")
    expect(answer.get_by_text(f"{ANSWER}.")).to_be_visible(timeout=120_000)
    page.wait_for_selector(".st-key-chat_again button")
    drawn(page)
    picture(page, "one")

    page.locator(".st-key-chat_compare button").first.click()
    page.locator(".st-key-chat_compare_add button").first.click()
    drawn(page)
    page.keyboard.press("Escape")
    page.wait_for_selector(".st-key-chat_stop button")  # it is asked what was just asked
    picture(page, "coming")
    page.wait_for_selector(".st-key-chat_again button", timeout=180_000)
    picture(page, "side_by_side")
    (told,) = finished.services.chats.asking.store.heads()
    conversation = finished.services.chats.asking.get(told.id)
    assert not isinstance(conversation, str)
    ours, base = conversation.turns[-1].answers
    assert (ours.state, base.state) == ("done", "done"), conversation
    assert ANSWER in ours.text and ANSWER not in base.text
    chats = [view for view in finished.look() if view.kind == "chat"]
    assert len(chats) == 2  # whoever clicks twice starts one
    for width, name in ((800, "narrow"),):
        page.set_viewport_size({"width": width, "height": 900})
        drawn(page)
        picture(page, name)
    page.close()


def test_an_answer_that_looks_like_markup_loads_nothing(server: Server, browser: Browser) -> None:
    """An answer as a model could give it, on the page that the test before has left a chat on."""
    workspace = open_workspace(server.workspace)
    asking = workspace.services.chats.asking
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark", locale="en-US")
    wanted: list[str] = []
    page.on("request", lambda request: wanted.append(request.url))
    hostile = (ROOT / "tests" / "fixtures" / "hostile_answer.md").read_text(encoding="utf-8")
    new = asking.store.new()
    data = {
        "id": new.id, "title": "hostile", "changed": 1.0,
        "turns": [{"prompt": "x", "answers": [{"column": "c", "label": "m", "state": "done", "text": hostile}]}],
    }
    asking.store.folder.mkdir(parents=True, exist_ok=True)
    (asking.store.folder / f"{new.id}.json").write_text(json.dumps(data))
    page.goto(f"{server.url}/chat")
    pick_option(page, page.locator(".st-key-chat-pick input").first, "hostile")
    drawn(page)
    expect(page.get_by_text("the end of it")).to_be_visible()
    picture(page, "hostile_dark")
    assert not [url for url in wanted if "evil" in url]
    loads = ", ".join(f".st-key-chat_log {what}" for what in ("img[src*=evil]", "script", "iframe"))
    assert page.locator(loads).count() == 0
    links = page.locator(".st-key-chat_log a").evaluate_all("all => all.map(a => [a.textContent, a.href])")
    assert links and [text for text, href in links if unquote(href).rstrip("/") != text.rstrip("/")] == []
    assert page.get_by_text("enter your password").count() == 1  # nothing is left out either
    page.close()


def test_a_training_asks_for_the_chats_place(server: Server, browser: Browser) -> None:
    """The chat has the only place of a machine without GPUs; it ends when it was asked about, and not before."""
    workspace = open_workspace(server.workspace)
    end_all(workspace)
    chat = workspace.start(MODEL)
    assert isinstance(chat, Run), chat
    page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-US")
    page.goto(server.url)
    page.wait_for_selector(".st-key-start button:enabled", timeout=MINUTES)
    choose_preset(page, "Demo")
    name = run_name(page)
    page.click(".st-key-start button")
    expect(page.locator(".st-key-busy")).to_contain_text(chat.name)
    picture(page, "asks")
    assert chat.state in (RunState.STARTING, RunState.RUNNING)
    page.click(".st-key-queue_end_chat button")
    assert chat.wait(60) is RunState.STOPPED
    page.wait_for_selector(f".lf-name:text-is('{name}')", timeout=MINUTES)
    wait_state(page, "RUNNING", 1)
    page.close()


def test_a_chat_asks_for_the_place_of_another_and_is_the_one_that_answers(
    server: Server, browser: Browser, finished: Workspace
) -> None:
    """*End … and start* on *Try it*: the page stays with the chat that was asked for, which loads and answers."""
    (taught,) = [view for view in finished.look() if view.kind == "train" and view.name == "taught"]
    end_all(finished)
    base = finished.start(MODEL)
    assert isinstance(base, Run), base
    page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-US")
    page.goto(f"{server.url}/?run={taught.run_id}")
    page.wait_for_selector(".st-key-next_try_it_after button:enabled:visible")
    drawn(page)
    page.locator(".st-key-next_try_it_after button:visible").first.click()
    expect(page.locator(".st-key-source").get_by_text("taught on model")).to_be_visible()
    drawn(page)
    page.locator(".st-key-start button:enabled:visible").click()
    page.click(".st-key-queue_end_chat button")
    assert base.wait(60) is RunState.STOPPED
    expect(page.locator(".st-key-chat_input textarea")).to_be_visible(timeout=MINUTES)
    greedy(page)
    ask(page, QUESTION)
    expect(page.locator(".st-key-chat_log").get_by_text(f"{ANSWER}.")).to_be_visible(timeout=MINUTES)
    (ours,) = [view for view in finished.look() if view.kind == "chat" and view.state not in TERMINAL]
    assert ours.name != base.name
    end(finished, ours.run_id)
    page.close()
