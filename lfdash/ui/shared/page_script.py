"""What the page does in the browser beside what Streamlit does: names and an order of keys for people who do not use a
mouse, and a cookie for the language that was chosen, which is a person's and not the workspace's. A few lines of our
own, sent once; nothing of a run or a dataset is in them."""

from __future__ import annotations

import html
import json

import streamlit as st

from lfdash.locales import DEFAULT_LANGUAGE
from lfdash.ui.shared.page_alerts import ALERTS
from lfdash.ui.shared.page_focus import FOCUS
from lfdash.ui.shared.text import LANGUAGE, language, t

COOKIE = "lfdash_language"
CHOSEN = "page.language_chosen"  # the language that was chosen in this session

# The Tab key goes from field to field: a help button stands before its field, a clearing one after it, and a list can
# be emptied with its own first line. All stay reachable for a mouse and for a screen reader's own keys.
# A list of several stays open after a choice, over the field below it: a click on an option closes it. Esc does, and
# keeps what is chosen.
# A text that was typed into a list counts when somebody goes on, by a click or by Tab: Streamlit would drop it, and a
# click on Start would run the model of before.
# A click into a field at the form's edge scrolls it away from the edge, and a scroll closes a list: at the foot of the
# form it opened and closed at once. The scroll of the click itself is not told to the list.
SCRIPT = """
(() => {
  window.lfdashWords = WORDS;
  document.documentElement.lang = window.lfdashWords.language;
  if (window.lfdashWords.chosen) {
    const safe = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `lfdash_language=${window.lfdashWords.chosen}; Path=/; Max-Age=31536000; SameSite=Lax${safe}`;
  }
  if (window.lfdashTidies) return;
  window.lfdashTidies = true;
  const passed = '[data-testid="stTooltipHoverTarget"] > button:not([kind]), [role="group"] > button[data-rac]';
  const say = (element, words) => {
    if (element.getAttribute("aria-label") !== words) element.setAttribute("aria-label", words);
  };
  const wordsOf = (button) => {  // without its icon
    const [words] = button.querySelectorAll('[data-testid="stMarkdownContainer"]');
    return (words || button.lastChild || button).textContent.trim();
  };
  let asked = false;
  const soon = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; tidy(); });
  };
  const english = new WeakMap();  // what was said in another language: {had: Streamlit's words, now: ours}
  const translate = (thing, shown, known, said, put) => {
    const kept = english.get(thing);
    const had = kept && kept.now === shown ? kept.had : shown;
    if (!known.test(had)) return;
    const now = had.replace(known, said);
    english.set(thing, {had, now});
    if (now !== shown) put(now);
  };
FOCUS
ALERTS
  const tidy = () => {
    const words = window.lfdashWords;
    for (const button of document.querySelectorAll(passed)) if (button.tabIndex !== -1) button.tabIndex = -1;
    for (const box of document.querySelectorAll('input[role="combobox"]')) {
      const group = box.closest('[role="group"]') || box.parentElement;
      const arrow = group.querySelector('button[aria-haspopup="listbox"]');
      if (arrow && box.getAttribute("aria-label")) say(arrow, `${words.list}: ${box.getAttribute("aria-label")}`);
    }
    for (const [where, pattern, said] of words.phrases) {
      const known = new RegExp(pattern);
      for (const place of document.querySelectorAll(where)) {
        const label = place.getAttribute("aria-label");
        if (label) translate(place, label, known, said, (words) => say(place, words));
        if (label && place.matches("section, button")) continue;
        const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
        for (let text = walker.nextNode(); text; text = walker.nextNode())
          translate(text, text.data, known, said, (words) => { text.data = words; });
      }
    }
    for (const button of document.querySelectorAll('[class*="st-key-fix_"] button')) {
      const row = button.closest('[data-testid="stHorizontalBlock"], [direction="row"]');
      const name = row && row.querySelector('[class*="st-key-go_fix_"] button');
      const words = wordsOf(button);
      if (words) say(button, name ? `${words}: ${wordsOf(name).replace(/ ?[:：]$/, "")}` : words);
    }
    for (const file of document.querySelectorAll('[data-testid="stFileUploader"]')) {
      const section = file.querySelector("section[aria-label]"), button = file.querySelector("section button");
      if (!section || !button) continue;
      say(file.querySelector("input"), section.getAttribute("aria-label"));
      say(button, `${wordsOf(button)}: ${section.getAttribute("aria-label")}`);
    }
    for (const bar of document.querySelectorAll('[data-testid="stSidebar"]')) {
      const inside = bar.querySelector('[data-testid="stSidebarContent"]');
      const away = bar.dataset.collapsed === "true";
      if (inside && inside.inert !== away) inside.inert = away;
    }
    enter();
    tell();
    follow();
    colour();
    retitle();
    notify();
  };
  const chosen = '[data-testid="stMultiSelectDropdown"] [role="option"]';
  document.addEventListener("click", (event) => {
    if (!event.target.closest || !event.target.closest(chosen)) return;
    setTimeout(() => {
      const box = document.activeElement;
      const escape = {key: "Escape", code: "Escape", bubbles: true, cancelable: true};
      if (box && box.closest('[data-testid="stMultiSelect"]')) box.dispatchEvent(new KeyboardEvent("keydown", escape));
    }, 60);
  }, true);
  const take = (target) => {
    const box = document.activeElement, offer = document.querySelector('[data-key="__creatable__"]');
    if (!offer || !box || box.getAttribute("role") !== "combobox") return;
    if (target && (offer.closest('[role="listbox"]').contains(target) || box.parentElement.contains(target))) return;
    box.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", code: "Enter", bubbles: true, cancelable: true}));
  };
  window.addEventListener("pointerdown", (event) => take(event.target), true);
  window.addEventListener("keydown", (event) => { if (event.key === "Tab") take(null); }, true);
  let pressed = 0;
  window.addEventListener("pointerdown", () => { pressed = performance.now(); }, true);
  window.addEventListener("scroll", (event) => {
    const into = document.activeElement && document.activeElement.getAttribute("role") === "combobox";
    if (into && performance.now() - pressed < 300) event.stopImmediatePropagation();
  }, true);
  new MutationObserver(soon).observe(document.body, {
    childList: true, subtree: true, characterData: true,
    attributeFilter: ["aria-expanded", "data-collapsed", "data-turn", "data-title", "data-alerts"],
  });
  tidy();
})();
""".replace("FOCUS", FOCUS).replace("ALERTS", ALERTS)


