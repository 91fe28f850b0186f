"""Which alerts there are, and from when on. What of it a file says wrongly is named, and the default taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lfdash.outcomes import Problem
from lfdash.runs.alerts.rules import BY_NAME, RULES, Rule, Threshold

ADDRESS = "LFDASH_ALERT_WEBHOOK"  # variable with the address that alerts are sent to; no run gets it
SWITCHES = ("on", "send", "stop")


@dataclass(frozen=True)
class RuleSettings:
    """on: whether it is looked for. send: whether people are told who have no page open. stop: whether the run is
    asked to stop (rules that may only). limits: thresholds by name."""

    on: bool = True
    send: bool = True
    stop: bool = False
    limits: Mapping[str, float] = field(default_factory=dict)


def defaults(rule: Rule) -> RuleSettings:
    """A rule as nobody has changed it."""
    return RuleSettings(limits={one.name: one.default for one in rule.thresholds})


@dataclass(frozen=True)
class AlertSettings:
    """rules: of every rule. send: whether alerts are sent at all. language: of what is sent, "" = the server's."""

    rules: Mapping[str, RuleSettings] = field(default_factory=lambda: {rule.name: defaults(rule) for rule in RULES})
    send: bool = True
    language: str = ""

    def of(self, rule: str) -> RuleSettings:
        """The settings of a rule; of what is no rule, that it is told."""
        return self.rules.get(rule, RuleSettings())

    def to_data(self) -> dict[str, Any]:
        """What a file holds of it: all that is not as it is without a file."""
        rules = {rule.name: changed for rule in RULES if (changed := told(rule, self.rules[rule.name]))}
        return {"send": self.send, "language": self.language, "rules": rules}


def told(rule: Rule, now: RuleSettings) -> dict[str, Any]:
    """What of a rule's settings was changed."""
    plain = defaults(rule)
    switches = {name: getattr(now, name) for name in SWITCHES if getattr(now, name) != getattr(plain, name)}
    return switches | {name: value for name, value in now.limits.items() if value != plain.limits[name]}


def read(data: Mapping[str, Any], languages: tuple[str, ...]) -> tuple[AlertSettings, tuple[Problem, ...]]:
    """The settings that data mean, and what is wrong with them; the default stands in."""
    problems: list[Problem] = []
    rules = data.get("rules", {})
    if not isinstance(rules, dict):
        problems.append(Problem(None, "alert_rules", {"value": rules}))
        rules = {}
    for name in rules.keys() - BY_NAME.keys():
        problems.append(Problem(None, "alert_rule", {"value": name, "known": ", ".join(BY_NAME)}))
    made = {rule.name: read_rule(rule, rules.get(rule.name, {}), problems) for rule in RULES}
    found = AlertSettings(made)
    send, language = data.get("send", True), data.get("language", "")
    if isinstance(send, bool):
        found = replace(found, send=send)
    else:
        problems.append(Problem(None, "alert_switch", {"rule": "", "name": "send", "value": send}))
    if language in ("", *languages):
        found = replace(found, language=language)
    else:
        problems.append(Problem(None, "alert_language", {"value": language, "known": ", ".join(languages)}))
    return found, tuple(problems)


def read_rule(rule: Rule, data: Any, problems: list[Problem]) -> RuleSettings:
    """One rule's settings; what is wrong is appended."""
    found = defaults(rule)
    if not isinstance(data, dict):
        problems.append(Problem(None, "alert_rules", {"value": data}))
        return found
    known = {one.name: one for one in rule.thresholds}
    for name, value in data.items():
        if name in known:
            problem = check(rule, known[name], value)
            if problem is None:
                found = replace(found, limits={**found.limits, name: value})
            else:
                problems.append(problem)
        elif name in SWITCHES and isinstance(value, bool) and (name != "stop" or rule.stops or not value):
            found = switched(found, name, value)
        else:
            problems.append(Problem(None, "alert_switch", {"rule": rule.name, "name": name, "value": value}))
    return found


def switched(settings: RuleSettings, name: str, value: bool) -> RuleSettings:
    """The settings with one switch as it is said."""
    told = {one: getattr(settings, one) for one in SWITCHES} | {name: value}
    return RuleSettings(told["on"], told["send"], told["stop"], settings.limits)


def check(rule: Rule, threshold: Threshold, value: object) -> Problem | None:
    """What is wrong with a threshold's value: which one, what was given, what may be; None when nothing is."""
    if threshold.fits(value):
        return None
    params = {
        "rule": rule.name, "name": threshold.name, "value": value, "least": f"{threshold.least:.10g}",
        "most": f"{threshold.most:.10g}", "default": f"{threshold.default:.10g}",
    }
    return Problem(None, "alert_whole" if threshold.whole else "alert_number", params)
