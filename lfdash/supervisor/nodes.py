"""A run on several nodes: the supervisor on the first one starts `srun` (on Ray: ray_nodes.py), and that one on each
node.

What srun starts is no descendant of whoever called it, and it passes no SIGABRT on. So each node has a supervisor of
its own beside its part of the training (NodeShim): it sees the wish in the attempt's folder, as the first one
(NodesShim) does, and carries it out on its node. The first one alone writes what the dashboard reads. Standard library
only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

from lfdash.supervisor.processes import MARKER, descendants, kill
from lfdash.supervisor.remote import sealed_of, take_sealed
from lfdash.supervisor.shim import PR_SET_CHILD_SUBREAPER, Shim, leave_no_core

PR_SET_PDEATHSIG = 1
RANK = "LFDASH_NODE_RANK"  # which node's part it is, where srun does not say it
KILL_S = 5.0  # for the nodes to end their parts, before srun is ended
FIRST, EACH = "--nodes", "--node"  # on the command line


class NodesShim(Shim):
    """Supervises srun: a wish is carried out on the nodes; one that came by a signal is left there for them."""

    def __init__(self, *args: object, **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        self.kill_at: float | None = None
        self.left = False  # whether the wish in the folder is of this process

    def pass_on(self, members: list[int], level: str) -> str:
        """Leaves it to the nodes; srun is ended with the last level alone, and only if that takes too long."""
        if self.asked_by and self.wished() is None:
            with suppress(OSError):
                os.rename(self.file("armed"), self.file("stop.graceful"))
                self.left = True
        if level == "kill":
            self.kill_at = time.monotonic() + KILL_S
        return "nodes"

    def note_ranks(self) -> None:
        """The ranks are on the nodes. Called with each look."""
        if self.kill_at is not None and time.monotonic() > self.kill_at:
            kill(descendants(os.getpid()))

    def publish(self, error: str | None) -> None:
        """The nodes may have carried a wish out before it was seen here."""
        wish = self.wished()
        if wish is not None and wish not in self.acted:
            self.acted.append(wish)
        super().publish(error)

    def stopped_by(self) -> str | None:
        return self.asked_by if self.left else super().stopped_by()


class NodeShim(Shim):
    """Supervises a node's part. Its output goes where srun's goes, and its exit code is the part's."""

    def main(self) -> None:
        """From the start to the exit code."""
        if self.spec.get("secrets"):
            leave_no_core()  # srun hands the first supervisor's limit on, Ray does not
        rank = os.environ.pop(RANK, None)
        if rank is not None:
            self.join_ray(rank)
        self.keep_guarded()
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.bell = self.hang_bell()
        self.heart.stop()
        number = os.environ.get("SLURM_PROCID", "0") if rank is None else rank
        env = {**os.environ, MARKER: self.spec["marker"], "NODE_RANK": number}
        try:
            process = subprocess.Popen(
                self.spec["argv"], cwd=self.spec["cwd"], env=env, stdin=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            sys.exit(f"{type(error).__name__}: {error}")
        process.returncode = 0  # reaped here, by pid
        self.child = process.pid
        self.watch()
        self.sweep()
        self.dismiss_guard()
        sys.exit(self.code() if self.code() >= 0 else 128 - self.code())

    def join_ray(self, rank: str) -> None:
        """What Ray does not do as srun does: this part ends with the process of Ray's that started it, and its secrets
        come by a file of its own."""
        parent = os.getppid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit("whoever started this part is gone")
        names = [str(name) for name in self.spec.get("sealed", [])]
        try:
            os.environ.update(take_sealed(self.folder, names, sealed_of(rank)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            sys.exit(f"the secrets of this run ({', '.join(names)}) cannot be read: {type(error).__name__}: {error}")

    def note_ranks(self) -> None:
        """Remembers this node's ranks; child.json is the first node's."""
        self.ranks.look()

    def wished(self) -> str | None:
        """The wish in the folder; a SIGTERM is srun's, which is to end."""
        level = super().wished()
        return "term" if self.asked_by == "signal" and level != "kill" else level

    def hide_secrets(self, last: bool = False) -> None:
        """The first node does."""


def kinds(words: list[str]) -> type[Shim]:
    """Which one a command line names."""
    return NodesShim if FIRST in words else NodeShim if EACH in words else Shim
