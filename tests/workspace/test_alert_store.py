"""What a workspace keeps of its alerts: a read that fails is no empty file, and one spoiled line is one line."""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.outcomes import Refused
from lfdash.runs.alerts.alert import Alert
from lfdash.runs.alerts.file import line_of
from lfdash.runs.alerts.settings import AlertSettings
from lfdash.workspace import alert_store, memo
from lfdash.workspace.alert_store import (
    KEPT,
    LARGEST_LOG,
    MOST_WAITING,
    SENT_WITHIN_S,
    SURE_S,
    AlertStore,
    Began,
    end_mark,
)
from tests.support.alerts import unreadable

FAILURES = (errno.EMFILE, errno.EIO, errno.EACCES)


@pytest.fixture
def store(tmp_path: Path) -> AlertStore:
    return AlertStore(tmp_path)


def alert(run: str = "r1", when: float | None = None) -> Alert:
    return Alert("nan", f"id-{run}", run, 1, "", 12, time.time() if when is None else when, {})


def runs(store: AlertStore) -> list[str]:
    return [one.run for _, one in store.waiting()]


@pytest.mark.parametrize("failure", FAILURES)
def test_an_alert_whose_file_fails_to_be_read_waits_on(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch, failure: int
) -> None:
    store.put(alert())
    with unreadable(monkeypatch, failure):
        assert store.waiting() == []
    assert runs(store) == ["r1"]


def test_what_is_no_alert_hides_none(store: AlertStore) -> None:
    store.put(alert())
    (store.outbox / "0.json").write_bytes(b"\xff{")
    assert runs(store) == ["r1"] and len(list(store.outbox.glob("*.json"))) == 1


def test_an_alert_is_put_once_and_not_sent_again_when_its_file_stays(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(alert())
    store.put(replace(alert(), time=time.time() + 1))
    ((path, _),) = store.waiting()

    def kept(*_: object, **__: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", kept)
        store.sent(path)
        assert store.waiting() == []
        store.put(alert())
        assert store.waiting() == [] and len(os.listdir(store.outbox)) == 1
    assert store.waiting() == [] and list(store.outbox.glob("*.json")) == []


def test_what_was_sent_is_put_again_by_nobody_until_the_log_has_it(store: AlertStore) -> None:
    store.put(alert())
    store.sent(store.waiting()[0][0])
    other = AlertStore(store.folder)
    for one in (other, store):
        one.put(alert())
        assert one.waiting() == [] and len(os.listdir(store.outbox)) == 1
    store.add(alert())
    assert other.waiting() == [] and os.listdir(store.outbox) == []


def test_the_marks_of_what_was_sent_are_bounded(store: AlertStore) -> None:
    store.outbox.mkdir()
    for count in range(MOST_WAITING + 5):
        (store.outbox / f"{count:05}-{count}.sent").touch()
    assert store.waiting() == []
    assert min(os.listdir(store.outbox)) == "00005-5.sent" and len(os.listdir(store.outbox)) == MOST_WAITING


def test_a_clock_that_is_ahead_for_a_moment_loses_no_alert(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(alert())
    ahead = time.time() + SENT_WITHIN_S + 60
    with monkeypatch.context() as patch:
        patch.setattr(alert_store.time, "time", lambda: ahead)
        assert store.waiting() == []
    assert runs(store) == ["r1"]
    later = time.monotonic() + SURE_S + 1
    with monkeypatch.context() as patch:
        patch.setattr(alert_store.time, "time", lambda: ahead)
        assert store.waiting() == []
        patch.setattr(alert_store.time, "monotonic", lambda: later)
        assert store.waiting() == []
    assert list(store.outbox.glob("*.json")) == [], "too old for long"


@pytest.mark.parametrize("failure", FAILURES)
def test_settings_that_fail_to_be_read_are_not_the_defaults(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch, failure: int
) -> None:
    assert store.save_settings(replace(AlertSettings(), send=False)) is None
    again = AlertStore(store.folder)
    with unreadable(monkeypatch, failure):
        with pytest.raises(OSError):
            again.known_settings()
        assert [one.code for one in again.settings()[1]] == ["alert_file"]
        assert isinstance(again.save_settings(AlertSettings()), Refused)
    assert again.settings() == (replace(AlertSettings(), send=False), ())
    again.settings_file.write_text(json.dumps({"send": False, "language": "ru"}))
    with unreadable(monkeypatch, failure):
        assert not again.settings()[0].send, "as they were read last"
    assert again.settings()[0].language == "ru"


@pytest.mark.parametrize("failure", FAILURES)
def test_what_was_read_and_since_when_is_not_forgotten(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch, failure: int
) -> None:
    assert store.dismiss(["x", "y"]) is None
    (store.folder / "since.json").write_text(json.dumps({"since": 7.0}))
    again = AlertStore(store.folder)
    with unreadable(monkeypatch, failure):
        assert isinstance(again.dismiss(["z"]), Refused)
        again.dismissed()
        with pytest.raises(OSError):
            again.began(list)
    assert again.dismiss(["z"]) is None and again.dismissed() == {"x", "y", "z"} and again.began(list) == Began(7.0)


def test_what_several_dashboards_mark_as_read_at_once_is_all_read(store: AlertStore) -> None:
    def mark(who: str) -> None:
        dashboard = AlertStore(store.folder)
        for count in range(30):
            while dashboard.dismiss([f"{who}{count}"]) is not None:
                pass  # the others did not let it in, and it was told

    threads = [threading.Thread(target=mark, args=(who,)) for who in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert AlertStore(store.folder).dismissed() == {f"{who}{count}" for who in "abc" for count in range(30)}


def test_a_spoiled_file_of_the_beginning_tells_it_by_its_age(store: AlertStore) -> None:
    path = store.folder / "since.json"
    path.write_text("{")
    os.utime(path, (1000.0, 1000.0))
    assert store.began(list) == Began(1000.0) and path.read_text() == "{"


def test_which_ends_there_were_is_asked_once_also_where_the_disk_does_not_take_it(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(memo, "write_text_atomic", full)
        began = store.began(lambda: ["old/1"])
        assert store.began(lambda: ["old/1", "new/1"]) == began
    assert store.began(lambda: ["old/1", "new/1"]) == began == AlertStore(store.folder).began(list)
    assert began.over == {end_mark("old/1")}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_log_that_fails_to_be_read_is_not_empty(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch, failure: int
) -> None:
    store.add(alert())
    again = AlertStore(store.folder)
    with unreadable(monkeypatch, failure):
        again.recent()
        with pytest.raises(OSError):
            again.logged()
    assert [one.run for one in again.recent()] == ["r1"]
    again.add(alert("r2"))
    with unreadable(monkeypatch, failure):
        assert [one.run for one in again.recent()] == ["r1"], "as it was read last"


def full_log(store: AlertStore) -> None:
    """A log that is to be cut, with a byte in it that is no text."""
    line = line_of(alert("a")).encode()
    store.log_file.write_bytes(line * (LARGEST_LOG // len(line) + 1) + b"{\xff\n")


def test_a_byte_that_is_no_text_costs_one_line_of_the_log(store: AlertStore) -> None:
    full_log(store)
    store.add(alert("b"))
    assert [one.run for one in store.recent()] == ["a"] * KEPT + ["b"]


def test_a_log_that_cannot_be_read_is_not_cut(store: AlertStore, monkeypatch: pytest.MonkeyPatch) -> None:
    full_log(store)
    before = store.log_file.read_bytes()
    with unreadable(monkeypatch, errno.EMFILE), pytest.raises(OSError):
        store.add(alert("b"))
    assert store.log_file.read_bytes() == before
