"""What was alerted of the run that is shown, until somebody has read it; and that lfdash may stop it, or did."""

from __future__ import annotations

import streamlit as st

from lfdash.engine.alert_words import icon_level, name_in, remedy_in, rule_in, what_in
from lfdash.engine.services import Services
from lfdash.locales import pair_in
from lfdash.runs.alerts.alert import Alert
from lfdash.runs.alerts.rules import BY_NAME, RULES
from lfdash.runs.record import TERMINAL, RunState
from lfdash.runs.view import RunView
from lfdash.ui.shared.alert_panel import dismiss, open_dialog
from lfdash.ui.shared.text import language, listed, markdown_safe, t

BOXES = {"error": st.error, "warning": st.warning, "info": st.info}
ICONS = {"error": ":material/monitor_heart:", "warning": ":material/warning:", "info": ":material/info:"}


def draw(services: Services, view: RunView) -> bool:
    """The alerts of the run; whether one of them says that nothing is learned any more."""
    alerts = services.alerts.unread(view)
    for place, alert in enumerate(alerts):
        draw_alert(services, alert, place, over=view.state in TERMINAL)
    draw_switch(services, view)
    return any(alert.rule == "nan" for alert in alerts)


def draw_alert(services: Services, alert: Alert, place: int, *, over: bool) -> None:
    """One alert: what, since when, what to do; its thresholds, and to read no more of it. over: its run is."""
    code, level = language(), icon_level(alert)
    redact = services.registry.redactor()
    said = what_in(code, alert, lambda text: markdown_safe(redact(text)))
    remedy = remedy_in(code, alert, over=over)
    with st.container(key=f"alert_bar_{place}", gap=None):
        head = f"**{name_in(code, alert)}**"
        BOXES[level](pair_in(code, head, f"{said} {remedy}".strip()), icon=ICONS[level])
        with st.container(horizontal=True, gap="small", horizontal_alignment="right", key=f"alert_do_{place}"):
            rule = BY_NAME.get(alert.rule)
            if rule is not None and rule.thresholds and st.button(
                t("alerts.thresholds"), key=f"alert_limits_{place}", icon=":material/tune:", type="tertiary"
            ):
                open_dialog("rules", alert.rule)
                st.rerun()
            st.button(
                t("alerts.dismiss"), key=f"alert_dismiss_{place}", icon=":material/close:", type="tertiary",
                on_click=dismiss, args=(services, [alert.id]),
            )


def draw_switch(services: Services, view: RunView) -> None:
    """That the run is stopped by itself, where that is set."""
    settings = services.alerts.store.settings()[0]
    stops = [rule.name for rule in RULES if settings.of(rule.name).on and settings.of(rule.name).stop]
    if stops and view.state is RunState.RUNNING and view.record is not None:
        rules = listed(rule_in(language(), name) for name in stops)
        st.caption(f":material/front_hand: {t('alerts.auto_on', rules=rules)}")


