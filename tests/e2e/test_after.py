"""From a finished demo to its scores, to a merged model, and to an answer of that model, in Chromium."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import drawn
from tests.e2e.test_chat import ANSWER, QUESTION, ask, greedy
from tests.support.server import Server

pytestmark = [pytest.mark.e2e, pytest.mark.train_env]
PICTURES = os.environ.get("LFDASH_PICTURES")  # a folder for pictures of what was seen
RUN = "saves/demo-llama/lora/taught"
FEW = "12"  # rows of each dataset: a run in seconds
OVER = ".lf-state.lf-done"


class Walk:
    """Counts the clicks of a way, and its seconds."""

    def __init__(self, page: Page) -> None:
        self.page, self.clicks, self.began = page, 0, time.monotonic()

    def click(self, selector: str) -> None:
        """One click, and what it draws."""
        self.page.click(selector)
        self.clicks += 1
        drawn(self.page)

    def over(self, name: str) -> str:
        """A line on the way so far; a picture where somebody wants one."""
        if PICTURES:
            self.page.screenshot(path=str(Path(PICTURES) / f"after_{name}.png"))
        return f"{name}: {self.clicks} clicks, {time.monotonic() - self.began:.0f} s"


def test_a_finished_demo_is_evaluated_exported_and_tried(
    server: Server, page: Page, record_property: Callable[[str, object], None]
) -> None:
    for way in (train, evaluate, export, try_export):
        line = way(server, page)
        record_property(*line.split(": "))
        print(line)


def train(_server: Server, page: Page) -> str:
    """Trains the demo, which an empty form holds where there is no GPU."""
    name = page.locator(".st-key-train-output_dir input:visible").first
    name.fill("taught")
    name.press("Enter")
    drawn(page)
    walk = Walk(page)
    walk.click(".st-key-start button:enabled")
    page.wait_for_selector(OVER, timeout=300_000)
    return walk.over("train")


def home(server: Server, page: Page) -> Walk:
    """The page of the finished run, as its line shows where the adapter is."""
    page.goto(server.url)
    page.wait_for_selector(".st-key-next_evaluate_after button:enabled")
    drawn(page)
    expect(page.locator(".st-key-after_where code")).to_have_text(RUN)
    return Walk(page)


def evaluate(server: Server, page: Page) -> str:
    """Evaluates the run on its own data, and reads what was measured."""
    walk = home(server, page)
    walk.click(".st-key-next_evaluate_after button")
    said = page.locator(".st-key-source")
    expect(said).to_contain_text("Evaluates: adapter taught on model models/demo-llama. Data: demo_sft, demo_chat, 100")
    rows = page.locator(".st-key-eval-max_samples input:visible").first
    rows.fill(FEW)
    rows.press("Enter")
    expect(said).to_contain_text("24 rows")  # of two datasets
    drawn(page)
    walk.click(".st-key-start button:enabled")
    page.wait_for_selector(OVER, timeout=180_000)
    said = page.get_by_text("Evaluated: adapter taught on model models/demo-llama. Data: demo_sft, demo_chat, 24 rows.")
    expect(said).to_be_visible()
    tables = page.locator("[data-testid=stDataFrame] table")
    expect(tables.first).to_contain_text("BLEU-4")
    expect(tables.first).to_contain_text("predict_rouge-l")
    expect(tables.first).not_to_contain_text("second")
    expect(tables.nth(1)).to_contain_text("Rows per second")
    return walk.over("evaluate")


def export(server: Server, page: Page) -> str:
    """Merges the adapter into its model."""
    walk = home(server, page)
    walk.click(".st-key-next_export_after button")
    said = page.locator(".st-key-source")
    expect(said).to_contain_text("Exports: adapter taught on model models/demo-llama. Into: exports/taught.")
    walk.click(".st-key-start button:enabled")
    page.wait_for_selector(OVER, timeout=180_000)
    expect(page.locator(".st-key-after_where code")).to_have_text("exports/taught")
    assert (server.workspace / "exports/taught/model.safetensors").is_file()
    return walk.over("export")


def try_export(_server: Server, page: Page) -> str:
    """Asks the merged model what only the adapter has learned."""
    walk = Walk(page)
    walk.click(".st-key-next_try_it_after button:enabled")
    said = page.locator(".st-key-source")
    expect(said).to_contain_text("Loads: the model exports/taught by itself, without an adapter.")
    walk.click(".st-key-start button:enabled")
    expect(page.locator(".st-key-chat_input textarea")).to_be_visible()
    greedy(page)
    ask(page, QUESTION)
    expect(page.locator(".st-key-chat_log").get_by_text(f"{ANSWER}.")).to_be_visible(timeout=180_000)
    return walk.over("try")
