"""A port for torchrun's rendezvous that no other run has: LLaMA-Factory chooses one by binding and letting go
(launcher.py, find_available_port), so two runs that start together can choose the same."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Collection

FIRST, LAST = 20_000, 32_000  # below the range from which the kernel gives ports away by itself


def master_port(run_id: str, taken: Collection[int]) -> int:
    """A port that is free now and not among `taken`. Different runs begin to look at different places.

    Raises OSError when every port is in use.
    """
    size = LAST - FIRST
    begin = zlib.crc32(run_id.encode()) % size
    for step in range(size):
        port = FIRST + (begin + step) % size
        if port not in taken and free(port):
            return port
    raise OSError(f"no free port from {FIRST} to {LAST}")


def free(port: int) -> bool:
    """Whether nobody listens on a port, on any address of this machine."""
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
