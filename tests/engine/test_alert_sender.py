"""Alerts are sent once, by one dashboard, to an address that nobody sees."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lfdash.engine import alert_sender
from lfdash.engine.alert_records import AlertRecords
from lfdash.engine.alert_sender import AlertSender, by_apprise, hidden, is_address, masked
from lfdash.queue.commands import LaunchLock
from lfdash.runs.alerts.alert import Alert
from lfdash.workspace.alert_store import SENT_WITHIN_S, AlertStore
from tests.support.receiver import Receiver, receiving
from tests.support.runs import wait_for


@pytest.fixture
def store(tmp_path: Path) -> AlertStore:
    (tmp_path / "alerts").mkdir()
    return AlertStore(tmp_path / "alerts")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_sender, "DELAYS_S", (0.0, 0.05, 0.05))
    monkeypatch.setattr(alert_sender, "LOOK_S", 0.1)


@pytest.fixture
def start(store: AlertStore) -> Iterator[Callable[..., AlertSender]]:
    """Starts senders on the store; ends them."""
    made: list[AlertSender] = []

    def begin(url: str, code: str = "en", notify: alert_sender.Notify = by_apprise) -> AlertSender:
        sender = AlertSender(AlertStore(store.folder), lambda: url, lambda: code, notify)
        sender.start()
        made.append(sender)
        return sender

    yield begin
    for sender in made:
        sender.close()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own."""
    root = tmp_path / "disk"
    root.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(root)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield root
    subprocess.run(["umount", "-l", str(root)], check=True)


def alert(rule: str = "nan", when: float | None = None, run: str = "r1") -> Alert:
    return Alert(rule, f"id-{run}", run, 1, "", 12, when or time.time(), {})


def test_an_alert_reaches_a_real_receiver_in_the_language_that_is_set(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender]
) -> None:
    store.put(alert())
    sender = start(receiver.url, "ru")
    wait_for(lambda: receiver.got)
    (body,) = receiver.got
    assert body["title"] == "r1: Loss = NaN или нулевой градиент" and "С шага 12" in body["message"]
    wait_for(lambda: not store.waiting())
    assert wait_for(lambda: sender.last().time) and sender.last().error == ""


def test_how_bad_it_is_is_sent_too(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender]
) -> None:
    for rule in ("nan", "stall", "ended", "queue"):
        store.put(replace(alert(rule), params={"state": "SUCCEEDED"}))
    store.put(replace(alert("ended", run="other"), params={"state": "STOPPED"}))
    start(receiver.url)
    wait_for(lambda: len(receiver.got) == 5)
    kinds = {(body["title"], body["type"]) for body in receiver.got}
    assert kinds == {
        ("r1: NaN loss or zero gradient", "failure"), ("r1: Stalled", "warning"), ("r1: Run finished", "success"),
        ("r1: Queue blocked", "warning"), ("other: Run stopped", "info"),
    }


def test_two_dashboards_send_one_message(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender]
) -> None:
    senders = [start(receiver.url), start(receiver.url)]
    for count in range(1, 4):
        store.put(alert(run=f"r{count}"))
        for sender in senders:
            sender.wake()
        wait_for(lambda: not store.waiting())
    assert sorted(receiver.titles) == [f"r{count}: NaN loss or zero gradient" for count in (1, 2, 3)]
    senders[0].close()
    senders[1].close()
    store.put(alert(run="r9"))
    third = start(receiver.url)
    wait_for(lambda: third.last().time and not store.waiting())
    assert len(receiver.got) == 4, "nothing twice after a restart"


def test_a_dashboard_without_the_address_leaves_it_to_the_one_that_has_it(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender]
) -> None:
    without = start("")
    store.put(alert())
    without.wake()
    wait_for(lambda: not without._wake.is_set())
    assert len(store.waiting()) == 1
    start(receiver.url)
    wait_for(lambda: receiver.got)
    assert len(receiver.got) == 1


def test_a_service_that_refuses_is_tried_a_few_times_and_the_failure_is_told_without_the_address(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender], caplog: pytest.LogCaptureFixture
) -> None:
    receiver.status = 500
    store.put(alert())
    caplog.set_level(logging.DEBUG)
    sender = start(receiver.url)
    wait_for(lambda: sender.last().error)
    assert len(receiver.got) == 3 and store.waiting() == []
    told = sender.last().error + caplog.text
    assert "500" in sender.last().error or "Internal" in sender.last().error
    for secret in ("hush-hush", "secret-path", "person"):
        assert secret not in told
    other = AlertSender(AlertStore(store.folder), lambda: "", lambda: "en")
    assert other.last().error == sender.last().error, "another dashboard shows it too"


def test_who_does_not_answer_is_left_alone(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_sender, "TIMEOUT_S", 0.2)
    receiver.hold.clear()
    store.put(alert())
    begun = time.monotonic()
    sender = start(receiver.url)
    wait_for(lambda: sender.last().error)
    assert sender.last().error == "timeout" and time.monotonic() - begun < 5
    wait_for(lambda: store.waiting() == [])
    assert len(receiver.got) == 1, "it may have been sent: not once more"


