"""Who listens on a port, asked of the kernel with real sockets."""

from __future__ import annotations

import os
import socket

import pytest

from lfdash.machine.sockets import LISTEN, Socket, inodes_of, sockets


@pytest.mark.parametrize(("address", "loopback"), [("127.0.0.1", True), ("127.1.2.3", True), ("0.0.0.0", False)])
def test_a_listener_is_found_with_its_owner_and_its_reach(address: str, loopback: bool) -> None:
    with socket.socket() as listener:
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        (found,) = [one for one in sockets(port) if one.state == LISTEN]
        assert found.loopback is loopback and found.inode in inodes_of([os.getpid()])
    assert not [one for one in sockets(port) if one.state == LISTEN]


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("00000000000000000000000001000000", True), ("0000000000000000FFFF00000100007F", True),
     ("00000000000000000000000000000000", False), ("0000000000000000FFFF00000100000A", False)],
)
def test_addresses_of_ipv6(address: str, loopback: bool) -> None:
    assert Socket(address, 1, LISTEN, 1).loopback is loopback


def test_a_process_that_is_gone_has_no_sockets() -> None:
    assert inodes_of([2**22 + 1]) == set()
