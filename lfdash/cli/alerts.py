"""`lfdash alerts [RUN]`: what was alerted, of one run or of the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lfdash.cli.commands import command, run_argument
from lfdash.cli.runs import chosen
from lfdash.cli.terminal import FINE, Terminal, local_time, table, utc
from lfdash.cli.texts import language, t
from lfdash.engine.alert_words import elsewhere_in, name_in, what_in
from lfdash.runs.alerts.alert import Alert


@command("alerts", run_argument)
def alerts(terminal: Terminal, run: str | None) -> int:
    """A row an alert, oldest first. Without a run: of all runs, and of the workspace. How many wait for the dashboard
    that has the right to send them stands beside it, on standard error; also why alerts cannot be written, if so."""
    if run is None:
        workspace = terminal.open()
        listed: Sequence[Alert] = workspace.services.alerts.recent()
    else:
        workspace, found = chosen(terminal, run)
        listed = workspace.services.alerts.of(found.view)
    if terminal.as_json:
        terminal.give([as_json(alert) for alert in listed])
    elif listed:
        head = [t("alerts.column_time"), t("ui.runs_col_name"), t("alerts.column_alert"), t("alerts.column_step"), ""]
        terminal.say(table(head, map(cells, listed)))
    else:
        terminal.note(t("alerts.none"))
    elsewhere = workspace.services.alert_sender.elsewhere()
    if elsewhere is not None and elsewhere.waiting:
        terminal.note(elsewhere_in(language(), elsewhere))
    reason = workspace.services.alerts.unkept()
    if reason:
        terminal.note(t("alerts.unkept", reason=reason, folder=str(workspace.services.alerts.store.folder)))
    return FINE


def cells(alert: Alert) -> list[str]:
    """An alert's cells."""
    step = "–" if alert.step is None else str(alert.step)
    said = " ".join(what_in(language(), alert).split())
    return [local_time(alert.time), alert.run or "–", name_in(language(), alert), step, said]


def as_json(alert: Alert) -> dict[str, Any]:
    """An alert for a program."""
    return {
        "rule": alert.rule, "run_id": alert.run_id or None, "run": alert.run or None, "attempt": alert.attempt or None,
        "step": alert.step, "time": utc(alert.time), "message": what_in(language(), alert), "params": alert.params,
    }
