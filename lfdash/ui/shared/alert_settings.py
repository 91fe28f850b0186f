"""The settings of the alerts, in their dialog: a row for each rule, made from its row in RULES; and where they go."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import streamlit as st

from lfdash.engine.alert_sender import Delivery, masked
from lfdash.engine.alert_words import elsewhere_in, problem_in, rule_in
from lfdash.engine.services import Services
from lfdash.engine.words import span_in
from lfdash.locales import available, lookup, name_of
from lfdash.outcomes import Problem
from lfdash.runs.alerts.rules import RULES, Rule, Threshold
from lfdash.runs.alerts.settings import ADDRESS, AlertSettings, RuleSettings, check, defaults
from lfdash.ui.shared import dialogs, keyed
from lfdash.ui.shared.answers import refusal
from lfdash.ui.shared.text import language, markdown_safe, t

OPEN = dialogs.ALERTS  # while the dialog is open: the rule that was asked for, or ""
PAGE = "alerts"  # the dialog, as `keyed` names pages
TAB = "alerts.tab"
SAID = "alerts.said"  # what the last click in the dialog was answered: (kind of box, words)
URL_TYPED = "alerts.url"
LANGUAGE = "alerts.language"
SEND = "alerts.send"
SEEN = "alerts.seen"  # what each field was filled with, by its key
SERVER = "server"  # stands for no language


def close() -> None:
    """The dialog was closed; what was typed in it is forgotten."""
    for key in [str(key) for key in st.session_state if str(key).startswith("alerts.")]:
        st.session_state.pop(key, None)


def say(problem: str | None) -> None:
    """What a click is answered; None: it was done."""
    st.session_state[SAID] = ("success", t("alerts.saved")) if problem is None else ("error", problem)


# -- the rules ------------------------------------------------------------------------------------------


def key_of(rule: Rule, name: str) -> str:
    """The key of one value of a rule."""
    return f"alerts.{rule.name}.{name}"


def seen() -> dict[str, Any]:
    """What each field was filled with, by its key: only what was changed here is saved, whatever another tab has saved
    meanwhile."""
    found: dict[str, Any] = st.session_state.setdefault(SEEN, {})
    return found


def begin(key: str, value: bool | float) -> None:
    """Fills a field that is new."""
    if key not in st.session_state:
        seen()[key] = value
    st.session_state.setdefault(key, value)


def given(key: str, now: Any) -> Any:
    """What a field has; what is kept now where nobody changed the field."""
    value = st.session_state.get(key, now)
    return now if value == seen().get(key) else value


def draw_rules(services: Services) -> None:
    """All rules, the one that was asked for first."""
    settings, problems = services.alerts.store.settings()
    if problems:
        lines = [f"- {markdown_safe(problem_in(language(), problem))}" for problem in problems]
        st.warning("\n".join([t("alerts.kept_default"), *lines]), icon=":material/build:")
    st.caption(t("alerts.rules_help"))
    asked = st.session_state.get(OPEN)
    with st.container(height=370, border=False, key="alert_rules"):
        for rule in sorted(RULES, key=lambda rule: rule.name != asked):
            draw_rule(rule, settings.of(rule.name))
    with st.container(horizontal=True, gap="small"):
        st.button(
            t("alerts.save"), key="alert_rules_save", type="primary", icon=":material/check:", on_click=save_rules,
            args=(services,),
        )
        st.button(t("alerts.reset"), key="alert_rules_reset", icon=":material/restart_alt:", on_click=put_defaults)


def draw_rule(rule: Rule, now: RuleSettings) -> None:
    """One rule: whether it is looked for, its thresholds, what is done."""
    with st.container(border=True, key=f"alert_rule_{rule.name}", gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
            switch(rule, "on", now.on, rule_in(language(), rule.name), bold=True)
            switch(rule, "send", now.send, t("alerts.send_rule"))
            if rule.stops:
                switch(rule, "stop", now.stop, t("alerts.stop_rule"), t("alerts.stop_rule_help"))
        if rule.thresholds:
            with st.container(horizontal=True, gap="small"):
                for threshold in rule.thresholds:
                    draw_threshold(rule, threshold, now.limits[threshold.name])
        st.caption(t(f"alerts.{rule.name}_when"))


def switch(rule: Rule, name: str, value: bool, words: str, help_text: str | None = None, *, bold: bool = False) -> None:
    """One switch of a rule."""
    key = key_of(rule, name)
    begin(key, value)
    if bold:
        st.toggle(f"**{words}**", key=key, width="stretch", help=help_text)
    else:
        st.checkbox(words, key=key, width="content", help=help_text)


def draw_threshold(rule: Rule, threshold: Threshold, value: float) -> None:
    """The field of a threshold. It takes any number: what cannot be is named, with what can, when it is saved."""
    key = key_of(rule, threshold.name)
    whole = threshold.whole
    begin(key, int(value) if whole else float(value))
    st.number_input(
        t(f"alerts.limit_{threshold.name}"), key=key, step=1 if whole else 0.1, format="%d" if whole else "%g",
        width=170,
    )


def put_defaults() -> None:
    """Shows the defaults; nothing is kept until it is saved."""
    for rule in RULES:
        show(rule, defaults(rule))


def show(rule: Rule, settings: RuleSettings, *, kept: bool = False) -> None:
    """Puts the settings of a rule into its fields. kept: as those that are kept, which nobody has changed."""
    values = {name: getattr(settings, name) for name in ("on", "send", "stop")}
    values |= {one.name: (int if one.whole else float)(settings.limits[one.name]) for one in rule.thresholds}
    for name, value in values.items():
        st.session_state[key_of(rule, name)] = value
        seen()[key_of(rule, name)] = value if kept else None


def save_rules(services: Services) -> None:
    """Keeps what was changed here, if all of it can be, and shows what is kept now."""
    settings, problems = typed(services.alerts.store.settings()[0])
    if problems:
        say("\n".join(f"- {markdown_safe(problem_in(language(), problem))}" for problem in problems))
        return
    refused = services.alerts.store.save_settings(settings)
    say(refusal(refused) if refused else None)
    for rule in RULES if refused is None else ():
        show(rule, settings.of(rule.name), kept=True)


def typed(settings: AlertSettings) -> tuple[AlertSettings, list[Problem]]:
    """The settings with what the fields changed, and what is wrong with it."""
    problems: list[Problem] = []
    rules = dict(settings.rules)
    for rule in RULES:
        now = settings.of(rule.name)
        shown = {name: given(key_of(rule, name), value) for name, value in now.limits.items()}
        problems += filter(None, (check(rule, one, shown[one.name]) for one in rule.thresholds))
        on, send, stop = (bool(given(key_of(rule, name), getattr(now, name))) for name in ("on", "send", "stop"))
        rules[rule.name] = RuleSettings(on, send, stop, shown)
    return replace(settings, rules=rules), problems


# -- where they go --------------------------------------------------------------------------------------


def draw_sending(services: Services) -> None:
    """The address, its test, the language, and this browser."""
    services.alert_sender.prepare()
    settings = services.alerts.store.settings()[0]
    known = services.registry.secret_store.get(ADDRESS)
    st.session_state.setdefault(SEND, settings.send)
    st.toggle(t("alerts.send_on"), key=SEND, on_change=save_send, args=(services,))
    st.text_input(
        t("alerts.url"), key=URL_TYPED, type="password", help=t("alerts.url_help"), autocomplete="off",
        placeholder=masked(known) or "json://host:8080/path",
    )
    with st.container(horizontal=True, gap="small", key="alert_address"):
        st.button(t("alerts.url_set"), key="alert_url_set", on_click=set_address, args=(services,), type="primary")
        st.button(
            t("alerts.test"), key="alert_test", icon=":material/send:", disabled=not known, on_click=send_test,
            args=(services,),
        )
        if known:
            fixed = not services.registry.secret_store.is_typed(ADDRESS)
            behind = os.environ.get(ADDRESS, "") and t("alerts.url_behind", name=ADDRESS)
            st.button(
                t("alerts.url_forget"), key="alert_url_forget", on_click=forget_address, args=(services,),
                disabled=fixed, help=t("alerts.url_fixed", name=ADDRESS) if fixed else behind or None,
            )
    st.fragment(draw_delivery, run_every=1.0)(services)
    words = {SERVER: t("alerts.language_server")} | {code: name_of(code) for code in available()}
    st.session_state.setdefault(LANGUAGE, settings.language or SERVER)
    keyed.select(
        t("alerts.language"), list(words), key=LANGUAGE, page=PAGE, word=words.__getitem__, empty=False, width=260,
        on_change=save_language, args=(services,),
    )
    draw_browser()


def draw_delivery(services: Services) -> None:
    """Whether there is an address, and how the last message went."""
    secret_store = services.registry.secret_store
    known = secret_store.get(ADDRESS)
    text = "url_none" if not known else "url_known" if secret_store.is_typed(ADDRESS) else "url_known_fixed"
    st.caption(t(f"alerts.{text}", address=markdown_safe(masked(known)), name=ADDRESS))
    draw_elsewhere(services)
    words = delivery_words(services.alert_sender.last())
    if words is not None:
        if words[0] == "error":
            st.error(words[1])
        else:
            st.caption(words[1])


def draw_elsewhere(services: Services, *, overdue: bool = False) -> None:
    """That another dashboard has the right to send. overdue: only where alerts wait for it that it should have sent."""
    found = services.alert_sender.elsewhere()
    if found is None or (overdue and not found.is_overdue):
        return
    words = markdown_safe(elsewhere_in(language(), found))
    if found.is_overdue:
        st.warning(words, icon=":material/schedule_send:")
    else:
        st.caption(words)


def delivery_words(last: Delivery) -> tuple[str, str] | None:
    """How the last message went: what it is, and in words; None when there was none."""
    if last.busy:
        return "info", t("alerts.sending")
    if not last.time:
        return None
    span = span_in(language(), max(1.0, time.time() - last.time))
    if not last.error:
        return "info", t("alerts.sent", span=span)
    known = lookup("en", "alerts", f"why_{last.error}")
    reason = t(f"alerts.why_{last.error}") if known else markdown_safe(last.error.rstrip(". "))
    return "error", t("alerts.not_sent", span=span, reason=reason)


def draw_browser() -> None:
    """Whether this browser shows alerts; it is asked by a click only (page_alerts.py)."""
    st.markdown(f"**{t('alerts.browser')}**")
    states = ("granted", "default", "denied", "unsupported")
    told = " ".join(f'data-{state}="{t(f"alerts.browser_{state}")}"' for state in states)
    st.html(f'<p class="lf-permission" data-permission {told}></p>')
    st.button(t("alerts.browser_allow"), key="alerts_allow", icon=":material/notifications_active:")


def set_address(services: Services) -> None:
    """The typed address is used from now on, and kept in memory only."""
    url = str(st.session_state.get(URL_TYPED, "")).strip()
    if not services.alert_sender.enter(url):
        say(t("alerts.bad_url", value=markdown_safe(masked(url)) or "–"))
        return
    services.registry.set_secret(ADDRESS, url)
    st.session_state[URL_TYPED] = ""
    st.session_state[SAID] = ("success", t("alerts.url_saved"))


def forget_address(services: Services) -> None:
    """Nothing is sent any more from here; one that the server's environment has stays."""
    services.registry.set_secret(ADDRESS, "")
    st.session_state[URL_TYPED] = ""


def send_test(services: Services) -> None:
    """Sends a message to the address that is known."""
    code = str(st.session_state.get(LANGUAGE, SERVER))
    services.alert_sender.test(language() if code == SERVER else code)


def save_send(services: Services) -> None:
    """Keeps whether alerts are sent."""
    settings = services.alerts.store.settings()[0]
    save(services, replace(settings, send=bool(st.session_state.get(SEND, settings.send))))


def save_language(services: Services) -> None:
    """Keeps the language of the messages."""
    code = str(st.session_state.get(LANGUAGE, SERVER))
    save(services, replace(services.alerts.store.settings()[0], language="" if code == SERVER else code))


def save(services: Services, settings: AlertSettings) -> None:
    """Keeps settings; why not, where that cannot be."""
    refused = services.alerts.store.save_settings(settings)
    if refused is not None:
        say(refusal(refused))
