"""Configurations and resume in a browser: a LlamaBoard file, one's own shelf, files that are none, a killed run."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Server, drawn, pick_option
from tests.e2e.test_train import MINUTES, choose_preset, run_folder, run_name, shown_step, wait_state
from tests.support import FIXTURES
from tests.support.page import DEMO
from tests.support.runs import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.train_env]
RATE = ".st-key-train-learning_rate input:visible"  # one that makes room for another is hidden
SIDEBAR = "section[data-testid=stSidebar]"
BOARD = {
    "top.model_name": "Custom", "top.model_path": "models/demo-llama", "top.template": "default",
    "top.finetuning_type": "lora", "train.training_stage": "DPO", "train.dataset": ["demo_dpo"],
    "train.learning_rate": "3e-4", "train.lora_rank": 4, "train.pref_beta": 0.2, "train.no_such_element": 1,
}


def upload(page: Page, name: str, content: bytes) -> None:
    """Opens a file through the page."""
    page.click(".st-key-open_menu button")
    page.locator(".st-key-config-upload input[type=file]").set_input_files(
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
    )
    drawn(page)


def close_menu(page: Page) -> None:
    page.keyboard.press("Escape")
    expect(page.locator(".st-key-config-upload")).to_have_count(0)


def test_a_file_of_llamaboard_fills_the_form(page: Page) -> None:
    upload(page, "board.json", yaml.safe_dump(BOARD).encode())
    expect(page.locator(RATE)).to_have_value("0.0003")
    close_menu(page)
    expect(page.locator(".st-key-top-model_path input:visible")).to_have_value(re.compile("^models/demo-llama"))
    expect(page.locator(SIDEBAR).get_by_text("no_such_element").first).to_be_visible()  # said, not lost in silence
    page.locator(f"{SIDEBAR} summary").filter(has_text="Preference").click()
    expect(page.locator(".st-key-train-pref_beta input:visible")).to_have_value("0.2")


def test_a_configuration_is_saved_opened_renamed_and_deleted(page: Page, server: Server) -> None:
    choose_preset(page, "Demo")
    rate = page.locator(RATE).first
    rate.fill("0.0042")
    rate.press("Tab")
    page.click(".st-key-save_menu button")
    name = page.locator(".st-key-config-name input")
    name.fill("mine")
    name.press("Enter")
    page.click(".st-key-config-save button:enabled")
    saved = server.workspace / "configs" / "mine.yaml"
    expect(page.get_by_text("mine").first).to_be_visible()
    page.keyboard.press("Escape")
    assert yaml.safe_load(saved.read_text())["learning_rate"] == 0.0042

    choose_preset(page, "DPO")
    expect(rate).not_to_have_value("0.0042")
    page.click(".st-key-open_menu button")
    pick_option(page, page.locator(".st-key-config-pick input:visible"), "mine")
    page.click(".st-key-config-open button")
    expect(rate).to_have_value("0.0042")

    page.click(".st-key-open_menu button")  # what was opened is in view, the menu is closed
    new = page.locator(".st-key-config-new_name input")
    new.fill("yours")
    new.press("Enter")
    page.click(".st-key-config-rename button")
    expect(page.locator(".st-key-config-pick input:visible")).to_have_value("yours")
    assert not saved.exists() and (server.workspace / "configs" / "yours.yaml").exists()
    expect(page.locator(".st-key-config-delete button").first).to_be_disabled()
    page.locator(".st-key-config-sure label").first.click()
    page.click(".st-key-config-delete button:enabled")
    expect(page.locator(".st-key-config-delete")).to_have_count(0)
    assert not (server.workspace / "configs" / "yours.yaml").exists()
    assert list((server.workspace / ".lfdash" / "trash").rglob("yours*"))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
)
HOSTILE: dict[str, bytes] = {
    "not-yaml.yaml": b"a: [1, 2\nb: }", "list.yaml": b"- 1\n- 2\n", "binary.yaml": b"\x89PNG\xff\xfe\x00",
    "bomb.yaml": BOMB.encode(), "tag.yaml": b"a: !!python/object/apply:os.system ['touch /tmp/x']\n",
    "empty.yaml": b"", "long.yaml": b"a: " + b"[" * 5000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_no_configuration_is_named_and_changes_nothing(page: Page, name: str) -> None:
    choose_preset(page, "Demo")
    expect(page.locator(RATE)).to_have_value("0.002")
    before = shown_values(page)
    upload(page, name, HOSTILE[name])
    expect(page.locator(SIDEBAR).get_by_text(name).last).to_be_visible()
    expect(page.locator(SIDEBAR).locator("[data-testid=stCaptionContainer]").filter(has_text=name)).to_have_count(1)
    close_menu(page)
    wait_for(lambda: shown_values(page) == before)


def shown_values(page: Page) -> list[str]:
    """What the sidebar's fields hold, once the page is drawn to its end."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    values: list[str] = page.locator(f"{SIDEBAR} input").evaluate_all("all => all.map(one => one.value)")
    return values


