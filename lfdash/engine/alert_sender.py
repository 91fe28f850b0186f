"""Sends alerts to people who have no page open, through Apprise: in a thread of its own, one dashboard for all.

Of several dashboards on a workspace the one that holds `sender.lock` sends; it must have the address, which is a secret
and in nobody's files. An alert waits as a file until it was sent, so that neither a restart nor another dashboard loses
it; a dashboard that is killed while it sends may send that one twice.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lfdash.engine.alert_turn import Elsewhere, Turn
from lfdash.engine.alert_words import message_in, message_kind, title_in
from lfdash.files import real_number
from lfdash.locales import in_language
from lfdash.runs.alerts.alert import Alert
from lfdash.workspace.alert_store import AlertStore

LOOK_S = 2.0
DELAYS_S = (0.0, 2.0, 10.0)  # before each try
TIMEOUT_S = 30.0  # of one try; what is stopped there is not tried again, since it may have been sent
LONGER_S = 5.0  # that Apprise itself waits for an answer: it does not tell a late one from a service that is away
MANY = 5  # alerts that wait together are one message
FINAL = ("", "timeout", "unsure", "redirect", "address")  # no other try: it was sent, may have been, or never will be
OTHERS_S = 30.0  # in which another dashboard that sends has seen by itself what no file could be written of
LOGGERS = ("apprise", "urllib3.connectionpool")  # tell of the address
BROKEN = re.compile(r"Read timed out|Connection aborted", re.IGNORECASE)  # the message had gone out by then
REDIRECT = re.compile(r"\berror=3\d\d\b")
SCHEME = re.compile(r"^[a-z0-9+.-]{1,20}(?=://)", re.IGNORECASE)

logger = logging.getLogger(__name__)
KINDS = ("failure", "warning", "info", "success")  # of messages, as Apprise calls them, the most urgent first
Notify = Callable[[str, str, str, str], str]  # address, title, text, kind -> "" or why it was not sent


@dataclass(frozen=True)
class Delivery:
    """How the last message went. time: epoch seconds, 0 = there was none. error: why it could not be sent, "" = it was.
    busy: one is being sent."""

    time: float = 0.0
    error: str = ""
    busy: bool = False


def by_apprise(url: str, title: str, text: str, kind: str) -> str:
    """Sends one message; "" or why that was not possible, without the address: "address", "redirect" (none is followed,
    unless the address says so: a message would be lost on the way, or go to another host), "unsure" (it may have been
    sent), "refused", or the service's words."""
    import apprise

    said = Said()
    logging.getLogger(LOGGERS[0]).setLevel(logging.DEBUG)  # only there it says how a connection ended
    for name in LOGGERS:
        logging.getLogger(name).addFilter(said)
    try:
        asset = apprise.AppriseAsset(app_id="lfdash", app_desc="lfdash", app_url="", http_redirects=False)
        target = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        if target is None:
            return "address"
        target.socket_read_timeout = TIMEOUT_S + LONGER_S
        done = target.notify(title=title, body=text, notify_type=kind)  # the service itself: it sends in this thread
    finally:
        for name in LOGGERS:
            logging.getLogger(name).removeFilter(said)
    if done:
        return ""
    if said.broken:
        return "unsure"
    return "redirect" if REDIRECT.search(said.words) else hidden(url, said.words) or "refused"


