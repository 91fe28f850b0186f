"""LLaMA-Factory kept warm: one process beside a dashboard that has imported it and forks for each request.

It is started when somebody opens a page that may need it, and ends after IDLE_S without such a page or with its
dashboard.
Nothing depends on it: what it does not answer in time, or does not answer for, is done by a fresh interpreter.

The program is `scripts/warm.py`. It is reached by a socket without a name: nobody else can ask it, and no file is left.
"""

from __future__ import annotations

import json
import logging
import math
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import psutil

from lfdash.llamafactory.ask import HIDDEN, SCRIPTS
from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.scripts.warm_same import limits, take
from lfdash.outcomes import Refused
from lfdash.supervisor.processes import MARKER

VARIABLE = "LFDASH_WARM"  # "never": no such process; anything else: when it is worth it
# What every command of LLaMA-Factory imports, and what a training does.
MODULES = ("llamafactory.cli", "llamafactory.launcher", "llamafactory.train.tuner", "llamafactory.extras.misc")
IDLE_S = 900.0  # after which it ends when no page wanted it
AGAIN_S = 300.0  # before it is tried again where it could not be started
ROOM = 4 << 30  # bytes of main memory that must be free: it takes one, and a run more
ANSWER_S = 2.0  # in which a start must be taken: it takes 0.05 s
HELD_S = 60.0  # between two looks at its memory, 10 ms each
LOOK_S = 1.0  # between two looks at whether it is still wanted
PADDING = 8192  # bytes kept for the words and the marker of a run (scripts/warm_fork.py)
SPACE = "LFDASH_WARM_SPACE"

State = Literal["off", "starting", "ready", "unfit"]
logger = logging.getLogger(__name__)


