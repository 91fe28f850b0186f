"""What a fork of the warm process does to be what a fresh interpreter would be. Standard library only.

Only the order of sets is that of the warm process: Python's hash seed cannot be drawn again.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import runpy
import signal
import socket
import sys
import threading
from typing import Any, NoReturn

from lfdash.llamafactory.scripts.warm_same import OFFLINE, Same, is_later, say, take
from lfdash.supervisor.failpoints import hit

SPACE = "LFDASH_WARM_SPACE"  # a variable that only keeps room in the block of the environment
MARKER = "LFDASH_RUN"  # lfdash/supervisor/processes.py
LARGEST = 1 << 22  # bytes of a request
PR_SET_NAME = 15


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """A line of JSON and the descriptors that came with it; ({}, []) when the other end was closed before."""
    data = b""
    handles: list[int] = []
    while not data.endswith(b"\n"):
        part, found = take(connection, 1 << 16, 4)
        handles += found
        data += part
        if not part or len(data) > LARGEST:
            for handle in handles:
                os.close(handle)
            return {}, []
    request: dict[str, Any] = json.loads(data)
    return request, handles


def close_all_but(*kept: int) -> None:
    """Closes every descriptor from 3 on, as `subprocess` does, but some."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                continue  # that of the listing itself


def to_background(log: int) -> None:
    """A session of its own, no terminal, what is printed into a log."""
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDONLY)
    for number, handle in enumerate((null, log, log)):
        os.dup2(handle, number)
    os.close(null)


def set_environment(env: dict[str, str], free: frozenset[str]) -> None:
    """Makes the environment that of the asker; what the imports have set stays, as it would in a fresh interpreter.

    free: variables that may differ beside those of warm_same.py.
    """
    for name in {*os.environ, *env}:
        if is_later(name) or name == OFFLINE or name in free:
            os.environ.pop(name, None)
            if name in env:
                os.environ[name] = env[name]


def offline() -> None:
    """Tells the modules that read HF_HUB_OFFLINE at their import (huggingface_hub/constants.py, transformers'
    utils/hub.py)."""
    for module, name in (
        ("huggingface_hub.constants", "HF_HUB_OFFLINE"), ("transformers.utils.hub", "_is_offline_mode"),
        ("datasets.config", "HF_HUB_OFFLINE"),
    ):
        if hasattr(sys.modules.get(module), name):
            setattr(sys.modules[module], name, True)


def new_chance() -> None:
    """Draws numpy's chance again; Python's own is at each fork."""
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()


def as_script(path: str) -> None:
    """The first folder on the path is the script's, as an interpreter has it that is started with it."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.path.dirname(os.path.realpath(path))


# -- what /proc tells -----------------------------------------------------------------------------------


def blocks() -> tuple[int, int, int, int]:
    """Where this process's words and environment lie, as /proc/PID/cmdline and environ read them."""
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    begin, end, env_begin, env_end = (int(word) for word in fields[45:49])
    return begin, end, env_begin, env_end


def mark(marker: str) -> None:
    """Puts the run's marker into the room that SPACE has kept, where /proc/PID/environ shows it: by it a run's
    processes are found. ValueError when there is no such room."""
    _, _, begin, end = blocks()
    block = ctypes.string_at(begin, end - begin)
    place = block.find(f"{SPACE}=".encode())
    room = block.find(b"\0", place) - place
    text = f"{MARKER}={marker}".encode("utf-8", "surrogateescape")
    if place < 0 or (place and block[place - 1]) or len(text) >= room:
        raise ValueError(f"no room for the marker of {len(text)} bytes")
    ctypes.memmove(begin + place, text.ljust(room, b"\0"), room)
    with open("/proc/self/environ", "rb") as file:
        if text not in file.read().split(b"\0"):
            raise ValueError("the marker does not show")


def rename(words: list[str]) -> None:
    """Makes the words that /proc/PID/cmdline and `ps` show those of the script."""
    begin, end, _, _ = blocks()
    text = b"\0".join(word.encode("utf-8", "surrogateescape") for word in words)[: end - begin - 1]
    ctypes.memmove(begin, text.ljust(end - begin, b"\0"), end - begin)
    name = os.path.basename(words[1]).encode("utf-8", "surrogateescape")
    ctypes.CDLL(None).prctl(PR_SET_NAME, ctypes.c_char_p(name), 0, 0, 0)


# -- questions ------------------------------------------------------------------------------------------


def answer(
    request: dict[str, Any], connection: socket.socket, handles: list[int], script: str, same: Same
) -> NoReturn:
    """This fork runs a program of this folder, with the asker's three streams; or says that it is not to."""
    os.setsid()
    for number, handle in enumerate(handles):
        os.dup2(handle, number)
        os.close(handle)
    os.chdir(request["cwd"])
    set_environment(request["env"], same.free)
    why = same.unlike_for_question(request["env"])
    if why:
        say(connection, f"cold {why}")
        os._exit(0)
    connection.close()
    new_chance()
    if os.environ.get(OFFLINE):
        offline()
    carry_out([script, *request["arguments"]])


# -- a run ----------------------------------------------------------------------------------------------


def wait_for_supervisor(request: dict[str, Any], channel: socket.socket, same: Same) -> NoReturn:
    """This fork is the trainer once its parent, the supervisor, has said so twice: then it first makes itself what the
    parent's command would be, and says so; then it runs. Ends when the parent is gone before, or says nothing."""
    try:
        hit("warm.child_waits")
        order, handles = receive(channel)
        if not order:
            os._exit(0)
        become(order, handles[0])
        words = order["argv"]
        why = same.unlike_for_run(words[1], request["env"])
    except BaseException as error:  # noqa: BLE001 - nothing of the run has begun: the supervisor starts it cold
        why = f"{type(error).__name__}: {error}"
    if why:
        say(channel, f"cold {why}")
        os._exit(0)
    hit("warm.child_ready")
    say(channel, "ready")
    if channel.recv(1) != b"!":
        os._exit(0)
    channel.close()
    hit("warm.child_runs")
    carry_out(words)


def become(order: dict[str, Any], log: int) -> None:
    """A session of its own, the run's folder, streams, environment, words and marker."""
    to_background(log)
    os.close(log)
    os.chdir(order["cwd"])
    # The supervisor handles these, so that what it executes has them back; a dashboard of `nohup` ignores some.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR2, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.environ[MARKER] = order["marker"]
    if order["no_core"]:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    mark(order["marker"])
    rename([sys.executable, *order["argv"]])
    new_chance()


def carry_out(words: list[str]) -> NoReturn:
    """Runs `python *words`, and ends as that does."""
    sys.argv = list(words)
    raised: BaseException | None = None
    try:
        runpy.run_path(words[0], run_name="__main__")
    except BaseException as error:  # noqa: BLE001 - told as an interpreter does
        raised = error
    end(raised, words[0])


def end(error: BaseException | None, script: str) -> NoReturn:
    """Ends as an interpreter does after a script, but for taking all its modules apart (2 s of a core).

    error: what the script raised; told from the script's own line on.
    """
    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if error.code is not None and not isinstance(error.code, int):
            sys.stderr.write(f"{error.code}\n")
    elif error is not None:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename != script:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # of a full disk: an interpreter ends with 120 then
            code = code or 120
    if isinstance(error, KeyboardInterrupt):  # an interpreter then ends by the signal itself
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code & 0xFF)