def test_who_answers_later_than_apprise_waits_gets_one_message(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_sender, "TIMEOUT_S", 1.0)
    receiver.hold.clear()
    store.put(alert())
    sender = start(f"{receiver.url}?rto=0.2")
    wait_for(lambda: sender.last().error)
    wait_for(lambda: store.waiting() == [])
    assert sender.last().error == "timeout" and len(receiver.got) == 1


def test_a_connection_that_breaks_after_the_message_is_not_tried_again(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender]
) -> None:
    receiver.breaks = True
    store.put(alert())
    sender = start(receiver.url)
    wait_for(lambda: sender.last().error)
    wait_for(lambda: store.waiting() == [])
    assert sender.last().error == "unsure" and len(receiver.got) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_is_told(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender], status: int
) -> None:
    with receiving() as other:
        receiver.status, receiver.where = status, f"http://127.0.0.1:{other.port}/elsewhere"
        store.put(alert())
        sender = start(receiver.url)
        wait_for(lambda: sender.last().error or other.got)
        assert sender.last().error == "redirect" and other.got == [] and len(receiver.got) == 1


def test_nobody_there_is_tried_again(store: AlertStore, start: Callable[..., AlertSender]) -> None:
    tries: list[str] = []

    def counted(url: str, title: str, text: str, kind: str) -> str:
        tries.append(by_apprise(url, title, text, kind))
        return tries[-1]

    store.put(alert())
    sender = start("json://127.0.0.1:9", notify=counted)
    wait_for(lambda: sender.last().error)
    assert len(tries) == 3 and sender.last().error not in ("unsure", "timeout", "redirect")


def test_what_no_file_was_written_of_is_left_to_the_dashboard_that_sends(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_sender, "OTHERS_S", 0.0)
    first = start(receiver.url)
    first.wake(alert())
    wait_for(lambda: receiver.got)
    second = start(receiver.url)
    second.wake(alert(when=time.time() - 1))
    wait_for(lambda: not second._unwritten)
    first.close()
    second.wake(alert(run="r2"))
    wait_for(lambda: len(receiver.got) > 1)
    assert receiver.titles == ["r1: NaN loss or zero gradient", "r2: NaN loss or zero gradient"]


def test_a_service_whose_code_raises_ends_nothing(store: AlertStore, start: Callable[..., AlertSender]) -> None:
    def odd(*_: str) -> str:
        raise ValueError("https://token@example.com")

    store.put(alert())
    sender = start("odd://x", notify=odd)
    wait_for(lambda: sender.last().error, 30)
    assert sender.last().error == "refused"
    sender.test("en")
    wait_for(lambda: not sender.delivery.busy, 30)


@pytest.mark.parametrize("count", [1, alert_sender.MANY])
def test_one_odd_alert_does_not_hold_up_the_others(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender], monkeypatch: pytest.MonkeyPatch,
    count: int,
) -> None:
    say = alert_sender.title_in

    def odd(code: str, one: Alert) -> str:
        if one.run == "odd":
            raise ValueError("odd")
        return say(code, one)

    monkeypatch.setattr(alert_sender, "title_in", odd)
    store.put(alert(when=time.time() - 60, run="odd"))
    for number in range(count):
        store.put(alert(run=f"r{number}"))
    start(receiver.url)
    wait_for(lambda: receiver.got and not store.waiting())
    said = " ".join(f"{body['title']} {body['message']}" for body in receiver.got)
    assert "odd: nan" in said and "r0: NaN loss or zero gradient" in said


def test_many_at_once_are_one_message(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender]
) -> None:
    for count in range(20):
        store.put(alert(run=f"r{count}"))
    start(receiver.url)
    wait_for(lambda: not store.waiting())
    (body,) = receiver.got
    assert body["type"] == "failure" and body["title"] == "lfdash: 20 alerts"
    assert body["message"].count("NaN loss or zero gradient") == 20


def test_what_nobody_could_send_for_long_is_not_sent_late(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender]
) -> None:
    store.put(alert(when=time.time() - SENT_WITHIN_S - 1, run="old"))
    store.put(alert(run="new"))
    start(receiver.url)
    wait_for(lambda: receiver.got and not store.waiting())
    assert receiver.titles == ["new: NaN loss or zero gradient"]


def test_a_test_message_says_that_it_is_one(receiver: Receiver, start: Callable[..., AlertSender]) -> None:
    sender = start(receiver.url)
    sender.test("en")
    assert sender.last().busy
    wait_for(lambda: receiver.got)
    assert receiver.titles == ["lfdash: test"]


def test_an_address_is_one_that_apprise_knows() -> None:
    assert is_address("json://127.0.0.1:1") and is_address(" ntfy://topic ")
    assert not is_address("") and not is_address("ftp//x") and not is_address("nobody://x")


def test_what_came_before_there_was_an_address_is_not_sent_to_it(store: AlertStore, receiver: Receiver) -> None:
    urls = [""]
    sender = AlertSender(store, lambda: urls[0], lambda: "en")
    sender.start()
    store.put(alert(run="before"))
    sender.wake(alert(run="unwritten"))
    assert sender.enter(receiver.url)
    urls[0] = receiver.url
    store.put(alert(run="after"))
    wait_for(lambda: receiver.got and len(store.waiting()) == 1)
    sender.close()
    assert receiver.titles == ["after: NaN loss or zero gradient"]


