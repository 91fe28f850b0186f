"""A program: an interpreter that has imported what is slow to import, and runs each script in a fork of itself.

`python preloaded.py FOLDER OWNER MODULE...` imports the modules and serves FOLDER/socket until the process OWNER is
gone. A request (of preloaded_python.py) brings the words of a command line, the working folder, the environment and
the descriptors 0, 1 and 2 of its caller. The answer is the exit code, -N for signal N, or "cold": the caller must
start an interpreter of its own, since a fork would not be the same run.

It must stay an interpreter of one thread that installs no handler of signals: what a fork would inherit of them, a
fresh interpreter does not have. What a script changes before it imports one of the modules (sys.stdout, sys.path)
comes too late here.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from typing import Any, NoReturn

STARTED = dict(os.environ)  # before anything is imported that reads or sets some of it
# Read when a run begins, or never. Any other variable may be read by an import: it must be what it was then.
LATER = ("LFDASH_", "LLAMABOARD_", "PYTEST_")
LATER_NAMES = {"PATH", "PWD", "OLDPWD", "SHLVL", "_", "COLUMNS", "LINES"}
LARGEST = 1 << 16  # bytes that are read at once


def is_later(name: str) -> bool:
    """Whether a variable may differ from what it was when the modules were imported."""
    return name in LATER_NAMES or name.startswith(LATER)


def hindrance(request: dict[str, Any]) -> str:
    """Why a fork would not be the same run as a fresh interpreter; "" when it is."""
    words, env = request["words"], request["env"]
    if not words or (words[0].startswith("-") and words[0] != "-m"):
        return "options of the interpreter"
    return " ".join(
        sorted(name for name in {*STARTED, *env} if not is_later(name) and STARTED.get(name) != env.get(name))
    )


# -- the server -----------------------------------------------------------------------------------------


def listen(folder: str) -> socket.socket:
    """The socket of the folder; it appears under its name once it can be asked."""
    os.chdir(folder)  # a path to a socket must be short
    found = socket.socket(socket.AF_UNIX)
    found.bind("socket.new")
    found.listen(64)
    os.rename("socket.new", "socket")
    return found


def serve(folder: str, owner: int) -> dict[str, Any] | None:
    """Answers requests. Returns in a fork, with the request that it is to carry out; None when the owner is gone."""
    with listen(folder) as listener:
        while True:
            ready, _, _ = select.select([listener, owner], [], [], 1)
            reap()
            if owner in ready:
                return None
            if listener in ready:
                connection = listener.accept()[0]
                with connection:
                    if request := receive(connection):
                        if os.fork() == 0:
                            listener.close()
                            if keep(connection, owner):
                                os._exit(0)
                            become(request)
                            return request
                        for descriptor in request["descriptors"]:
                            os.close(descriptor)


def reap() -> None:
    """Takes the exit status of the keepers that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """A request for a fork, with the caller's descriptors; None for one that was answered, or that broke off."""
    data, descriptors, _, _ = socket.recv_fds(connection, LARGEST, 3)
    while data and not data.endswith(b"\n"):
        more = connection.recv(LARGEST)
        data = data + more if more else b""
    request: dict[str, Any] | None = {**json.loads(data), "descriptors": descriptors} if data else None
    why = hindrance(request) if request is not None else "nothing was asked"
    if not why:
        return request
    print("cold:", why, flush=True)
    for descriptor in descriptors:
        os.close(descriptor)
    try:
        connection.sendall(b"cold")
    except OSError:
        pass  # the caller is gone
    return None


def keep(connection: socket.socket, owner: int) -> bool:
    """Forks the run and, in the parent, waits for its end and tells it; whether this is that parent.

    A run whose caller or whose owner is gone is killed with all that it started.
    """
    pid = os.fork()
    if pid == 0:
        return False
    ended = os.pidfd_open(pid)
    ready, _, _ = select.select([connection, ended, owner], [], [])
    if ended not in ready:
        os.kill(pid, signal.SIGKILL)
    select.select([ended], [], [])
    try:
        os.killpg(pid, signal.SIGKILL)  # what it left; before its number is free for others
    except ProcessLookupError:
        pass
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        connection.sendall(str(code).encode())
    except OSError:
        pass  # the caller is gone
    return True


# -- a run ----------------------------------------------------------------------------------------------


def become(request: dict[str, Any]) -> None:
    """Makes this fork what its caller would have started: session, descriptors, folder, environment, chance.

    Only the order of sets is that of the server: Python's hash seed cannot be drawn again.
    """
    os.setsid()
    for number, descriptor in enumerate(request["descriptors"]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["cwd"])
    for name in filter(is_later, {*STARTED, *request["env"]}):  # the others are equal
        os.environ.pop(name, None)
        if name in request["env"]:
            os.environ[name] = request["env"][name]
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()  # Python's own chance is drawn again at each fork


def carry_out(words: list[str]) -> None:
    """Runs `python *words`, for a module (`-m name`) or a script."""
    if words[0] == "-m":
        sys.path[0], sys.argv = os.getcwd(), words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.path[0], sys.argv = os.path.dirname(os.path.realpath(words[0])), list(words)
        runpy.run_path(words[0], run_name="__main__")


def end(error: BaseException | None, script: str) -> NoReturn:
    """Ends as an interpreter does after a script, but for taking all its modules apart (2 s of a core).

    error: what the script raised; told from the script's own line on.
    """
    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    elif error is not None:
        trace = error.__traceback__
        while script != "-m" and trace is not None and trace.tb_frame.f_code.co_filename != script:
            trace = trace.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code & 0xFF)


def main() -> None:
    folder, owner = sys.argv[1], os.pidfd_open(int(sys.argv[2]))
    for name in sys.argv[3:]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a fork neither looks at what is there nor copies it
    request = serve(folder, owner)
    os.close(owner)
    if request is None:
        os._exit(0)
    words = request["words"]
    try:
        carry_out(words)
    finally:
        end(sys.exc_info()[1], words[0])


if __name__ == "__main__":
    main()
