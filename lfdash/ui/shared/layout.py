"""The shared frame of every page: configuration, style, navigation."""

from __future__ import annotations

import html

import streamlit as st

from lfdash.engine.services import Services
from lfdash.files import readable
from lfdash.jobs.kinds import KINDS
from lfdash.locales import available, name_of
from lfdash.ui.shared import alert_panel, machine_line, page_script
from lfdash.ui.shared.session import shared_services
from lfdash.ui.shared.signed_in import draw_who, guard
from lfdash.ui.shared.text import LANGUAGE, language, markdown_safe, t

NOW, ARRIVED = "page.now", "page.arrived"  # the page that is drawn, and whether another was drawn before
SIDEBAR_WIDTH = 430  # px: two number fields side by side with their labels on one line
KIND_PAGES = tuple((kind.page, f"ui.page_{kind.name}") for kind in KINDS)
PAGES = (
    *KIND_PAGES[:1],
    ("pages/runs.py", "ui.page_runs"),
    ("pages/compare.py", "ui.page_compare"),
    *KIND_PAGES[1:],
    ("pages/data.py", "ui.page_data"),
    ("pages/arguments.py", "ui.page_arguments"),
    ("pages/sweep.py", "ui.page_sweep"),
)
UNLISTED = ("pages/sweep.py",)  # gone to from what they are about: the line has no room for more

# Buttons that show an icon only: their words are there to be read aloud.
ICON_ONLY = (
    ".st-key-job_menu", ".st-key-sees_open", ".st-key-runs_turn", ".st-key-runs_csv", ".st-key-runs_undo_not",
    ".st-key-log_take",
    '[class*="more-remove-"]', '[class*="st-key-reset-"]:not(.st-key-reset-all)', '[class*="st-key-job_list_"]',
    '[class*="st-key-compare_base_"]', '[class*="st-key-compare_drop_"]',
)
ICONS = ", ".join(f'{where} button [data-testid="stMarkdownContainer"]' for where in ICON_ONLY)