class Said(logging.Filter):
    """Keeps the lines of this thread out of the logs, since they have the address in them. words: its last warning.
    broken: a connection ended after the message had gone out."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.broken = "", False
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.thread != self._thread:
            return True
        if record.levelno >= logging.WARNING:
            self.words = record.getMessage()
        elif BROKEN.search(record.getMessage()):
            self.broken = True
        return False


def in_words(code: str, alert: Alert) -> tuple[str, str]:
    """Title and text; of one that cannot be put into words, its rule: it must not keep the others from being sent."""
    try:
        return title_in(code, alert), message_in(code, alert)
    except Exception:  # what other versions write is not known
        logger.exception("an alert of %s cannot be put into words", alert.rule)
        return f"{alert.run or 'lfdash'}: {alert.rule}", alert.rule


def kind_of(alerts: Sequence[Alert]) -> str:
    """The kind of a message that tells some alerts."""
    return min(map(message_kind, alerts), key=KINDS.index, default="info")


def is_address(url: str) -> bool:
    """Whether Apprise knows what to do with an address."""
    import apprise

    return bool(url.strip()) and apprise.Apprise.instantiate(url.strip(), suppress_exceptions=True) is not None


def hidden(url: str, words: str) -> str:
    """Words without anything of an address but its scheme."""
    for part in sorted(set(re.split(r"[/:@?&=,\s]+", url.partition("://")[2])), key=len, reverse=True):
        if len(part) > 2:
            words = words.replace(part, "***")
    return words[:300]


def masked(url: str) -> str:
    """An address as it may be shown: which service, nothing else; "" for none."""
    scheme = SCHEME.match(url)
    return f"{scheme[0]}://***" if scheme else "***" if url else ""


class AlertSender:
    """The thread. url: the address now, "" = none. language: of the texts, now. is_here: whether the workspace is still
    where it was."""

    def __init__(
        self, store: AlertStore, url: Callable[[], str], language: Callable[[], str], notify: Notify = by_apprise,
        is_here: Callable[[], bool] = lambda: True,
    ) -> None:
        self.delivery = Delivery()
        self._store, self._url, self._language, self._notify = store, url, language, notify
        self._turn = Turn(store, is_here)
        self._unwritten: list[Alert] = []  # a full disk takes no file
        self._bad = ""  # an address that is none: another dashboard may have a good one
        self._old: frozenset[Path] = frozenset()  # what waited when the address was entered: no news to it
        self._tests: list[str] = []  # languages of the test messages that were asked for
        self._entered: list[str] = []  # addresses that nobody has checked yet
        self._loading: threading.Thread | None = None
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread. Idempotent."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lfdash-alerts", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Ends the thread; what is not sent yet waits for the next dashboard."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=2.0)

    def wake(self, unwritten: Alert | None = None) -> None:
        """There is something to send. unwritten: an alert that the disk did not take."""
        if unwritten is not None:
            self._unwritten.append(unwritten)
        self._wake.set()

    def test(self, language: str) -> None:
        """Lets a test message be sent; `delivery` tells how it went."""
        self.delivery = Delivery(busy=True)
        self._tests.append(language)
        self._wake.set()

    def prepare(self) -> None:
        """Somebody may enter an address: Apprise and its hundred services, which take seconds from a slow disk, are
        loaded in the background."""
        if self._loading is None:
            self._loading = threading.Thread(target=is_address, args=("json://localhost",), daemon=True)
            self._loading.start()

    def enter(self, url: str) -> bool:
        """Takes note of an address that somebody entered, before it is used: whether it may be one. Does not wait for
        Apprise: what only Apprise can tell of it is told by `last`, soon. What waits while there is no address is not
        sent to it: it is no news to whoever enters one. It goes on waiting, for another dashboard that has one."""
        if not SCHEME.match(url.strip()):
            return False
        self.prepare()
        if self._loading is not None and not self._loading.is_alive() and not is_address(url):
            return False
        if not self._url():
            self._unwritten = []
            self._old = frozenset(self._store.outbox.glob("*.json"))
        self._entered.append(url)
        self._wake.set()
        return True

    def elsewhere(self) -> Elsewhere | None:
        """The dashboard that has the right to send, if it is another one."""
        return self._turn.elsewhere()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._round()
            except Exception:  # the thread must not die of one odd alert
                logger.exception("sending alerts failed")
            self._wake.wait(LOOK_S)
            self._wake.clear()
        self._turn.release()

    def _round(self) -> None:
        url = self._url()
        while self._entered:
            if not is_address(self._entered.pop(0)):
                self.delivery = Delivery(time.time(), "address")
        while self._tests:
            code = self._tests.pop(0)
            self._send(url, in_language(code, "alerts.test_title"), in_language(code, "alerts.test_body"))
        waiting = self._store.waiting()
        is_news = bool(self._unwritten) or any(path not in self._old for path, _ in waiting)
        if url == self._bad:
            url = ""
        if not url or (waiting and not is_news):
            self._turn.release()  # they may be for the address of another dashboard
        if url and is_news and self._turn.hold():
            self._send_all(url)
        elif not url or self._turn.is_elsewhere():
            self._unwritten = [one for one in self._unwritten if one.time > time.time() - OTHERS_S]

    def _send_all(self, url: str) -> None:
        """Sends what waits and is news to the address."""
        # another dashboard may have sent some before the right was got
        waiting = [(path, alert) for path, alert in self._store.waiting() if path not in self._old]
        there = {alert.id for _, alert in waiting} | {one.id for one in self._store.recent()}  # written meanwhile
        unwritten = {alert.id: alert for alert in self._unwritten if not self._store.is_done(alert)}
        self._unwritten = []
        alerts = [alert for _, alert in waiting] + [one for key, one in unwritten.items() if key not in there]
        code = self._language()
        if len(alerts) > MANY:
            lines = "\n".join(f"• {in_words(code, alert)[0]}" for alert in alerts)
            if self._send(url, in_language(code, "alerts.many", count=len(alerts)), lines, kind_of(alerts)):
                self._sent(alerts, waiting)
            return
        for place, alert in enumerate(alerts):
            if self._closing.is_set() or not self._send(url, *in_words(code, alert), kind_of([alert])):
                return
            self._sent([alert], waiting[place : place + 1])

    def _sent(self, alerts: Sequence[Alert], waiting: Sequence[tuple[Path, Alert]]) -> None:
        """Alerts were sent, some of which wait as files."""
        for alert in alerts:
            self._store.told(alert)
        for path, _ in waiting:
            self._store.sent(path)

    def _send(self, url: str, title: str, text: str, kind: str = "info") -> bool:
        """Sends one message in a few tries, and notes how it went. Whether it has gone anywhere, or could not though
        its address is one."""
        self.delivery = Delivery(self.delivery.time, busy=True)
        error = "none" if not url else ""
        for delay in DELAYS_S if url else ():
            if delay and self._closing.wait(delay):
                break
            error = self._try(url, title, text, kind)
            if error in FINAL:
                break
        self.delivery = Delivery(time.time(), error)
        self._store.delivery.save({"time": self.delivery.time, "error": error})
        if error:
            logger.warning("an alert could not be sent: %s", error)
        if error == "address":
            self._bad = url
        return error != "address"

    def _try(self, url: str, title: str, text: str, kind: str) -> str:
        """One try; whoever does not answer in time is left alone."""
        said: list[str] = []

        def act() -> None:
            with suppress(Exception):  # some service's own code, whose words may have the address in them
                said.append(self._notify(url, title, text, kind))
            said.append("refused")

        worker = threading.Thread(target=act, name="lfdash-alert", daemon=True)
        worker.start()
        worker.join(TIMEOUT_S)
        return said[0] if said else "timeout"

    def last(self) -> Delivery:
        """How the last message went, whichever dashboard sent it."""
        told = self._store.delivery.load()
        when, error = real_number(told.get("time")), told.get("error")
        if self.delivery.busy or when is None or when <= self.delivery.time:
            return self.delivery
        return Delivery(when, str(error or ""))
