"""The form under real hands: Esc, a typed model, what replaces everything, lists that cover, the way to a field."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import yaml
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import Server, drawn, pick_option
from tests.e2e.test_configurations import BOARD, RATE, close_menu, upload
from tests.e2e.test_train import choose_preset, pick
from tests.support.runs import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.train_env]
LORA = "LoRA 7B, fits 24 GB: Qwen2.5-7B"
LISTS = "[data-testid=stSelectboxVirtualDropdown], [data-testid=stMultiSelectDropdown]"


def box(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-{key} input:visible").first


def values(page: Page) -> dict[str, str]:
    """What the sidebar's fields hold, by label, once the page is at rest."""
    drawn(page)
    found: dict[str, str] = page.locator("section[data-testid=stSidebar] input").evaluate_all(
        "all => Object.fromEntries(all.map(one => [one.getAttribute('aria-label') || one.type, one.value]))"
    )
    return found


def datasets(page: Page) -> list[str]:
    chosen = page.locator(".st-key-train-dataset").first.get_by_role("group", name="Selected values")
    return [text.strip() for text in chosen.inner_text().split("\n") if text.strip()]


def search(page: Page, key: str, text: str) -> None:
    """Clicks into a list and types, as fast as a person does."""
    box(page, key).click()
    box(page, key).press_sequentially(text, delay=80)


def opened(page: Page, key: str) -> None:
    box(page, key).click()
    expect(page.locator(LISTS).first).to_be_visible()


ESCAPES = ["page-preset_pick", "top-model_path", "top-template", "top-finetuning_type", "train-training_stage",
           "train-dataset"]


@pytest.mark.parametrize("key", ESCAPES)
def test_esc_closes_a_list_and_changes_nothing(page: Page, key: str) -> None:
    choose_preset(page, LORA)
    expect(box(page, "top-model_path")).to_have_value(re.compile("^Qwen2.5-7B-Instruct"))
    before = values(page), datasets(page)
    for typed in ("", "q"):
        opened(page, key)
        page.keyboard.type(typed)
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")  # the first may only have emptied the search
        expect(page.locator(LISTS)).to_have_count(0)
        assert (values(page), datasets(page)) == before
    assert before[1] == ["demo_sft", "demo_chat"]


def test_esc_at_once_after_a_choice_does_not_take_it_back(page: Page) -> None:
    """Streamlit clears a list that was empty until its new value has come back from the server."""
    choose_preset(page, "Demo")
    pick_option(page, box(page, "page-preset_pick"), "New form")
    expect(box(page, "top-model_path")).to_have_value("not set")
    search(page, "top-model_path", "Qwen2.5-0.5B-Instruct")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(box(page, "top-model_path")).to_have_value(re.compile("^Qwen2.5-0.5B-Instruct · 0.5B"))
    drawn(page)
    expect(box(page, "top-model_path")).to_have_value(re.compile("^Qwen2.5-0.5B-Instruct · 0.5B"))


def test_a_typed_name_that_is_not_listed_never_keeps_another_models_path(page: Page) -> None:
    choose_preset(page, LORA)
    expect(box(page, "top-model_path")).to_have_value(re.compile("^Qwen2.5-7B-Instruct"))
    search(page, "top-model_path", "Qwen3-0.6")
    page.keyboard.press("Enter")
    field = page.locator(".st-key-top-model_path").first
    expect(field).to_contain_text("no model in the list is called “Qwen3-0.6”")
    expect(field).not_to_contain_text("Qwen/Qwen2.5-7B-Instruct")
    field.get_by_role("button", name="Qwen3-0.6B-Thinking", exact=True).click()
    expect(box(page, "top-model_path")).to_have_value(re.compile("^Qwen3-0.6B-Thinking · 0.6B"))
    expect(field).to_contain_text("Qwen/Qwen3-0.6B")
    expect(box(page, "top-template")).to_have_value(re.compile("^qwen3 ?$"))


@pytest.mark.parametrize("way", ["preview", "Tab"])
def test_a_typed_name_counts_when_somebody_goes_on(page: Page, way: str) -> None:
    """Streamlit drops a text that was typed and not confirmed: a click on Start would run the model of before."""
    choose_preset(page, "Demo")
    search(page, "top-model_path", "org/mine")
    if way == "Tab":
        page.keyboard.press("Tab")
    else:
        page.click(".st-key-preview button")
        expect(page.get_by_role("dialog").get_by_text("model_name_or_path: org/mine").first).to_be_visible()
        page.keyboard.press("Escape")
    expect(box(page, "top-model_path")).to_have_value(re.compile("^org/mine"))


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        ("Qwen2.5-0.5B", "Qwen2.5-0.5B-Instruct", "Qwen2.5-0.5B-Instruct · 0.5B"),
        ("org/name", "org/name-2", "org/name-2"),
        ("/disk/m", "/disk/model", "/disk/model"), ("models/demo-llama", "models/demo-llama2", "models/demo-llama2"),
    ],
)
def test_typing_over_a_chosen_model_loses_no_letter(page: Page, first: str, second: str, shown: str) -> None:
    for typed in (first, second):
        search(page, "top-model_path", typed)
        expect(box(page, "top-model_path")).to_have_value(typed)
        page.keyboard.press("Enter")
        drawn(page)
    expect(box(page, "top-model_path")).to_have_value(re.compile(f"^{re.escape(shown)}"))