# Colour carries state only; numbers are tabular; nothing has a size that depends on its value. A table's own download
# writes cells as they are, formulas too; ours (runs/spreadsheet.py) does not.
CSS = """
[data-testid="stHeader"] {height: 2.4rem; min-height: 2.4rem}
[data-testid="stMainBlockContainer"] {padding: 2.5rem 2rem 1rem}
[data-testid="stSidebarHeader"] {height: 1.6rem; margin-bottom: 0; padding-top: .3rem}
[data-testid="stSidebarCollapseButton"] {visibility: visible}
@media (hover: hover) {
  [data-testid="stSidebar"]:not(:hover) [data-testid="stSidebarCollapseButton"]:not(:focus-within) {opacity: 0}
}
.st-key-nav {align-items: center; gap: 0}
.st-key-nav [data-testid="stElementContainer"], .st-key-nav [data-testid="stPageLink"] a {min-width: 0}
.st-key-nav [data-testid="stPageLink"] a {padding: .1rem .12rem; justify-content: center}
.st-key-nav [data-testid="stPageLink"] p {font-size: .8rem}
.st-key-line {margin-top: -1rem}
.st-key-line .st-key-nav {justify-content: flex-start; gap: .8rem}
.lf-brand {font-weight: 700; letter-spacing: -.01em; padding-left: .25rem}
[data-testid="stSidebarUserContent"] {padding-top: .2rem}
[data-testid="stSidebarUserContent"] [data-testid="stVerticalBlock"] {gap: .45rem}
[data-testid="stSidebarUserContent"] [data-testid="stWidgetLabel"] {min-height: 1.2rem; margin-bottom: 0}
[data-testid="stSidebarUserContent"] [data-testid="stWidgetLabel"] p {font-size: .82rem}
[data-testid="stSidebarUserContent"] [data-testid="stExpander"] details {border-radius: .4rem}
[class*="st-key-flag_"] [data-testid="stElementContainer"] {width: 100%}
[class*="st-key-flag_"] [data-testid="stButtonGroup"] {display: flex; align-items: center;
  justify-content: space-between; gap: .5rem; width: 100%}
[class*="st-key-flag_"] [data-testid="stButtonGroup"] button {min-height: 1.7rem; padding: 0 .6rem}
[class*="st-key-group_"] {position: relative}
[class*="st-key-group_"] > [data-testid="stElementContainer"]:has(.lf-mark) {position: absolute; top: .5rem;
  right: .7rem; width: auto; pointer-events: none}
.lf-mark {font-size: .82rem; font-variant-numeric: tabular-nums; white-space: nowrap}
[data-testid="stCaptionContainer"] {opacity: 1; color: light-dark(#565d64, #aab2ba)}
[data-testid="stButtonGroup"] button[aria-checked="true"] p,
[data-testid="stButtonGroup"] button[aria-pressed="true"] p {color: light-dark(#0f56a8, #8cc2ff)}
:root {--lf-blue: light-dark(#1668c7, #6cb0ff)}
.lf-blue {color: var(--lf-blue)}
[data-testid="stLayoutWrapper"]:has(> .st-key-head) {position: sticky; top: 2.4rem; z-index: 90}
.st-key-head {background: light-dark(#ffffff, #15181d); padding-bottom: .3rem; gap: .5rem}
[data-testid="stSidebarContent"] {scroll-padding: 1rem 0 11rem}
[data-testid="stSidebarUserContent"]:has(.st-key-foot) {padding-bottom: 0}
[data-testid="stLayoutWrapper"]:has(> .st-key-foot) {position: sticky; bottom: 0; z-index: 80}
.st-key-foot {padding: .4rem 0 .6rem; background: light-dark(#f4f6f8, #1e232a);
  border-top: 1px solid rgba(127,127,127,.25)}
.st-key-foot [data-testid="stAlertContainer"] {padding: .45rem .7rem}
.st-key-foot [data-testid="stCaptionContainer"] p {font-variant-numeric: tabular-nums}
.st-key-foot_memory button {min-height: 1.3rem; padding: 0; text-align: left; justify-content: flex-start}
.st-key-foot_memory button p, .st-key-foot_memory p {font-size: .82rem; font-variant-numeric: tabular-nums;
  white-space: normal}
.st-key-problem_list {max-height: 30vh; overflow-y: auto}
.st-key-problem_list p, .st-key-problem_list code {font-size: .86rem}
.st-key-bar button {padding-left: .55rem; padding-right: .55rem}
.st-key-bar kbd {font-size: 0; color: inherit; opacity: 1}
.st-key-bar kbd::after {content: "Ctrl ⏎" / ""; font-size: .8rem}
.lf-spoken, ICONS {position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap}
[data-testid="stElementContainer"]:has(> [data-testid="stHtml"] > .lf-spoken),
[data-testid="stElementContainer"]:has(> [data-testid="stHtml"] > [data-say]:only-child),
[data-testid="stElementContainer"]:has(> [data-testid="stHtml"] > [data-alerts]) {position: absolute}
.st-key-alerts_open button {min-height: 1.7rem; padding: 0}
[class*="st-key-alert_bar_"] button, .st-key-alerts_list button {min-height: 1.7rem; padding: 0}
[data-testid="stMain"] [data-testid="stAlertContainer"] {padding: .5rem .8rem}
[data-testid="stLayoutWrapper"]:has(> .st-key-data_added) {position: sticky; top: 2.4rem; z-index: 90;
  background: light-dark(#ffffff, #15181d)}
/* the place of a large chart until its script has drawn it: bar, head and plot (curves.js: height) */
:is(.st-key-curves_main, .st-key-compare_curves):not(:has(.lf-drawn)) {
  min-height: calc(3.8rem + clamp(230px, 50vh - 116px, 460px))}
.st-key-log_box {position: relative}
[data-testid="stElementContainer"].st-key-log_take {position: absolute; top: .28rem; right: .4rem; width: auto}
.st-key-log_take button {min-height: 1.65rem; padding: 0 .45rem}
[data-testid="stElementToolbarButton"]:has([aria-label*="Download as CSV"]) {display: none}
.st-key-runs_bar button, .st-key-runs_tools button {padding-left: .6rem; padding-right: .6rem}
.st-key-runs_bar, .st-key-runs_tools {gap: .45rem}
.st-key-runs_count {margin: -.5rem 0 -.7rem; font-variant-numeric: tabular-nums}
[class*="st-key-runs_chip_"] button {border-radius: 1rem; min-height: 1.9rem; padding: 0 .55rem}
[class*="st-key-runs_chip_"] button p {font-size: .86rem}
.lf-strip {display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; align-items: baseline;
  font-variant-numeric: tabular-nums; min-height: 2.9rem}
.lf-name {font-weight: 600; font-size: 1.1rem; overflow-wrap: anywhere}
.lf-fact {display: inline-flex; flex-direction: column; min-width: 4.2rem}
.lf-fact b {font-weight: 500; white-space: nowrap}
.lf-fact small {opacity: .72; font-size: .74rem}
.lf-state {font-weight: 650; font-size: .82rem; letter-spacing: .03em; border: 1px solid currentColor;
  border-radius: .35rem; padding: .05rem .5rem; white-space: nowrap}
.lf-run {color: var(--lf-blue)} .lf-done {color: light-dark(#1a7f37, #4cc26a)}
.lf-fail {color: light-dark(#c62f2f, #ff7b72)} .lf-stop {color: light-dark(#9a6700, #e3b341)}
.lf-idle {color: light-dark(#6e7781, #9aa4ae)}
.lf-bar {height: .5rem; border-radius: .25rem; background: rgba(127,127,127,.22); overflow: hidden;
  margin: .35rem 0 .1rem}
.lf-bar i {display: block; height: 100%; background: currentColor; transition: width .4s linear}
[data-testid="stLayoutWrapper"]:has(> .st-key-run_bar) {container-type: inline-size}
.st-key-run_bar > [data-testid="stElementContainer"]:has([data-testid="stSelectbox"]) {flex: 0 1 260px; min-width: 8rem}
[data-testid="stLayoutWrapper"]:has(> .st-key-after) {container-type: inline-size}
.st-key-after {gap: .4rem}
.st-key-after button {padding-left: .55rem; padding-right: .55rem}
[data-testid="stLayoutWrapper"]:has(> .st-key-after_where) {flex: 1 1 9rem; min-width: 9rem}
.st-key-after_where {flex-wrap: nowrap; gap: .4rem}
.st-key-after_where pre {padding: .45rem 2.2rem .45rem .5rem}
.st-key-after_where code {font-size: .78rem}
.st-key-after_where [data-testid="stElementToolbarButton"] {margin-top: -.3rem; box-shadow: none}
.st-key-after_where [data-testid="stCode"] div {opacity: 1; visibility: visible; transform: none}
@container (max-width: 820px) {
  .st-key-after_where > :first-child {display: none}
}
@container (max-width: 620px) {
  [data-testid="stLayoutWrapper"]:has(> .st-key-after_where) {flex-basis: 100%}
  .st-key-after {gap: .15rem .3rem}
  .st-key-after_where pre {padding-top: .1rem; padding-bottom: .1rem}
  .st-key-after button {padding-left: .35rem; padding-right: .35rem}
}
[data-testid="stLayoutWrapper"]:has(> .st-key-config_menus) {flex: 0 0 auto; width: auto}
.st-key-config_menus {flex-wrap: nowrap}
@container (max-width: 560px) {
  .st-key-run_bar {flex-wrap: nowrap; gap: .4rem}
  .st-key-run_bar > [data-testid="stElementContainer"]:has([data-testid="stSelectbox"]) {flex: 1 1 6rem; width: auto;
    min-width: 6rem}
  .st-key-run_bar button {padding: 0 .5rem}
}
@container (max-width: 440px) {
  .st-key-run_bar {flex-wrap: wrap}
}
@media (max-height: 800px) {
  .st-key-problem_list {max-height: 20vh}
  .st-key-problems details > div {padding-top: .3rem; padding-bottom: .3rem}
  [data-testid="stMainBlockContainer"] > [data-testid="stVerticalBlock"]:has(.st-key-run_bar) {gap: .6rem}
}
@media (max-height: 600px) {
  [data-testid="stLayoutWrapper"]:has(> .st-key-head) {position: static}
  .st-key-problem_list {max-height: 15vh}
  [data-testid="stSidebarContent"] {scroll-padding-bottom: 17rem}
}
@media (max-width: 900px) {
  [data-testid="stMainBlockContainer"] {padding: 3rem .8rem 1rem}
  .lf-strip {gap: .1rem .8rem; min-height: 0}
  .lf-fact {min-width: 3.4rem; font-size: .92rem}
  [data-testid="stSidebar"] {max-width: 300px; min-width: 0}
  [data-testid="stSidebarContent"] {padding-left: 0; padding-right: 0}
  [data-testid="stSidebar"] .st-key-top {flex-wrap: nowrap}
  [data-testid="stSidebar"] .st-key-top > :has([data-testid="stSelectbox"]) {flex: 0 1 118px; min-width: 5rem}
  [data-testid="stSidebar"] :is(.st-key-form_menus, .st-key-config_menus, .st-key-bar) {gap: .3rem}
  [data-testid="stSidebar"] :is(.st-key-form_menus, .st-key-bar) button {padding-left: .35rem; padding-right: .35rem}
  .st-key-bar kbd {display: none}
}
"""


