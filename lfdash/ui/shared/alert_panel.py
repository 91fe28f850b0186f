"""Alerts on every page: how many nobody has read, and the dialog with all of them, their rules and where they go."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Callable, Sequence

import streamlit as st

from lfdash.engine.alert_words import icon_level, title_in, what_in
from lfdash.engine.services import Services
from lfdash.engine.words import span_in
from lfdash.jobs.kinds import named
from lfdash.runs.alerts.alert import Alert
from lfdash.ui.shared import alert_settings, dialogs, keyed, streamlit_private
from lfdash.ui.shared.alert_settings import OPEN, PAGE, SAID, TAB, close, say
from lfdash.ui.shared.answers import SHOWN, refusal
from lfdash.ui.shared.looks import SELDOM_S, looks
from lfdash.ui.shared.text import language, markdown_safe, t

LOOK_S = 10.0
COUNT = "alerts_count"  # the fragment with the button
UNREAD_S = 7 * 24 * 3600.0  # what is older is not counted
TOLD = 5  # newest alerts that a browser may show
TOLD_S = 3600.0
LISTED = 50
ICONS = {"error": ":material/error:", "warning": ":material/warning:", "info": ":material/info:"}
COLOURS = {"error": "red", "warning": "orange", "info": "blue"}


# -- on every page --------------------------------------------------------------------------------------


def draw_button(services: Services) -> None:
    """Opens the dialog; says how many alerts nobody has read. Looks by itself now and then."""
    seconds = LOOK_S * max(1.0, streamlit_private.open_tabs() / 8)
    st.fragment(draw_count, run_every=max(seconds, 2 * SELDOM_S), key=COUNT)(services, seconds)


def draw_count(services: Services, seconds: float) -> None:
    """The button, and what the browser may show as notifications (page_alerts.py); drawn again when there are others,
    after so many seconds at the earliest."""

    def there() -> object:
        return [one.id for one in services.alerts.recent()], frozenset(services.alerts.store.dismissed())

    drawn, alerts = there(), services.alerts.recent()
    looks.keep(streamlit_private.fragment_of(COUNT), lambda: there() != drawn, seconds)
    count = len(unread(services, alerts))
    words = t("alerts.title_count", count=count) if count else t("alerts.title")
    icon = ":material/notifications_unread:" if count else ":material/notifications:"
    if st.button(words, key="alerts_open", type="tertiary", icon=icon):
        open_dialog()
        st.rerun()
    newest = [alert for alert in alerts[-TOLD:] if alert.time > time.time() - TOLD_S]
    redact, code = services.registry.redactor(), language()
    told = [
        {"id": one.id, "time": one.time, "title": redact(title_in(code, one)), "body": redact(what_in(code, one))}
        for one in newest
    ]
    st.html(f'<div hidden data-alerts="{html.escape(json.dumps(told, ensure_ascii=False))}"></div>')


def unread(services: Services, alerts: Sequence[Alert]) -> list[Alert]:
    """The alerts of late that nobody has read; that a run has finished is no reason to be alarmed."""
    dismissed, since = services.alerts.store.dismissed(), time.time() - UNREAD_S
    return [
        one for one in alerts if one.time > since and one.id not in dismissed and icon_level(one) != "info"
    ]


def open_dialog(tab: str = "list", rule: str = "") -> None:
    """Lets the next drawing of the page open the dialog. rule: the one whose thresholds are asked for."""
    close()
    st.session_state[OPEN] = rule
    st.session_state[TAB] = tab


def draw_dialog(services: Services) -> None:
    """The dialog, while it is open."""
    if OPEN in st.session_state:
        dialogs.show(t("alerts.title"), close, draw, services, icon=":material/notifications:")


def draw(services: Services) -> None:
    """What the dialog shows."""
    tabs = {"list": draw_list, "rules": alert_settings.draw_rules, "send": alert_settings.draw_sending}
    tab = keyed.segments(
        t("alerts.title"), list(tabs), key=TAB, page=PAGE, word=lambda tab: t(f"alerts.tab_{tab}"), required=True,
        label_visibility="collapsed",
    )
    said = st.session_state.pop(SAID, None)
    if said:
        draw_said = {"error": st.error, "success": st.success}[said[0]]
        draw_said(said[1])
    tabs[tab](services)


# -- the list -------------------------------------------------------------------------------------------


def draw_list(services: Services) -> None:
    """All alerts, the newest first."""
    alert_settings.draw_elsewhere(services, overdue=True)
    reason = services.alerts.unkept()
    if reason:
        folder = str(services.alerts.store.folder)
        st.warning(
            t("alerts.unkept", reason=markdown_safe(reason), folder=markdown_safe(folder)), icon=":material/save_as:"
        )
    alerts = list(reversed(services.alerts.recent()))[:LISTED]
    if not alerts:
        st.caption(t("alerts.none"))
        return
    new = {one.id for one in unread(services, alerts)}
    if new:
        st.button(
            t("alerts.dismiss_all"), key="alerts_read", icon=":material/done_all:", on_click=dismiss,
            args=(services, [one.id for one in alerts]),
        )
    redact = services.registry.redactor()
    with st.container(height=400, border=False, key="alerts_list"):
        for place, alert in enumerate(alerts):
            draw_alert(services, alert, place, alert.id in new, lambda text: markdown_safe(redact(text)))


def draw_alert(services: Services, alert: Alert, place: int, new: bool, safe: Callable[[str], str]) -> None:
    """One alert of the list."""
    code, level = language(), icon_level(alert)
    title = safe(title_in(code, alert))
    ago = t("alerts.ago", span=span_in(code, max(0.0, time.time() - alert.time)))
    with st.container(horizontal=True, vertical_alignment="top", gap="small", key=f"alert_{place}"):
        mark = f":{COLOURS[level]}[{ICONS[level]}]"
        said = what_in(code, alert, safe)
        st.markdown(f"{mark} {f'**{title}**' if new else title} · {ago}  \n{said}", width="stretch")
        there = alert.run_id and services.registry.get(alert.run_id) is not None
        if there and st.button(t("alerts.open_run"), key=f"alert_open_{place}", type="tertiary"):
            show_run(services, alert.run_id)


def show_run(services: Services, run_id: str) -> None:
    """Goes to the page of the run."""
    view = services.registry.get(run_id)
    close()
    if view is not None:
        st.session_state[SHOWN] = run_id
        st.switch_page(named(view.kind).page, query_params={"run": run_id})


def dismiss(services: Services, ids: Sequence[str]) -> None:
    """Somebody has read alerts."""
    refused = services.alerts.store.dismiss(ids)
    if refused is not None:
        say(refusal(refused))
