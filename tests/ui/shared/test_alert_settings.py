"""The dialog of the alerts without a browser: nothing is kept that cannot be, and no address is shown."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from lfdash.engine.alert_turn import OVERDUE_S, Turn
from lfdash.engine.services import Services
from lfdash.runs.alerts.alert import Alert
from lfdash.runs.alerts.rules import BY_NAME, RULES
from lfdash.runs.alerts.settings import ADDRESS
from lfdash.ui.shared import alert_panel, alert_settings
from lfdash.workspace.alert_store import AlertStore
from tests.support import app as pages

SECRET = "json://person:hush-hush@127.0.0.1:1/secret-path"


@pytest.fixture
def services(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    monkeypatch.delenv(ADDRESS, raising=False)
    with pages.with_fake_runs(workspace, monkeypatch) as found:
        yield found


def panel(tab: str) -> None:
    """What the dialog shows in a tab; the page around it is not drawn."""
    import streamlit as st

    from lfdash.ui.shared import alert_panel
    from lfdash.ui.shared.session import shared_services

    st.session_state.setdefault("alerts.tab", tab)
    alert_panel.draw(shared_services())


def opened(tab: str) -> AppTest:
    return pages.good(AppTest.from_function(panel, args=(tab,), default_timeout=60).run())


def words(app: AppTest) -> str:
    """All that is shown."""
    return "\n".join(str(item.value) for kind in ("markdown", "caption", "error", "success", "warning", "html")
                     for item in app.get(kind))


def test_every_rule_has_a_row_with_its_thresholds_as_they_are(services: Services) -> None:
    app = opened("rules")
    fields = {item.key: item.value for item in app.number_input}
    assert fields == {
        alert_settings.key_of(rule, one.name): one.default for rule in RULES for one in rule.thresholds
    }
    assert sum(box.key.endswith(".stop") for box in app.checkbox) == sum(rule.stops for rule in RULES)


def test_what_is_saved_counts_and_what_cannot_be_is_named_and_changes_nothing(services: Services) -> None:
    store = services.alerts.store
    app = opened("rules")
    rows, share = (alert_settings.key_of(BY_NAME[rule], name) for rule, name in (("nan", "rows"), ("plateau", "share")))
    app.number_input(key=rows).set_value(5)
    app.checkbox(key="alerts.diverged.stop").check()
    pages.good(app.button(key="alert_rules_save").click().run())
    assert store.settings()[0].of("nan").limits["rows"] == 5 and store.settings()[0].of("diverged").stop
    app.number_input(key=rows).set_value(1)
    app.number_input(key=share).set_value(400)
    pages.good(app.button(key="alert_rules_save").click().run())
    assert "NaN loss or zero gradient, Logged losses in a row: 1 is not possible" in words(app).replace("\\", "")
    assert "400 is not possible. Enter a whole number from 5 to 100" in words(app).replace("\\", "")
    assert store.settings()[0].of("nan").limits["rows"] == 5
    pages.good(app.button(key="alert_rules_reset").click().run())
    pages.good(app.button(key="alert_rules_save").click().run())
    assert json.loads(store.settings_file.read_text())["rules"] == {}


def test_of_two_tabs_each_saves_what_was_changed_in_it(services: Services) -> None:
    store, old, new = services.alerts.store, opened("rules"), opened("rules")
    for app, rule in ((new, "nan"), (old, "stall")):
        app.toggle(key=alert_settings.key_of(BY_NAME[rule], "on")).set_value(False)
        app.button(key="alert_rules_save").click()
        pages.good(app.run())
    kept = store.settings()[0]
    assert not kept.of("nan").on and not kept.of("stall").on
    assert not old.toggle(key=alert_settings.key_of(BY_NAME["nan"], "on")).value, "it shows what the other one saved"
    new.toggle(key=alert_settings.key_of(BY_NAME["nan"], "on")).set_value(True)
    new.button(key="alert_rules_save").click()
    pages.good(new.run())
    assert store.settings()[0].of("nan").on and not store.settings()[0].of("stall").on
    old.button(key="alert_rules_reset").click()
    pages.good(old.run())
    old.button(key="alert_rules_save").click()
    pages.good(old.run())
    assert store.settings()[0].of("nan").on and store.settings()[0].of("stall").on


def test_a_language_that_is_chosen_in_one_tab_switches_nothing_on_or_off(services: Services) -> None:
    store, old, new = services.alerts.store, opened("send"), opened("send")
    was = store.settings()[0].send
    new.toggle(key=alert_settings.SEND).set_value(not was)
    pages.good(new.run())
    assert store.settings()[0].send is not was
    (language,) = old.selectbox
    language.set_value("zh")
    pages.good(old.run())
    assert store.settings()[0].send is not was and store.settings()[0].language == "zh"


def test_a_file_that_is_not_understood_is_said(services: Services) -> None:
    store = services.alerts.store
    store.folder.mkdir(exist_ok=True)
    store.settings_file.write_text('{"rules": {"nan": {"rows": -3}}}')
    assert "-3 is not possible" in words(opened("rules")).replace("\\", "").replace("\u2060", "")


def test_an_address_is_kept_in_memory_and_shown_by_its_service_only(services: Services) -> None:
    app = opened("send")
    app.text_input(key=alert_settings.URL_TYPED).set_value("nobody knows")
    pages.good(app.button(key="alert_url_set").click().run())
    assert services.registry.secret_store.get(ADDRESS) == "" and "none that Apprise knows" in words(app)
    app.text_input(key=alert_settings.URL_TYPED).set_value(SECRET)
    pages.good(app.button(key="alert_url_set").click().run())
    assert services.registry.secret_store.get(ADDRESS) == SECRET
    assert services.registry.redact(f"sent to {SECRET}") != f"sent to {SECRET}"
    shown = words(app) + repr([(item.value, item.placeholder) for item in app.text_input])
    assert "json://" in shown and not any(part in shown for part in ("hush-hush", "secret-path", "person"))
    for path in services.workspace.root.rglob("*"):
        assert not path.is_file() or b"hush-hush" not in path.read_bytes()
    pages.good(app.button(key="alert_url_forget").click().run())
    assert services.registry.secret_store.get(ADDRESS) == ""


def test_an_address_of_the_environment_cannot_be_forgotten_here(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS, SECRET)
    app = opened("send")
    forget = app.button(key="alert_url_forget")
    assert forget.disabled and ADDRESS in forget.help and "Remove it there" in forget.help
    assert f"Sent to json://***, which {ADDRESS}" in words(app).replace("\\", "").replace("\u2060", "")
    app.text_input(key=alert_settings.URL_TYPED).set_value("json://127.0.0.1:2/typed")
    pages.good(app.button(key="alert_url_set").click().run())
    forget = app.button(key="alert_url_forget")
    assert not forget.disabled and "is used again" in forget.help and "which" not in words(app)
    pages.good(forget.click().run())
    assert app.button(key="alert_url_forget").disabled and services.registry.secret_store.get(ADDRESS) == SECRET


def test_another_dashboard_that_does_not_send_is_said_where_alerts_are_listed(services: Services) -> None:
    store = services.alerts.store
    store.folder.mkdir(exist_ok=True)
    other = Turn(AlertStore(store.folder))
    assert other.hold()
    store.put(Alert("nan", "id-x", "x", 1, "", 1, time.time(), {}))
    assert "another dashboard" not in words(opened("list"))
    said = words(opened("send")).replace("\\", "").replace("\u2060", "")
    assert "another dashboard" in said and "Waiting to be sent: 1." in said, said
    store.put(Alert("nan", "id-y", "y", 1, "", 1, time.time() - OVERDUE_S - 1, {}))
    for tab in ("list", "send"):
        assert "may be stopped" in words(opened(tab)), tab
    other.release()


def test_the_list_is_empty_at_first(services: Services) -> None:
    assert "Nothing has been alerted" in words(opened("list"))
    assert alert_panel.unread(services, services.alerts.recent()) == []


def test_that_alerts_cannot_be_written_is_said_above_the_list(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not opened("list").warning

    def full(alert: Alert) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), alert.rule)

    monkeypatch.setattr(services.alerts.store, "add", full)
    alert = Alert("disk", "", "", 0, "today", None, time.time(), {"free": "1", "hours": ""})
    assert services.alerts.write(alert, None, send=False)
    app = opened("list")
    (said,) = [one.value for one in app.warning]
    assert "No space left on device" in said and "in memory" in said and "Disk nearly full" in words(app)