def draw_frame(title_key: str, *, sidebar: bool = True) -> None:
    """Configures the page, puts the style in and draws the links to all pages: in the sidebar, or where the page has
    none at its top, so that it has the whole width."""
    services = shared_services()
    st.session_state[ARRIVED] = st.session_state.get(NOW) != title_key
    st.session_state[NOW] = title_key
    seed_language()
    st.set_page_config(
        page_title=f"lfdash · {t(title_key)}",
        layout="wide",
        initial_sidebar_state=SIDEBAR_WIDTH,
        menu_items={"About": t("ui.about")},
    )
    st.html(f"<style>{CSS.replace('ICONS', ICONS)}{machine_line.CSS}</style>")
    page_script.send()
    st.html(f'<h1 class="lf-spoken">lfdash · {html.escape(t(title_key))}</h1>')
    guard(services)
    machine_line.draw(services)
    if sidebar:
        with st.sidebar:
            with st.container(
                horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key="top"
            ):
                draw_brand()
                draw_alerts(services)
                draw_languages()
            draw_links()
            draw_who(services)
    else:
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="line"):
            draw_brand()
            draw_links()
            draw_alerts(services)
            draw_languages()
            draw_who(services)
    if not services.registry.identity.is_here():
        where = markdown_safe(readable(str(services.workspace.root)))
        st.error(t("ui.workspace_gone", path=where), icon=":material/folder_off:")
    alert_panel.draw_dialog(services)


def arrived() -> bool:
    """Whether this page is drawn for the first time since another one was."""
    return bool(st.session_state.get(ARRIVED, True))


def draw_links() -> None:
    """The links to all pages."""
    with st.container(horizontal=True, horizontal_alignment="distribute", key="nav", gap=None):
        for path, key in PAGES:
            if path not in UNLISTED:
                st.page_link(path, label=t(key), width="content")


def draw_brand() -> None:
    """The name of the program."""
    st.html('<span class="lf-brand">lfdash</span>', width="content")


def draw_alerts(services: Services) -> None:
    """The way to what was alerted."""
    with st.container(width="content", key="alerts_top"):
        alert_panel.draw_button(services)


def draw_languages() -> None:
    """The choice of the language."""
    codes = available()
    if len(codes) > 1:
        st.selectbox(
            t("ui.language"),
            codes,
            key=LANGUAGE,
            format_func=name_of,
            label_visibility="collapsed",
            width=118,
            on_change=page_script.keep_language,
            persist_state="session",
        )


def seed_language() -> None:
    """The language that this browser chose before, else the one that it asks for."""
    if LANGUAGE not in st.session_state:
        kept = page_script.kept_language()
        st.session_state[LANGUAGE] = kept if kept in available() else language()