MENU = '[data-testid="stMainMenuButton"]'
TOOLS = '[data-testid="stElementToolbarButton"] button, [data-testid="stTooltipContent"]'

# What Streamlit says in English only: where, how it reads, and the key of our text, which takes `$1` for the group.
PHRASES = (
    ('[data-key="__creatable__"]', "^Add: (.*)$", "ui.st_add"),
    ('[data-testid="stSelectboxVirtualDropdown"]', "^No results()$", "ui.st_none"),
    ('[data-testid="stMultiSelectDropdown"]', "^No results()$", "ui.st_none"),
    ('[data-testid="stMultiSelectDropdown"]', "^Select all()$", "ui.st_all"),
    ('[data-testid="stFileUploader"]', "^Upload()$", "ui.st_upload"),
    ('[data-testid="stFileUploader"]', "^Drag and drop (?:a file|files) here()$", "ui.st_drop"),
    ('[data-testid="stFileUploader"]', "([0-9]+)MB per file", "ui.st_limit"),
    ('[data-testid="stTooltipHoverTarget"] > button', "^Help for (.*)$", "ui.st_help"),
    ('[role="group"] > button', "^Clear (?:value|all)()$", "ui.st_clear"),
    ('[role="group"] button', "^Remove (.*)$", "ui.st_remove"),
    ('[data-testid="stSkipToContent"]', "^Skip to main content()$", "ui.st_skip"),
    ('[data-testid="stSidebar"]', "^Sidebar()$", "ui.st_sidebar"),
    ('[aria-controls="stSidebar"]', "^Collapse sidebar()$", "ui.st_collapse"),
    ('[aria-controls="stSidebar"]', "^Expand sidebar()$", "ui.st_expand"),
    (f'{MENU}, [data-testid="stMainMenuList"]', "^Main menu()$", "ui.st_menu"),
    ('[data-testid="stMainMenuList"]', "^System()$", "ui.st_system"),
    ('[data-testid="stMainMenuList"]', "^Light()$", "ui.st_light"),
    ('[data-testid="stMainMenuList"]', "^Dark()$", "ui.st_dark"),
    ('[data-testid="stMainMenuList"]', "^About()$", "ui.st_about"),
    (TOOLS, "^Show data()(?=$|:)", "ui.st_data"),
    (TOOLS, "^Show chart()(?=$|:)", "ui.st_chart"),
    (TOOLS, "^Download as ([A-Z]{3})(?=$|:)", "ui.st_download"),
    (TOOLS, "^Copy Vega-Lite spec()(?=$|:)", "ui.st_spec"),
    (TOOLS, "^Copied!()(?=$|:)", "ui.st_copied"),
    (TOOLS, "^Show/hide columns()(?=$|:)", "ui.st_columns"),
    (TOOLS, "^Search()(?=$|:)", "ui.st_search"),
    (TOOLS, "^Fullscreen()(?=$|:)", "ui.st_full"),
    (TOOLS, "^Close fullscreen()(?=$|:)", "ui.st_small"),
    ('[role="dialog"] > button, [role="dialog"] > div > button', "^Close()$", "ui.st_close"),
)


def phrases() -> list[tuple[str, str, str]]:
    """What is said in place of Streamlit's English, in the session's language; nothing while it was English only."""
    if language() == DEFAULT_LANGUAGE and not st.session_state.get(CHOSEN):
        return []
    return [(where, pattern, t(key, what="$1")) for where, pattern, key in PHRASES]


def kept_language() -> str | None:
    """The language that was chosen in this browser before; None when none was. It may be any text."""
    return st.context.cookies.get(COOKIE)


def keep_language() -> None:
    """A language was chosen: the page that is drawn next tells the browser."""
    st.session_state[CHOSEN] = st.session_state[LANGUAGE]


def read_aloud(voice: str, words: str, turn: int = 0) -> str:
    """HTML that is not seen: its words are read aloud when they change, or when turn does.

    voice: "run" or "form", which wait for a pause, or "refused", which does not.
    """
    return f'<div hidden data-say="{voice}" data-turn="{turn}">{html.escape(words)}</div>'


def send() -> None:
    """Puts the script into the page, with the words of the session's language."""
    chosen = st.session_state.get(CHOSEN)
    told = {
        "language": language(), "list": t("ui.list_of"), "chosen": chosen, "phrases": phrases(),
    }
    words = json.dumps(told).replace("<", "\\u003c")
    st.html(f"<script>{SCRIPT.replace('WORDS', words)}</script>", unsafe_allow_javascript=True)
