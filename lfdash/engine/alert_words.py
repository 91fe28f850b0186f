"""What an alert says, in any language: on the page, in a terminal, in what is sent."""

from __future__ import annotations

import time
from collections.abc import Callable

from lfdash.engine.alert_turn import Elsewhere
from lfdash.engine.words import reason_in, span_in
from lfdash.files import real_number
from lfdash.locales import in_language, lookup, pair_in
from lfdash.outcomes import Problem
from lfdash.runs.alerts.alert import STOP, Alert
from lfdash.runs.alerts.rules import BY_NAME
from lfdash.runs.view import Reason

ENDS = {"SUCCEEDED": "finished", "STOPPED": "stopped", "FAILED": "failed", "LOST": "lost"}  # states, and their texts
Safe = Callable[[str], str]


def rule_in(code: str, rule: str) -> str:
    """What a rule is called."""
    return in_language(code, f"alerts.{rule}") if isinstance(lookup("en", "alerts", rule), str) else rule


def name_in(code: str, alert: Alert) -> str:
    """What an alert is called: its rule; of the end of a run, which end it was."""
    if alert.rule not in ("ended", "failed"):
        return rule_in(code, alert.rule)
    other = "failed" if alert.rule == "failed" else "over"
    return in_language(code, f"alerts.{ENDS.get(str(alert.params.get('state')), other)}")


def what_in(code: str, alert: Alert, safe: Safe = str) -> str:
    """What is wrong, in a sentence. safe: makes a value fit for where it is shown."""
    params = {name: safe(str(value)) for name, value in alert.params.items()}
    params |= {"step": "–" if alert.step is None else str(alert.step), "run": safe(alert.run)}
    key = f"{alert.rule}_what"
    if alert.rule == "stall" and alert.occasion == "stop":
        key = "stall_stop"
    elif alert.rule == "stall":
        for name in ("quiet", "usual"):
            seconds = real_number(alert.params.get(f"{name}_s"))
            params[name] = "–" if seconds is None else span_in(code, seconds)
    elif alert.rule == "nan" and alert.occasion:
        key = "nan_gradient"
    elif alert.rule == "overfit" and alert.params.get("dataset"):
        key = "overfit_on"
    elif alert.rule == "disk" and not alert.params.get("hours"):
        key = "disk_low"
    elif alert.rule == "queue":
        params["why"] = why_in(code, alert, safe)
    elif alert.rule in ("ended", "failed"):
        state = str(alert.params.get("state"))
        known = isinstance(lookup("en", "states", state), str)
        params["state"] = in_language(code, f"states.{state if known else 'UNKNOWN'}")
        key = "ended_plain" if alert.rule == "ended" and alert.step is None else key  # an evaluation has no steps
    elif alert.rule == STOP:
        params["rule"] = rule_in(code, str(alert.params.get("rule", "")))
        key = "auto_stop_refused" if alert.params.get("refused") else key
    try:
        said = in_language(code, f"alerts.{key}", **params)
    except KeyError:  # written by another version
        return rule_in(code, alert.rule)
    if alert.params.get("stopping"):
        said = f"{said} {in_language(code, 'alerts.stopping')}"
    return said


def elsewhere_in(code: str, found: Elsewhere) -> str:
    """That another dashboard has the right to send, which one, and how many alerts wait for it."""
    who = in_language(code, "alerts.turn_unknown")
    if found.pid:
        who = in_language(code, "alerts.turn_who", pid=found.pid, host=found.host)
    span = None if found.since is None else span_in(code, max(1.0, time.time() - found.since))
    said = [in_language(code, "alerts.turn", who=who) if span is None
            else in_language(code, "alerts.turn_since", who=who, span=span)]
    if found.waiting:
        said.append(in_language(code, "alerts.turn_waiting", waiting=found.waiting))
    if found.is_overdue:
        said.append(in_language(code, "alerts.turn_overdue"))
    return " ".join(said)


def why_in(code: str, alert: Alert, safe: Safe) -> str:
    """Why the queue does not go on."""
    told = {name.removeprefix("why_"): str(value) for name, value in alert.params.items() if name.startswith("why_")}
    try:
        return reason_in(code, Reason(str(alert.params.get("code", "")), told), safe)
    except KeyError:
        return "–"


def remedy_in(code: str, alert: Alert, *, over: bool = False) -> str:
    """What can be done; "" where there is nothing to be done. over: the run is over: it need not be stopped any
    more."""
    keys = [f"{alert.rule}_do"]
    if over:
        keys.insert(0, f"{alert.rule}_do_over")
    known = next((key for key in keys if isinstance(lookup("en", "alerts", key), str)), None)
    return in_language(code, f"alerts.{known}") if known else ""


def title_in(code: str, alert: Alert) -> str:
    """One line: the run, and what it is."""
    return pair_in(code, alert.run or "lfdash", name_in(code, alert))


def message_in(code: str, alert: Alert) -> str:
    """The text that is sent below the title."""
    return "\n".join(filter(None, (what_in(code, alert), remedy_in(code, alert))))


def icon_level(alert: Alert) -> str:
    """How bad it is: error, warning or info."""
    rule = BY_NAME.get(alert.rule)
    return rule.level if rule else "info"


def message_kind(alert: Alert) -> str:
    """What Apprise calls how bad it is, or how good: services colour a message by it."""
    if alert.rule == "ended" and alert.params.get("state") == "SUCCEEDED":
        return "success"
    return {"error": "failure", "warning": "warning"}.get(icon_level(alert), "info")


def problem_in(code: str, problem: Problem) -> str:
    """What is wrong with the settings: which one, what it is, what it may be."""
    params = dict(problem.params)
    rule = str(params.get("rule", ""))
    if rule:
        name = str(params.get("name", ""))
        params["rule"] = rule_in(code, rule)
        params["name"] = in_language(code, f"alerts.limit_{name}") if lookup("en", "alerts", f"limit_{name}") else name
    return in_language(code, f"problems.{problem.code}", **params)
