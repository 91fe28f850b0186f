"""A local web server that alerts are sent to: it keeps what it gets."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver:
    """got: the bodies, in order. status: what is answered. where: to where it redirects. hold: no answer until it is
    set. breaks: whether the connection ends without an answer."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status, self.where, self.breaks = 200, "", False
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.got.append(json.loads(body or b"{}"))
                receiver.hold.wait(20)
                if receiver.breaks:
                    return
                self.send_response(receiver.status)
                if receiver.where:
                    self.send_header("Location", receiver.where)
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    @property
    def url(self) -> str:
        """Its address for Apprise, with something in it that nobody may see."""
        return f"json://person:hush-hush@127.0.0.1:{self.port}/secret-path"

    @property
    def titles(self) -> list[str]:
        return [str(body["title"]) for body in self.got]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver, until the `with` ends."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.hold.set()
        receiver.server.shutdown()
        receiver.server.server_close()
        thread.join()