class Warm:
    """The warm process of one dashboard. All methods may be called from any thread, and none waits for the imports.

    cli: the llamafactory-cli that it stands for. folder: where it is started. setting: LFDASH_WARM. hidden: variables
    that neither it nor a run gets. allowed: whether it is wanted by the workspace's setting now. memory: (used, total)
    bytes of what this machine or container has. modules, idle, room: for tests.
    """

    def __init__(
        self, cli: Cli | Refused, folder: Path, setting: str = "", *, hidden: Sequence[str] = (),
        memory: Callable[[], tuple[int, int]] | None = None, modules: Sequence[str] = MODULES, idle: float = IDLE_S,
        room: int = ROOM, allowed: Callable[[], bool] = lambda: True,
    ) -> None:
        self.never = setting.strip().lower() == "never" or not isinstance(cli, Cli) or cli.python is None
        self.state: State = "off"
        self.why = ""  # it is off or unfit
        self.pid = 0
        self.held: int | None = None  # bytes of main memory, as of HELD_S ago at most
        self._cli, self._folder, self._hidden = cli, folder, {*hidden, *HIDDEN, MARKER}
        self._modules, self._idle, self._room, self._memory = modules, idle, room, memory or of_machine
        self._allowed = allowed
        self._lock = threading.Lock()
        self._wanted = 0.0  # by the monotonic clock
        self._not_before = 0.0
        self._control: socket.socket | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    # -- its life ---------------------------------------------------------------------------------------

    def want(self) -> None:
        """A page is open that may need it: starts it in the background, unless it is there, or was said never to be."""
        if self.never or self._closing.is_set() or not hasattr(os, "pidfd_open") or not self._allowed():
            return
        now = self._wanted = time.monotonic()
        with self._lock:
            if (self._thread is not None and self._thread.is_alive()) or now < self._not_before:
                return
            used, total = self._memory()
            if total - used < self._room:
                self.why = "memory"
                return
            self.state = "starting"
            # the thread lives as long as the process: the kernel ends that with the thread that has started it
            self._thread = threading.Thread(target=self._live, name="lfdash-warm-process", daemon=True)
            self._thread.start()

    def let_go(self) -> None:
        """It is not wanted any more: it ends within LOOK_S, and is started again when it is wanted. Its runs go on."""
        self._wanted = -math.inf

    def close(self) -> None:
        """Ends it, and waits for that. Runs that it forked go on."""
        self._closing.set()
        thread = self._thread
        if thread is not None:
            thread.join(10)

    def _live(self) -> None:
        ours, theirs = socket.socketpair()
        said = "it could not be started"
        try:
            with theirs:
                process = self._start(theirs)
            self.pid = process.pid
            said = self._listen(ours)
        except OSError as error:
            said = f"{type(error).__name__}: {error}"
        finally:
            with self._lock:
                self._control = self.held = None
                self.state, self.why = ("unfit", said) if said else ("off", "")
                self._not_before = time.monotonic() + (AGAIN_S if said and not said.startswith("changed") else 0)
            ours.close()
            if self.pid:
                process.kill()
                process.wait()
                self.pid = 0
        if said:
            logger.warning("LLaMA-Factory is not kept warm: %s", said)

    def _start(self, theirs: socket.socket) -> subprocess.Popen[bytes]:
        assert isinstance(self._cli, Cli) and self._cli.python is not None
        env = {name: value for name, value in os.environ.items() if name not in self._hidden}
        program = str(SCRIPTS / "warm.py")
        words = [self._cli.python, program, str(theirs.fileno()), str(os.getpid()), self._cli.path, *self._modules]
        return subprocess.Popen(
            [*words, " " * PADDING], env={SPACE: " " * PADDING, **env}, cwd=self._folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, pass_fds=[theirs.fileno()],
        )

    def _listen(self, ours: socket.socket) -> str:
        """Until it ends, or is not wanted any more; why it ended by itself, "" else."""
        ours.settimeout(LOOK_S)
        heard, looked = b"", 0.0
        while True:
            if self.state == "ready" and time.monotonic() - looked > HELD_S:
                looked, self.held = time.monotonic(), self.memory()
            line, newline, rest = heard.partition(b"\n")
            if newline:
                heard = rest
                if line != b"ready":
                    return line.decode("utf-8", "replace").removeprefix("unfit ")
                with self._lock:
                    self._control, self.state = ours, "ready"
            if self._closing.is_set() or time.monotonic() - self._wanted > self._idle:
                return ""
            with suppress(TimeoutError):
                part = ours.recv(4096)
                if not part:
                    return heard.decode("utf-8", "replace") or "it ended"
                heard += part

    def memory(self) -> int | None:
        """Bytes of main memory that it takes, those shared with its forks divided among them; None without it."""
        pid = self.pid
        try:
            return int(psutil.Process(pid).memory_full_info().pss) if pid else None
        except (psutil.Error, AttributeError):
            return None

    # -- requests ---------------------------------------------------------------------------------------

    def _connect(self, request: Mapping[str, Any], handles: Sequence[int]) -> socket.socket | None:
        """Asks for something; None when it cannot be asked now."""
        ours, theirs = socket.socketpair()
        data = json.dumps(request).encode() + b"\n"
        with theirs:
            try:
                ours.settimeout(ANSWER_S)
                # all of it is there before it is known of: it must not wait for who asks
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(data) + 4096)
                socket.send_fds(ours, [b" "], handles)
                if ours.send(data, socket.MSG_DONTWAIT) < len(data):
                    raise OSError("too long to be sent at once")
                with self._lock:
                    control = self._control
                    if control is None:
                        raise OSError("it is not there")
                    socket.send_fds(control, [b"r"], [theirs.fileno()], socket.MSG_DONTWAIT)
            except OSError:
                ours.close()
                return None
        return ours

    def answer(
        self, script: str, arguments: Sequence[str], env: Mapping[str, str], cwd: Path | None, timeout: float,
        streams: tuple[int, int, int],
    ) -> int | None:
        """The exit code of a program of `scripts/` that a fork ran; None where a fresh interpreter must.

        streams: its descriptors 0, 1 and 2. TimeoutError: it was begun, did not end in so many seconds, and is ended.
        """
        request = {
            "what": "question", "script": script, "arguments": list(arguments), "env": dict(env),
            "cwd": str(cwd or os.getcwd()), "limits": {},
        }
        connection = self._connect(request, streams)
        if connection is None:
            return None
        with connection:
            try:
                if line_of(connection)[0] != "taken":
                    return None
            except OSError:  # nothing in ANSWER_S, too; it then finds this end closed, and begins nothing
                return None
            connection.settimeout(timeout)
            try:
                word = line_of(connection)[0]
            except ConnectionError:
                return None
        return int(word.removeprefix("done ")) if word.startswith("done ") else None

    def supervise(self, command: Sequence[str], env: Mapping[str, str], cli: str, log: int) -> tuple[int, int] | None:
        """Pid and pidfd of a supervisor with a trainer; None where it must be started in the usual way. At most one of
        both starts the run, whatever happens here: the right to start an attempt is one file (supervisor/records.py).

        command: the supervisor's. env: of the run. cli: its llamafactory-cli. log: where the supervisor prints.
        """
        request = {
            "what": "run", "supervisor": list(command), "env": dict(env), "argv": [cli], "limits": limits(),
        }
        connection = self._connect(request, [log])
        if connection is None:
            return None
        with connection:
            handles: list[int] = []
            try:
                word, handles = line_of(connection)
                pid = int(word.removeprefix("pid ")) if word.startswith("pid ") and len(handles) == 1 else 0
                # its end closes when it becomes the supervisor, and when it dies
                if pid and not connection.recv(1) and became(pid, handles[0], command):
                    return pid, handles[0]
            except OSError:
                pass  # nothing in ANSWER_S, too
        for handle in handles:
            os.close(handle)
        return None


def of_machine() -> tuple[int, int]:
    """(used, total) bytes of the machine's main memory."""
    machine = psutil.virtual_memory()
    return machine.total - machine.available, machine.total


def became(pid: int, pidfd: int, command: Sequence[str]) -> bool:
    """Whether a process is a program by now; False when it has ended, and when it does not become it in ANSWER_S."""
    words = b"\0".join(map(os.fsencode, command))
    end = select.poll()
    end.register(pidfd, select.POLLIN)
    until = time.monotonic() + ANSWER_S
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(words):
                return True
        except OSError:
            return False
        if end.poll(1):  # a millisecond: the kernel has closed its files before it tells of its end, or its new words
            return False
    return False


def line_of(connection: socket.socket) -> tuple[str, list[int]]:
    """A line and the descriptors beside it; "" at the end. OSError, TimeoutError."""
    data = b""
    handles: list[int] = []
    while not data.endswith(b"\n"):
        part, found = take(connection, 1 << 12, 1)
        handles += found
        if not part:
            break
        data += part
    return data.decode("utf-8", "replace").strip(), handles

