"""A port that no other run has."""

from __future__ import annotations

import socket

from lfdash.queue.ports import free, master_port


def test_a_port_in_use_is_not_given() -> None:
    first = master_port("x", ())
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", first))
        busy.listen()
        assert not free(first)
        second = master_port("x", ())
        assert second != first and master_port("x", {second}) not in (first, second)
