"""Without a mouse, and without eyes: axe's rules on every page, the way of the Tab key, what is read aloud."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from lfdash.runs.paths import RunPaths
from tests.e2e.conftest import Server, drawn, no_double_click, pick_option, signal_trainers
from tests.support.many import add_run
from tests.support.runs import wait_for

pytestmark = pytest.mark.e2e
PAGES = ("", "runs", "compare", "evaluate", "export", "data", "arguments", "sweep")
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
MOST_TABS = 46  # from the top of the page to Start, with the demo's preset; a skip link and Ctrl+Enter are shorter


def prepare(server: Server) -> None:
    """A run that is over, and a form that nobody has changed."""
    if not (server.workspace / "saves/demo-llama/lora/over").exists():
        add_run(server.workspace, "over").console.write_text("the end\n")
    for draft in server.workspace.glob(".lfdash/draft-*.json"):
        draft.unlink()


def runs_of(workspace: Path) -> list[RunPaths]:
    """The runs that a dashboard has started there."""
    return [RunPaths(path.parent) for path in workspace.glob("saves/*/*/*/run.json")]


@pytest.fixture(params=["light", "dark"])
def tab(request: pytest.FixtureRequest, browser: Browser, server: Server) -> Iterator[Page]:
    """A tab of a workspace with a run that is over."""
    prepare(server)
    context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme=request.param)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_no_rule_of_axe_is_broken(tab: Page, server: Server, path: str) -> None:
    tab.goto(f"{server.url}/{path}")
    tab.wait_for_selector("h1.lf-spoken", state="attached", timeout=60_000)
    tab.wait_for_selector(IDLE)
    if path == "":
        expect(tab.locator(".lf-name")).to_have_text("over")
        expect(tab.locator(".st-key-console .lines")).to_have_attribute("role", "region")
    found = Axe().run(tab)
    told = [f"{item['id']}: {item['nodes'][0]['html'][:200]}" for item in found.response["violations"]]
    assert told == []


def test_the_tab_key_comes_to_start(tab: Page, server: Server) -> None:
    tab.goto(server.url)
    tab.wait_for_selector(".st-key-start button:enabled", timeout=60_000)
    tab.wait_for_selector(IDLE)
    names = []
    while len(names) < MOST_TABS:
        tab.keyboard.press("Tab")
        names.append(tab.evaluate("document.activeElement.getAttribute('aria-label') || ''"))
        if tab.evaluate("Boolean(document.activeElement.closest('.st-key-start'))"):
            break
    else:
        raise AssertionError(f"Start is not among the first {MOST_TABS}: {names}")
    assert not [name for name in names if name.startswith(("Help for", "Clear"))]


def test_the_state_of_the_run_is_there_to_be_read_aloud(tab: Page, server: Server) -> None:
    tab.goto(server.url)
    expect(tab.get_by_role("status").filter(has_text="over: FINISHED")).to_be_attached(timeout=60_000)
    expect(tab.get_by_role("progressbar", name="Progress")).to_have_attribute("aria-valuenow", "100")
    expect(tab.get_by_role("heading", level=1)).to_have_text("lfdash · Train")
    expect(tab.get_by_role("heading", level=2)).to_have_text("over")


def test_what_streamlit_says_in_english_is_said_in_the_pages_language(browser: Browser, server: Server) -> None:
    prepare(server)
    context = browser.new_context(locale="ru-RU")
    tab = context.new_page()
    tab.goto(server.url)
    box = tab.locator(".st-key-train-dataset input:visible")
    box.click(timeout=60_000)
    box.press_sequentially("zzzz")
    expect(tab.get_by_role("option")).to_have_text("Добавить: zzzz")
    tab.keyboard.press("Escape")
    tab.keyboard.press("Escape")
    for name in ("Справка: Датасеты", "Список вариантов: Датасеты"):
        expect(tab.locator(f'.st-key-train-dataset [aria-label="{name}"]')).to_be_attached()
    expect(tab.locator("html")).to_have_attribute("lang", "ru")
    expect(tab.get_by_test_id("stSkipToContent")).to_have_text("Перейти к содержимому")
    tab.get_by_role("radio", name="Файлы").click()
    for name in ("Показать или скрыть столбцы", "Поиск", "На весь экран"):
        expect(tab.get_by_test_id("stElementToolbarButton").locator(f'button[aria-label="{name}"]')).to_be_attached()
    tab.get_by_role("button", name="Главное меню").click()
    expect(tab.get_by_test_id("stMainMenuList")).to_contain_text("Тёмная")
    tab.keyboard.press("Escape")
    pick_option(tab, tab.locator(".st-key-page-language input"), "English")
    for name in ("Collapse sidebar", "Main menu", "Fullscreen"):
        expect(tab.get_by_role("button", name=name, exact=True).first).to_be_attached()
    expect(tab.get_by_test_id("stSkipToContent")).to_have_text("Skip to main content")
    expect(tab.locator("html")).to_have_attribute("lang", "en")
    context.close()


ACTIVE = """() => {
  const element = document.activeElement;
  const part = element.closest('[class*="st-key-"]');
  const key = part ? [...part.classList].find((one) => one.startsWith("st-key-")) : "";
  return [element.tagName, key, Boolean(element.closest('[data-testid="stPopoverBody"]'))];
}"""
BAD = {"learning_rate": "quick", "num_train_epochs": "many", "batch_size": "some"}


@pytest.fixture
def form(tab: Page, server: Server) -> Page:
    """The Train page, at rest."""
    tab.goto(server.url)
    tab.wait_for_selector(".st-key-start button:enabled", timeout=60_000)
    expect(tab.locator(".lf-name")).to_have_text("over")
    drawn(tab)
    return tab


def button(page: Page, key: str) -> Locator:
    return page.locator(f".st-key-{key} button:visible").first


def fill(page: Page, **values: str) -> None:
    for name, value in values.items():
        box = page.locator(f".st-key-train-{name} input:visible")
        box.fill(value)
        box.press("Tab")
        drawn(page)


def focus_is_in(page: Page, key: str, tag: str = "BUTTON") -> None:
    """Waits until the focus is on a control of what has the key."""
    page.wait_for_function(
        "([key, tag]) => document.activeElement.tagName === tag && document.activeElement.closest('.st-key-' + key)",
        arg=[key, tag],
    )


def press(page: Page, key: str) -> None:
    """As somebody does who has no mouse, on a page that is at rest."""
    drawn(page)
    button(page, key).press("Enter")  # the focus and the key in one: a page that lives may be drawn anew between two


@pytest.mark.parametrize("how", ["Enter", "mouse"])
def test_a_menu_that_opens_has_the_focus_and_esc_gives_it_back(form: Page, how: str) -> None:
    fill(form, learning_rate="0.003")
    for menu, first, tag in (
        ("open_menu", "config-upload", "BUTTON"), ("save_menu", "config-name", "INPUT"),
        ("job_menu", "download_job_bar", "BUTTON"), ("download_menu", "run_download_configuration", "BUTTON"),
        ("changed_menu", "reset-train-learning_rate", "BUTTON"),
    ):
        press(form, menu) if how == "Enter" else button(form, menu).click()
        focus_is_in(form, first, tag)
        form.keyboard.press("Escape")
        focus_is_in(form, menu)
        expect(form.get_by_test_id("stPopoverBody")).to_have_count(0)


def test_the_focus_goes_to_what_took_the_place_of_a_pressed_button(form: Page) -> None:
    fill(form, learning_rate="0.003", num_train_epochs="2")
    press(form, "changed_menu")
    focus_is_in(form, "reset-train-learning_rate")
    form.keyboard.press("Enter")
    drawn(form)
    # Streamlit may draw the menu anew, with its button or without: the focus is on either.
    form.wait_for_function(
        "() => document.activeElement.tagName === 'BUTTON'"
        " && document.activeElement.closest('.st-key-changed_menu, .st-key-reset-train-num_train_epochs')"
    )
    press(form, "reset-all")
    focus_is_in(form, "form_menus")


def test_somebody_who_went_elsewhere_is_not_called_back(form: Page) -> None:
    fill(form, learning_rate="0.003")
    press(form, "changed_menu")
    focus_is_in(form, "reset-train-learning_rate")
    form.keyboard.press("Enter")
    form.locator(".st-key-train-run_name, .st-key-train-output_dir").first.locator("input:visible").click()
    drawn(form)
    form.wait_for_timeout(300)
    focus_is_in(form, "train-output_dir", "INPUT")
    form.locator(".lf-fact").first.click()  # on nothing that takes the focus
    form.wait_for_timeout(300)
    assert form.evaluate(ACTIVE)[0] in ("BODY", "MAIN")


def test_errors_are_read_aloud_when_they_come_and_when_start_is_refused(form: Page) -> None:
    status, alert = form.locator("body > [role=status]"), form.locator("body > [role=alert]")
    fill(form, learning_rate="quick")
    expect(status.filter(has_text="1 error: Learning rate: “quick” is not a number.")).to_be_attached()
    fill(form, num_train_epochs="many")
    expect(status.filter(has_text="2 errors: Epochs: “many” is not a number.")).to_be_attached()
    for _ in range(2):
        form.evaluate("() => { window.heard = 0; }")
        form.evaluate(
            "() => new MutationObserver(() => { window.heard += 1; }).observe("
            "document.querySelector('body > [role=alert]'), {childList: true})"
        )
        form.keyboard.press("Control+Enter")
        form.wait_for_function("() => window.heard > 0")
        expect(alert).to_have_text(re.compile("^Not started. 2 errors: Learning rate: “quick” is not a number. Epochs"))
    assert [name for name in names(form, "[class*=st-key-fix_] button") if name == "Fix"] == []
    fill(form, learning_rate="0.002", num_train_epochs="3")
    expect(alert).to_have_text("")


def names(page: Page, where: str) -> list[str]:
    found: list[str] = page.locator(where).evaluate_all(
        "all => all.filter((one) => one.checkVisibility()).map("
        "(one) => one.getAttribute('aria-label') || [...one.querySelectorAll('p')].map((p) => p.textContent).join(''))"
    )
    return found


def test_what_is_pressed_says_what_it_does(form: Page, server: Server) -> None:
    fill(form, learning_rate="0.003")
    assert names(form, ".st-key-job_menu button") == ["Download the job in this form as YAML."]
    box = form.locator(".st-key-job_menu [data-testid=stMarkdownContainer]").first.bounding_box()
    assert box and box["width"] <= 1
    button(form, "changed_menu").click()
    assert names(form, ".st-key-reset-train-learning_rate button") == ["Reset “Learning rate”"]
    form.keyboard.press("Escape")
    button(form, "open_menu").click()
    upload = form.get_by_test_id("stFileUploader")
    label = "A file: YAML, JSON or a shell script"
    expect(upload.locator("button")).to_have_attribute("aria-label", f"Upload: {label}")
    expect(upload.locator("input")).to_have_attribute("aria-label", label)
    form.keyboard.press("Escape")
    form.goto(f"{server.url}/runs")
    button(form, "runs_view_menu").click()
    expect(form.locator(".st-key-runs_turn button:visible")).to_have_text("arrow_downwardLargest first")
    expect(form.locator(".st-key-runs_csv button:visible")).to_contain_text("Download the runs shown here")


def test_ctrl_enter_starts_nothing_from_above_the_form(form: Page) -> None:
    """In a popover or a dialog it applies what was typed there, and no more."""
    fill(form, learning_rate="quick")
    turns = form.locator("[data-say=refused]")
    button(form, "open_menu").click()
    box = form.locator(".st-key-config-pasted textarea")
    box.press_sequentially("stage: sft")
    box.press("Control+Enter")
    expect(form.locator(".st-key-config-open_text button:enabled")).to_have_count(1)
    drawn(form)
    form.keyboard.press("Escape")
    form.get_by_role("button", name="Run on a cluster…").click()
    button(form, "targets_new_slurm").click()
    dialog = form.get_by_test_id("stDialog")
    dialog.get_by_text("Environment there", exact=True).click()
    box = dialog.locator("textarea:visible").first
    box.press_sequentially("NAME=value")
    box.press("Control+Enter")
    drawn(form)
    form.keyboard.press("Escape")
    expect(form.get_by_test_id("stDialog")).to_have_count(0)
    drawn(form)
    expect(turns).to_have_count(0)
    form.keyboard.press("Control+Enter")
    expect(turns).to_have_count(1)


def test_a_fix_says_of_what(form: Page) -> None:
    button(form, "open_menu").click()
    form.locator(".st-key-config-pasted textarea").fill("stage: sft\nlora_dropout: '1e-1'\noutput_dir: out/x\n")
    form.locator(".st-key-config-open_text button").click()
    drawn(form)
    form.keyboard.press("Control+Enter")
    expect(form.locator("[class*=st-key-fix_] button:visible").first).to_have_attribute(
        "aria-label", re.compile("^Fix: .*[^:]$")
    )
    drawn(form)
    said = names(form, "[class*=st-key-fix_] button")
    assert len(set(said)) == len(said)
    for left in range(len(said), 0, -1):
        fixes = form.locator("[class*=st-key-fix_] button:visible")
        expect(fixes).to_have_count(left)
        fixes.first.focus()
        form.wait_for_timeout(650)  # what comes sooner is the second half of a double click
        form.keyboard.press("Enter")
        drawn(form)
        focus_is_in(form, "foot")
    expect(form.locator("[class*=st-key-fix_] button:visible")).to_have_count(0)


def test_a_low_window_leaves_room_for_what_has_the_focus(form: Page) -> None:
    form.set_viewport_size({"width": 853, "height": 480})
    head = form.locator('[data-testid="stLayoutWrapper"]:has(> .st-key-head)')
    expect(head).to_have_css("position", "static")
    form.set_viewport_size({"width": 1280, "height": 480})
    fill(form, **BAD)
    form.keyboard.press("Control+Enter")
    problems = form.locator(".st-key-problems")
    expect(problems).to_contain_text("3 errors")
    box = problems.bounding_box()
    assert box and box["height"] <= 480 * 0.28
    field = form.locator(".st-key-train-lr_scheduler_type input:visible")
    form.locator(".st-key-train-batch_size input:visible").focus()
    for _ in range(2):
        form.keyboard.press("Tab")
    focus_is_in(form, "train-lr_scheduler_type", "INPUT")
    inside, foot = field.bounding_box(), form.locator(".st-key-foot").bounding_box()
    assert inside and foot and inside["y"] + inside["height"] <= foot["y"] + 1
    form.set_viewport_size({"width": 1280, "height": 720})
    expect(head).to_have_css("position", "sticky")


def test_a_sidebar_that_is_away_has_no_stop_of_the_tab_key(tab: Page, server: Server) -> None:
    tab.set_viewport_size({"width": 640, "height": 480})
    tab.goto(server.url)
    tab.wait_for_selector(".st-key-start button", state="attached", timeout=60_000)
    inside = tab.locator("[data-testid=stSidebarContent]")
    expect(inside).to_have_js_property("inert", True)
    tab.get_by_role("button", name="Expand sidebar").focus()
    tab.keyboard.press("Enter")
    expect(inside).to_have_js_property("inert", False)
    tab.wait_for_function("() => document.activeElement.getAttribute('aria-label') === 'Collapse sidebar'")
    tab.keyboard.press("Enter")
    expect(inside).to_have_js_property("inert", True)
    tab.wait_for_function("() => document.activeElement.getAttribute('aria-label') === 'Expand sidebar'")


def test_the_keys_of_start_can_be_read(form: Page) -> None:
    seen = form.locator(".st-key-start kbd:visible").evaluate(
        "(kbd) => [getComputedStyle(kbd, '::after').color, getComputedStyle(kbd.closest('button')).backgroundColor,"
        " getComputedStyle(kbd).opacity]"
    )
    text, ground = (list(map(float, re.findall(r"[\d.]+", colour))) for colour in seen[:2])
    share = float(seen[2]) * (text[3] if len(text) > 3 else 1.0)
    mixed = [share * over + (1 - share) * under for over, under in zip(text[:3], ground[:3], strict=True)]
    assert contrast(mixed, ground[:3]) >= 4.5


def contrast(one: list[float], other: list[float]) -> float:
    """As WCAG counts it; colours as 0..255."""
    light = []
    for colour in (one, other):
        parts = [part / 255 for part in colour]
        line = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        light.append(0.2126 * line[0] + 0.7152 * line[1] + 0.0722 * line[2] + 0.05)
    return max(light) / min(light)


def test_f1_shows_the_help_of_the_field(form: Page) -> None:
    field = form.locator(".st-key-train-learning_rate input:visible")
    field.focus()
    expect(field).to_have_attribute("aria-keyshortcuts", "F1")
    form.keyboard.press("F1")
    expect(form.get_by_role("tooltip")).to_contain_text("Peak learning rate")
    expect(form.locator("body > [role=status]").filter(has_text="Peak learning rate")).to_be_attached()
    form.keyboard.press("F1")
    expect(form.get_by_role("tooltip")).to_have_count(0)
    form.keyboard.press("F1")
    expect(form.get_by_role("tooltip")).to_have_count(1)
    form.keyboard.press("Tab")
    expect(form.get_by_role("tooltip")).to_have_count(0)


@pytest.mark.train_env
def test_stop_kill_and_the_question_without_a_mouse(browser: Browser, server: Server) -> None:
    prepare(server)
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.goto(server.url)
    page.wait_for_selector(".st-key-start button:enabled", timeout=60_000)
    drawn(page)
    page.keyboard.press("Control+Enter")
    expect(page.locator(".lf-state[data-state=RUNNING]")).to_be_visible(timeout=60_000)
    no_double_click(page)
    page.keyboard.press("Control+Enter")
    asked = page.locator("body > [role=status]").filter(has_text="Start it anyway, or queue it?")
    expect(asked).to_be_attached(timeout=60_000)
    press(page, "queue_not")
    focus_is_in(page, "foot")
    consoles = [one.console for one in runs_of(server.workspace)]
    wait_for(lambda: all(one.exists() and one.stat().st_size for one in consoles))  # its trainer is there
    signal_trainers(server.workspace, signal.SIGSTOP)  # else it may have saved and ended before Kill is there
    press(page, "stop")
    focus_is_in(page, "kill_menu")
    page.keyboard.press("Enter")
    focus_is_in(page, "kill")
    page.keyboard.press("Enter")
    expect(page.locator(".lf-state[data-state=STOPPED]")).to_be_visible(timeout=60_000)
    focus_is_in(page, "run_bar")
    context.close()