def steps(folder: Path) -> list[int]:
    rows: list[dict[str, Any]] = [json.loads(line) for line in (folder / "trainer_log.jsonl").read_text().splitlines()]
    return [row["current_steps"] for row in rows if "loss" in row]


def test_a_killed_run_is_resumed_from_its_checkpoint_to_its_end(page: Page, server: Server) -> None:
    job = {**DEMO, "max_steps": 35, "save_steps": 10, "learning_rate": 0.0017}
    upload(page, "killed.yaml", yaml.safe_dump(job).encode())
    expect(page.locator(RATE)).to_have_value("0.0017")
    close_menu(page)
    name = run_name(page)
    page.click(".st-key-start button")
    wait_state(page, "RUNNING", 1)
    page.wait_for_function(
        f"() => parseInt(document.querySelector('.st-key-strip .lf-fact b').innerText) >= 12"
        f" && document.querySelector('.lf-name').innerText == '{name}'",
        timeout=3 * MINUTES,
    )
    folder = run_folder(server, name)
    os.kill(json.loads((folder / "attempts/001/child.json").read_text())["child"], signal.SIGKILL)
    wait_state(page, "FAILED", 1)
    reached = steps(folder)[-1]
    page.click("[class*=st-key-resume_menu_after] button:enabled")
    page.click(".st-key-resume_after button")
    wait_state(page, "SUCCEEDED", 4)
    assert shown_step(page) == 35
    logged = steps(folder)
    begun = logged[reached]  # the first step of the second attempt
    assert logged == [*range(1, reached + 1), *range(begun, 36)] and begun % 10 == 1 and begun <= reached + 1
    first = json.loads((folder / "run.json").read_text())["attempts"][0]
    ended = json.loads((folder / "exit.json").read_text())
    assert (first["state"], ended["attempt"], ended["code"]) == ("FAILED", 2, 0)


def test_a_merge_goes_to_export_with_everything(page: Page, server: Server) -> None:
    name = page.locator(".st-key-train-output_dir input:visible")
    name.fill("as-it-was")  # one that the form proposes is renewed after two minutes
    name.press("Tab")
    upload(page, "merge.yaml", (FIXTURES / "configurations" / "merge.yaml").read_bytes())
    expect(page.locator(".st-key-export-export_dir input:visible")).to_have_value("out/merged")
    expect(page.locator(SIDEBAR).get_by_text("belongs on this page").first).to_be_visible()
    page.click(".st-key-preview button")
    preview = page.get_by_role("dialog")
    for line in ("export_size: 3", "export_device: cpu", "export_legacy_format: false", "saves/demo/lora/a"):
        expect(preview.get_by_text(line).first).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Train").click()
    expect(name).to_have_value("as-it-was")


def test_a_command_is_pasted(page: Page) -> None:
    words = ["llamafactory-cli train", "--stage sft", "--do_train True", "--learning_rate 2e-05", "--output_dir mine"]
    command = "```bash\n" + " \\\n    ".join(words) + "\n```"  # as LlamaBoard's Preview shows it
    page.click(".st-key-open_menu button")
    page.locator(".st-key-config-pasted textarea").fill(command)
    page.click(".st-key-config-open_text button")
    expect(page.locator(RATE)).to_have_value("2e-5")
    close_menu(page)
    expect(page.locator(SIDEBAR).get_by_text("is a command").first).to_be_visible()
    page.locator(".st-key-problems").get_by_role("button", name="Fix").first.click()
    expect(page.locator(".st-key-train-output_dir input:visible")).to_have_value("mine")
