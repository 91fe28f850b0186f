"""Whether a fork of the warm process is what a fresh interpreter would be. Standard library only."""

from __future__ import annotations

import array
import os
import re
import socket
import struct
import sys
import threading
from typing import Any

from lfdash.llamafactory.scripts.warm_devices import Devices

# Read when a run begins, or never. Any other variable may be read by an import (HF_*, TRANSFORMERS_*, CUDA_*, OMP_*,
# LD_*, PYTHON*, ...): it must be what it was then.
LATER = ("LFDASH_", "LLAMABOARD_", "PYTEST_")
LATER_NAMES = frozenset({"PATH", "PWD", "OLDPWD", "SHLVL", "_", "COLUMNS", "LINES", "RECORD_VRAM"})
# Read by CUDA's driver at its start, which is in the fork. Not by ROCm's for certain, so there they are compared.
# PYTORCH_CUDA_ALLOC_CONF is none of these: torch reads it when its library is loaded (c10/cuda).
OF_DRIVER = frozenset({"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"})
# A question may be asked without a hub: set_environment (warm_fork.py) says so to what read it at its import.
OFFLINE = "HF_HUB_OFFLINE"
# A driver that is open in this process does not survive a fork. nvidiactl alone is the monitoring library's.
DEVICES = re.compile(r"/dev/(nvidia-uvm|kfd|davinci|xpu)")
TOLD = 5  # variables by name
TRAINING = "train"  # the command of llamafactory-cli that starts torchrun by itself


def is_later(name: str) -> bool:
    """Whether a variable may differ from what it was when the modules were imported."""
    return name in LATER_NAMES or name.startswith(LATER)


def say(connection: socket.socket, text: str) -> None:
    """Sends a line; who does not listen any more does not want it."""
    try:
        connection.sendall(text.replace("\n", " ").encode("utf-8", "replace") + b"\n")
    except OSError:
        pass


def take(connection: socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """Bytes and descriptors that are not handed down (`socket.recv_fds` of Python 3.11 drops its flags)."""
    handles = array.array("i")
    space = socket.CMSG_LEN(most * handles.itemsize)
    data, notes, _, _ = connection.recvmsg(size, space, socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in notes:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            handles.frombytes(content[: len(content) - len(content) % handles.itemsize])
    return data, list(handles)


def no_script(cli: str) -> str:
    """Why a llamafactory-cli cannot be run in a fork of this interpreter: it is no Python, or starts one with options
    of its own; "" when it can."""
    try:
        with open(cli, encoding="utf-8") as file:
            text = file.read()
        compile(text, cli, "exec")
    except (OSError, ValueError, SyntaxError) as error:
        return f"{cli}: {type(error).__name__}"
    first = text.partition("\n")[0]
    return f"{cli}: options of its interpreter" if " -" in first else ""


def limits() -> dict[str, object]:
    """What a process hands down to those that it starts and that is no environment: limits, umask, processors."""
    import resource

    names = sorted(name for name in dir(resource) if name.startswith("RLIMIT_"))
    with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
        umask = next((line.split()[1] for line in file if line.startswith("Umask:")), "")
    found = {name: list(resource.getrlimit(getattr(resource, name))) for name in names}
    return {**found, "umask": umask, "processors": sorted(os.sched_getaffinity(0))}


def stamp(path: str) -> tuple[int, ...]:
    """What changes when a file or a folder does; () where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def free(started: dict[str, str]) -> frozenset[str]:
    """The variables of the driver that a fork may set for itself. None where torch is not there, or is ROCm's; not one
    that an import has set.

    started: the environment before the imports.
    """
    torch = sys.modules.get("torch")
    if torch is None or getattr(getattr(torch, "version", None), "hip", None) is not None:
        return frozenset()
    return frozenset(name for name in OF_DRIVER if os.environ.get(name) == started.get(name))


def other(started: dict[str, str], env: dict[str, str]) -> set[str]:
    """The variables that differ."""
    return {name for name in {*started, *env} if started.get(name) != env.get(name)}


class Same:
    """What this process was when it had imported everything.

    cli: the llamafactory-cli. started: its environment before the imports. began: epoch seconds, before them. devices:
    what they asked of the devices.
    """

    def __init__(self, cli: str, started: dict[str, str], began: float, devices: Devices) -> None:
        self.cli = cli
        self.started = started
        self.devices = devices
        self.free = free(started)  # variables that may differ
        files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        folders = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
        self._stamps = {path: stamp(path) for path in [cli, *folders, *files] if isinstance(path, str)}
        late = {path for path, mark in self._stamps.items() if mark and mark[3] > began * 1e9}
        self._changed = next(iter(late - set(folders)), "")  # while it was read

    def unfit(self) -> str:
        """Why no fork can be made any more; "" when it can. Takes 20 ms: each file that was imported is looked at."""
        changed = self._changed or next((path for path, mark in self._stamps.items() if stamp(path) != mark), "")
        if changed:
            return f"changed: {changed}"
        if threading.active_count() > 1:
            return f"threads: {', '.join(thread.name for thread in threading.enumerate())}"
        return self.touched()

    def touched(self) -> str:
        """Which device was touched here; "" for none."""
        torch = sys.modules.get("torch")
        for name in ("cuda", "xpu"):
            if torch is not None and getattr(torch, name).is_initialized():
                return f"{name} is initialised"
        for name in os.listdir("/proc/self/fd"):
            try:
                opened = DEVICES.match(os.readlink(f"/proc/self/fd/{name}"))
            except OSError:
                continue  # that of the listing itself
            if opened:
                return f"{opened[0]} is open"
        return ""

    def hindrance(self, request: dict[str, Any], connection: socket.socket) -> str:
        """Why a fork would not be what the asker would start by itself; "" when it is."""
        _, user, group = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if (user, group) != (os.geteuid(), os.getegid()):
            return "another user"
        env = request["env"]
        names = sorted(name for name in other(self.started, env) - self.free if not is_later(name))
        if request["what"] == "question":
            names = [name for name in names if name != OFFLINE or name not in env]
        elif request["argv"][0] != self.cli:
            return "another llamafactory-cli"
        if names:
            return f"environment: {', '.join(names[:TOLD])}"
        ours = limits()
        return ", ".join(name for name, value in request["limits"].items() if ours.get(name) != value)

    def unlike(self, env: dict[str, str]) -> str:
        """Asked in a fork that has this environment: which device is another than the imports were told, or cannot be
        used by a fork; "" for none."""
        cuda = getattr(sys.modules.get("torch"), "cuda", None)
        forked = getattr(cuda, "_is_in_bad_fork", lambda: False)
        # torch was asked past warm_devices.py: it keeps that answer for good (c10::cuda::device_count)
        if cuda is not None and forked() and (self.free & other(self.started, env) or cuda.is_available()):
            return "cuda was asked before"
        return self.devices.differ()

    def unlike_for_question(self, env: dict[str, str]) -> str:
        """As `unlike`, for a fork that computes nothing: it asks only where its environment names other devices."""
        return self.unlike(env) if self.free & other(self.started, env) else ""

    def unlike_for_run(self, command: str, env: dict[str, str]) -> str:
        """As `unlike`; also, whether LLaMA-Factory would start torchrun for that command (launcher.py)."""
        misc = sys.modules.get("llamafactory.extras.misc")
        if command == TRAINING and misc is not None:
            count = misc.get_device_count()
            if count > 1:
                return f"{count} devices"
        return self.unlike(env)