def test_what_is_old_to_one_that_was_entered_is_sent_by_a_dashboard_that_has_had_its_address(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender]
) -> None:
    urls = [""]
    store.put(alert(run="before"))
    entered = AlertSender(store, lambda: urls[0], lambda: "en")
    assert entered.enter(receiver.url)
    urls[0] = receiver.url
    entered.start()
    store.put(alert(run="after"))
    wait_for(lambda: receiver.titles == ["after: NaN loss or zero gradient"])  # so it has the right to send
    with receiving() as other:
        start(other.url)
        wait_for(lambda: other.titles == ["before: NaN loss or zero gradient"])
    entered.close()
    assert len(receiver.got) == 1 and not store.waiting()


def test_an_address_that_is_taken_away_leaves_the_sending_to_the_others(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender]
) -> None:
    urls = [receiver.url]
    first = AlertSender(store, lambda: urls[0], lambda: "en")
    first.start()
    store.put(alert(run="one"))
    wait_for(lambda: receiver.got and not store.waiting())
    urls[0] = ""
    start(receiver.url)
    store.put(alert(run="two"))
    wait_for(lambda: receiver.titles == ["one: NaN loss or zero gradient", "two: NaN loss or zero gradient"])
    first.close()


def test_an_address_that_is_none_leaves_the_sending_to_the_others(
    store: AlertStore, receiver: Receiver, start: Callable[..., AlertSender]
) -> None:
    store.put(alert(run="one"))
    bad = start("jsno://127.0.0.1")
    wait_for(lambda: bad.last().error == "address")
    assert len(store.waiting()) == 1
    start(receiver.url)
    wait_for(lambda: receiver.titles == ["one: NaN loss or zero gradient"] and not store.waiting())


def test_another_address_loses_nothing_and_neither_does_who_sends_elsewhere(
    store: AlertStore, receiver: Receiver
) -> None:
    store.put(alert())
    assert AlertSender(store, lambda: "json://127.0.0.1:1", lambda: "en").enter(receiver.url)
    assert store.waiting()
    other = AlertSender(AlertStore(store.folder), lambda: receiver.url, lambda: "en")
    assert other._turn.hold()
    assert AlertSender(store, lambda: "", lambda: "en").enter(receiver.url)
    assert store.waiting()
    other.close()


def test_entering_an_address_does_not_wait_for_apprise(store: AlertStore, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = threading.Event()

    def slow(url: str) -> bool:
        loaded.wait(20)
        return is_address(url)

    monkeypatch.setattr(alert_sender, "is_address", slow)
    sender = AlertSender(store, lambda: "", lambda: "en")
    sender.start()
    begun = time.monotonic()
    assert not sender.enter("no address") and sender.enter("nobody://x")
    assert time.monotonic() - begun < 5
    loaded.set()
    wait_for(lambda: sender.last().error == "address")
    wait_for(lambda: not sender.enter("nobody://x"))  # known at once, once Apprise is there
    sender.close()


def test_nothing_of_an_address_is_shown_but_its_service() -> None:
    assert masked("json://me:pw@host/x") == "json://***" and masked("rubbish") == "***" and masked("") == ""
    where = "https://hooks.example.com/T01/B02/abc"
    said = f"Failed to send to {where}: Not Found, error=404."
    shown = hidden("slack://hooks.example.com/T01/B02/abc", said)
    assert "404" in shown and not any(part in shown for part in ("T01", "B02", "abc", "example.com"))


@pytest.mark.parametrize("there", ["lock", "folder", "nothing"])
def test_what_a_read_only_disk_does_not_take_is_sent_once_and_said(
    mounted: Path, receiver: Receiver, there: str
) -> None:
    folder = mounted / ".lfdash" / "alerts"
    (folder if there != "nothing" else folder.parent).mkdir(parents=True)
    if there == "lock":
        (folder / "sender.lock").touch()
    subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
    records: list[AlertRecords] = []
    senders: list[AlertSender] = []
    for _ in range(2):
        store = AlertStore(folder)
        senders.append(AlertSender(store, lambda: receiver.url, lambda: "en"))
        records.append(AlertRecords(store, LaunchLock(folder), senders[-1].wake, lambda _: None))
    for record in records:
        assert record.write(alert(), None, send=True)
        assert [one.rule for one in record.recent()] == ["nan"] and record.unkept() == os.strerror(errno.EROFS)
    senders[0].start()
    wait_for(lambda: receiver.got and senders[0].last().time)
    senders[1].start()
    senders[1].wake()
    wait_for(lambda: senders[1].elsewhere() is not None)
    subprocess.run(["mount", "-o", "remount,rw", str(mounted)], check=True)
    for record in records:
        record.write_again()
        assert record.unkept() == "" and len(record.store.logged()) == 1
    for sender in senders:
        sender.close()
    assert receiver.titles == ["r1: NaN loss or zero gradient"] and not AlertStore(folder).waiting()
