"""The least of a browser: raw HTTP requests, and a tab that speaks Streamlit's protocol over a real websocket."""

from __future__ import annotations

import http.client
import json
import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import ClientConnection, connect

STREAM = "/_stcore/stream"
WAIT = 30.0  # seconds for one message


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers (lower case; several of a name joined by newlines), body."""

    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    url: str, path: str = "/", method: str = "GET", headers: list[tuple[str, str]] | None = None, body: bytes = b"",
    host: str | None = None,
) -> Answer:
    """One request, with exactly these headers. host: what the Host header says; None = the truth; "" = none."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=WAIT)
    connection.putrequest(method, parts.path.rstrip("/") + path, skip_host=True, skip_accept_encoding=True)
    if host != "":
        connection.putheader("Host", host or parts.netloc)
    for name, value in headers or []:
        connection.putheader(name, value)
    if body:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body or None)
    got = connection.getresponse()
    found: dict[str, str] = {}
    for name, value in got.getheaders():
        found[name.lower()] = f"{found[name.lower()]}\n{value}" if name.lower() in found else value
    answer = Answer(got.status, found, got.read())
    connection.close()
    return answer


def multipart(name: str, content: bytes, kind: str = "text/yaml") -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of a form with one file."""
    head = f'--b0\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: {kind}\r\n\r\n'
    return [("Content-Type", "multipart/form-data; boundary=b0")], head.encode() + content + b"\r\n--b0--\r\n"


def cookie(answer: Answer, name: str) -> str:
    """The value of a cookie that an answer sets."""
    values = [line.partition(";")[0].partition("=") for line in answer.headers.get("set-cookie", "").split("\n")]
    return next(value for key, _, value in values if key == name)


@dataclass
class Tab:
    """A tab of the dashboard. `seen`: every message of the last run of the script, as it was sent."""

    url: str
    origin: str | None = ""  # "" = the truth, None = none
    host: str = ""  # what the Host header says, "" = the truth
    headers: dict[str, str] = field(default_factory=dict)
    xsrf: str = ""
    seen: list[ForwardMsg] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)  # key of a widget -> its id
    states: dict[str, WidgetState] = field(default_factory=dict)
    session: str = ""
    page: str = ""
    asked: int = 0  # uploads so far
    sent: list[bytes] = field(default_factory=list)  # every message since it was opened

    def open(self, page: str = "", query: str = "") -> Tab:
        """Connects and draws the page once."""
        parts = urlsplit(self.url)
        origin: Any = self.url if self.origin == "" else self.origin
        cookies = self.headers.get("Cookie", "")
        if "_streamlit_xsrf=" not in cookies:  # a browser of its own: it finds no draft of another's
            cookies = "; ".join(filter(None, (cookies, f"_streamlit_xsrf=2|00|{uuid4().hex}|1")))
        address = f"ws://{self.host or parts.netloc}{parts.path.rstrip('/')}{STREAM}"
        protocols: Any = ["streamlit", *([self.xsrf] if self.xsrf else [])]
        self.socket: ClientConnection = connect(
            address, origin=origin, subprotocols=protocols, open_timeout=WAIT,
            additional_headers={**self.headers, "Cookie": cookies}, max_size=None, proxy=None,
            sock=socket.create_connection((parts.hostname, parts.port), WAIT),
        )
        self.page = page
        return self.run(query=query)

    def close(self) -> None:
        self.socket.close()

    def run(self, query: str = "", fragment: str = "", **widgets: Any) -> Tab:
        """Sets widgets (by key, `__` for a dot) and draws the page again. True clicks a button."""
        for key, value in widgets.items():
            self.set(key.replace("__", "."), value)
        message = BackMsg()
        rerun = message.rerun_script
        rerun.query_string, rerun.page_name, rerun.fragment_id = query, self.page, fragment
        rerun.widget_states.widgets.extend(self.states.values())
        self.socket.send(message.SerializeToString())
        for key in [key for key, state in self.states.items() if state.WhichOneof("value") == "trigger_value"]:
            del self.states[key]
        return self.listen(bool(fragment))

    def set(self, key: str, value: Any) -> None:
        """What the front-end would send for a widget; for a choice that is its word (ui/shared/keyed.py)."""
        state = WidgetState(id=self.ids[key])
        if value is True:
            state.trigger_value = True
        elif isinstance(value, str):
            state.string_value = value
        elif isinstance(value, list):
            state.string_array_value.data.extend(value)
        else:
            state.MergeFrom(value)
        self.states[key] = state

    def listen(self, fragment: bool = False) -> Tab:
        """Everything until the script has finished (and was not started again). fragment: whether a fragment was asked
        for; else those that the server draws anew by itself are passed over."""
        self.seen = []
        passed = {ForwardMsg.FINISHED_EARLY_FOR_RERUN}
        if not fragment:
            passed.add(ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)
        while True:
            message = ForwardMsg()
            self.sent.append(data := self.socket.recv(WAIT, decode=False))
            message.ParseFromString(data)
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.seen, self.session = [], message.new_session.initialize.session_id
            self.seen.append(message)
            if kind == "delta":
                self.learn(message)
            if kind == "script_finished" and message.script_finished not in passed:
                return self

    def learn(self, message: ForwardMsg) -> None:
        """Notes the ids of widgets; an id ends with the widget's key, the newest of a name counts (`keyed`)."""
        for shown in (message.delta.new_element, message.delta.add_block):
            kind = shown.WhichOneof("type")
            found = getattr(getattr(shown, kind), "id", "") if kind else ""
            if isinstance(found, str) and found.startswith("$$ID-"):
                self.ids[found.split("-", 2)[2].strip()] = found

    def upload(self, key: str, name: str, content: bytes, kind: str = "text/yaml") -> Answer:
        """Puts a file into an uploader, as the front-end does: over HTTP, then as the widget's state."""
        token = cookie(ask(self.url, "/_stcore/health"), "_streamlit_xsrf")
        self.asked += 1
        path = f"/_stcore/upload_file/{self.session}/{self.asked}"
        headers, body = multipart(name, content, kind)
        headers += [("X-Xsrftoken", token), ("Cookie", f"_streamlit_xsrf={token}"), ("Origin", self.url)]
        answer = ask(self.url, path, "PUT", headers, body)
        if answer.status == 204:
            state = WidgetState()
            info = state.file_uploader_state_value.uploaded_file_info.add(name=name, size=len(content))
            info.file_id = info.file_urls.file_id = str(self.asked)
            info.file_urls.upload_url = info.file_urls.delete_url = path
            self.run(**{key.replace(".", "__"): state})
        return answer

    def downloads(self) -> list[bytes]:
        """What the download buttons of the last run give."""
        paths = [m.delta.new_element.download_button.url for m in self.seen if m.WhichOneof("type") == "delta"]
        return [ask(self.url, path).body for path in paths if path.startswith("/media/")]

    @property
    def wire(self) -> bytes:
        """All that the last run sent."""
        return b"".join(message.SerializeToString() for message in self.seen)

    @property
    def drawn(self) -> bytes:
        """The same without the fields in which text is typed: those hold what this tab's user typed."""
        fields = ("text_input", "text_area")
        drawn = [m for m in self.seen if m.delta.new_element.WhichOneof("type") not in fields]
        return b"".join(message.SerializeToString() for message in drawn)

    def shows(self, text: str) -> bool:
        """Whether a text is in what the last run sent."""
        return text.encode() in self.wire or json.dumps(text)[1:-1].encode() in self.wire  # what a part is sent is JSON

    def has_shown(self, text: str) -> bool:
        """Whether a text is in what was sent since the tab was opened: a log sends only its new lines, and the server
        may have drawn them by itself."""
        return any(text.encode() in data or json.dumps(text)[1:-1].encode() in data for data in self.sent)
