"""Who listens on a TCP port of this machine, as /proc tells it (Linux; format: proc_net_tcp in the kernel's docs)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LISTEN, ESTABLISHED = "0A", "01"  # tcp_states.h
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


@dataclass(frozen=True)
class Socket:
    """A TCP socket of this machine. address: as in /proc, hexadecimal; inode: tells whose it is."""

    address: str
    port: int
    state: str
    inode: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it: 127.x.y.z, ::1, or the first within IPv6."""
        if len(self.address) == 8:
            return self.address.endswith("7F")  # the bytes stand in the order of this processor
        return self.address == "0" * 24 + "01000000" or (
            self.address.startswith("0000000000000000FFFF0000") and self.address.endswith("7F")
        )


def sockets(port: int | None = None) -> Iterator[Socket]:
    """The sockets on a local port; None: on any. OSError when that cannot be seen."""
    for table in TABLES:
        try:
            with open(table, encoding="ascii") as file:
                lines = file.readlines()[1:]
        except FileNotFoundError:
            if table == TABLES[0]:
                raise
            continue  # a kernel without IPv6
        for line in lines:
            words = line.split()
            address, _, number = words[1].partition(":")
            if port is None or int(number, 16) == port:
                yield Socket(address, int(number, 16), words[3], int(words[9]))


def inodes_of(pids: Iterable[int]) -> set[int]:
    """The inodes of the sockets that processes have open, as far as they can be seen."""
    found: set[int] = set()
    for pid in pids:
        folder = f"/proc/{pid}/fd"
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            try:
                target = os.readlink(f"{folder}/{name}")
            except OSError:
                continue
            if target.startswith("socket:["):
                found.add(int(target[8:-1]))
    return found