def test_typing_over_a_template_loses_no_letter(page: Page) -> None:
    for typed in ("qwen", "qwen3_nothink"):
        search(page, "top-template", typed)
        expect(box(page, "top-template")).to_have_value(typed)
        page.keyboard.press("Enter")
        drawn(page)
    expect(box(page, "top-template")).to_have_value(re.compile("^qwen3_nothink ?$"))


def test_a_small_qwen_is_found_by_these_words(page: Page) -> None:
    search(page, "top-model_path", "qwen small")
    first = page.get_by_role("option").nth(1)  # the first is Streamlit's own "Add"
    expect(first).to_contain_text(re.compile("^Qwen.* small"))
    first.click()
    expect(box(page, "top-model_path")).to_have_value(re.compile("^Qwen.* small"))


def replaced_by_preset(page: Page) -> None:
    choose_preset(page, "DPO")


def replaced_by_new(page: Page) -> None:
    pick_option(page, box(page, "page-preset_pick"), "New form")


def replaced_by_file(page: Page) -> None:
    upload(page, "board.json", yaml.safe_dump(BOARD).encode())
    expect(page.locator(".st-key-undo")).to_be_visible()
    close_menu(page)


@pytest.mark.parametrize("replace", [replaced_by_preset, replaced_by_new, replaced_by_file])
def test_what_replaced_the_form_is_said_and_taken_back(page: Page, replace: Callable[[Page], None]) -> None:
    choose_preset(page, "Demo")
    box(page, "train-learning_rate").fill("7e-4")
    box(page, "train-learning_rate").press("Tab")
    pick(page, "train-dataset", "demo_kto")
    before = values(page), datasets(page)
    replace(page)
    drawn(page)
    expect(page.get_by_text(re.compile("Values replaced by .*: [1-9]"))).to_be_visible()
    expect(page.locator(RATE)).not_to_have_value("7e-4")
    page.click(".st-key-undo button")
    drawn(page)
    expect(page.locator(".st-key-undo")).to_have_count(0)
    expect(page.locator(RATE)).to_have_value("7e-4")
    assert (values(page), datasets(page)) == before
    page.click(".st-key-redo button")
    drawn(page)
    expect(page.locator(RATE)).not_to_have_value("7e-4")


def test_what_differs_is_counted_at_once_and_all_of_it_taken_back(page: Page) -> None:
    choose_preset(page, LORA)
    expect(box(page, "top-model_path")).to_have_value(re.compile("^Qwen2.5-7B-Instruct"))
    before = values(page)
    menu = page.locator(".st-key-changed_menu button")
    edits = (("num_train_epochs", "6"), ("learning_rate", "7e-4"), ("cutoff_len", "99"))
    for count, (key, text) in enumerate(edits, 1):
        box(page, f"train-{key}").fill(text)
        box(page, f"train-{key}").press("Tab")
        expect(menu).to_contain_text(f"{count} changed")
    search(page, "top-model_path", "Qwen2.5-0.5B-Instruct")
    page.keyboard.press("Enter")
    expect(menu).to_contain_text("4 changed")
    menu.click()
    page.get_by_role("button", name="Reset all").click()
    expect(page.locator(".st-key-changed_menu")).to_have_count(0)
    expect(box(page, "top-model_path")).to_have_value(re.compile("^Qwen2.5-7B-Instruct"))
    assert values(page) == before


def test_a_list_of_several_closes_after_a_choice(page: Page) -> None:
    choose_preset(page, "Demo")
    opened(page, "train-dataset")
    page.get_by_role("option").filter(has_text="demo_kto").first.click()
    expect(page.locator(LISTS)).to_have_count(0)
    wait_for(lambda: datasets(page) == ["demo_sft", "demo_chat", "demo_kto"])
    opened(page, "train-dataset")
    page.keyboard.press("Escape")
    assert datasets(page) == ["demo_sft", "demo_chat", "demo_kto"]


def test_a_setting_is_found_by_other_words(page: Page) -> None:
    page.locator(".st-key-page-filter input").fill("gpu memory")
    expect(box(page, "top-quantization_bit")).to_be_visible()
    expect(box(page, "train-batch_size")).to_be_visible()
    expect(page.locator(".st-key-train-report_to")).to_have_count(0)


def test_a_second_person_finds_their_own_form(page: Page, server: Server) -> None:
    """The draft of another browser does not take the place of mine."""
    choose_preset(page, "Demo")
    box(page, "train-learning_rate").fill("1e-3")
    box(page, "train-learning_rate").press("Tab")
    drawn(page)
    browser = page.context.browser
    assert browser is not None
    other = browser.new_context(viewport={"width": 1440, "height": 900})
    tab = other.new_page()
    tab.goto(server.url)
    rate = tab.locator(RATE).first
    expect(rate).to_be_visible()
    rate.fill("2e-3")
    rate.press("Tab")
    drawn(tab)
    expect(page.locator(RATE)).to_have_value("1e-3")
    page.reload()
    expect(page.locator(RATE)).to_have_value("1e-3")
    other.close()
