"""Browser tabs without a browser: Streamlit's own websocket protocol, ticks included. Twenty cost no memory."""

from __future__ import annotations

import threading
import time

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


class Tab:
    """A session of the page: asks for it, takes what comes, and ticks as often as the page wants its fragments to."""

    def __init__(self, url: str) -> None:
        self.socket = connect(
            url.replace("http", "ws") + "/_stcore/stream", origin=url, subprotocols=["streamlit"], max_size=None  # type: ignore
        )
        self.finished = 0  # runs of the script that ended well
        self.failed = 0
        self.texts = ""
        self._due: dict[str, tuple[float, float]] = {}  # fragment -> interval, next
        self._thread = threading.Thread(target=self._live, daemon=True)
        self.ask()
        self._thread.start()

    def ask(self, fragment: str = "") -> None:
        """Runs the script, or one of its fragments."""
        message = BackMsg()
        message.rerun_script.query_string = ""
        if fragment:
            message.rerun_script.fragment_id = fragment
            message.rerun_script.is_auto_rerun = True
        self.socket.send(message.SerializeToString())

    def clear_cache(self) -> None:
        """What the key C does, after its dialog."""
        message = BackMsg()
        message.clear_cache = True
        self.socket.send(message.SerializeToString())

    def _live(self) -> None:
        while True:
            try:
                data = self.socket.recv(timeout=0.1)
            except TimeoutError:
                self._tick()
                continue
            except ConnectionClosed:
                return
            assert isinstance(data, bytes)
            self._take(ForwardMsg.FromString(data))
            self._tick()

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "script_finished":
            good = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)
            self.finished += message.script_finished in good
        elif kind == "auto_rerun":
            interval = message.auto_rerun.interval
            self._due = {message.auto_rerun.fragment_id: (interval, time.monotonic() + interval)}
        elif kind == "delta" and message.delta.new_element.WhichOneof("type") == "exception":
            self.failed += 1
        elif kind == "delta":
            self.texts = (self.texts + str(message.delta.new_element))[-200_000:]

    def _tick(self) -> None:
        for fragment, (interval, when) in list(self._due.items()):
            if time.monotonic() >= when:
                self._due[fragment] = (interval, time.monotonic() + interval)
                self.ask(fragment)

    def close(self) -> None:
        self.socket.close()
        self._thread.join(10)
