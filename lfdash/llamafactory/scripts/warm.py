"""A program for LLaMA-Factory's own interpreter: has imported it, and forks for each request. Writes nothing.

    python warm.py CONTROL OWNER LLAMAFACTORY_CLI MODULE... PADDING     (started by lfdash/llamafactory/warm.py)

CONTROL: descriptor of a socket whose other end only the process OWNER has; it ends with that process, also while it is
stopped (PR_SET_PDEATHSIG). It says `ready`, or `unfit WHY` and ends. A request is a socket that comes over CONTROL;
what is asked stands in it as a line of JSON, beside descriptors:

- `question`: a program of this folder, answered by a child of this process. The answer is its exit code.
- `run`: a training. Its supervisor (lfdash/supervisor) becomes the parent of a fork that waits for it, so it must be
  made here: of two forks the outer one becomes the supervisor's program (execve keeps its children), the inner one the
  trainer. The outer one is nobody's child here: it outlives this process.

`cold WHY` answers either when a fork would not be what a fresh interpreter is (warm_same.py).

The imports are made by a thread of the lowest priority. Priorities are of threads on Linux, and the forks are of the
main thread, which has kept the usual one; nobody could give it back to a process (RLIMIT_NICE). By the time of a fork
Python has one thread only, and no device was touched: CUDA does not survive a fork. What the imports ask of the devices
is answered by other forks (warm_devices.py).
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import platform
import select
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any

# Of this project, found by its place; nothing of it stays on the path. LLaMA-Factory's environment need not have it.
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(HERE))))
from lfdash.llamafactory.scripts import warm_devices, warm_fork, warm_same  # noqa: E402
from lfdash.supervisor.failpoints import hit  # noqa: E402

del sys.path[0]

SCRIPTS = ("check", "lengths", "probe", "sees")
PR_SET_PDEATHSIG = 1
LOWEST = 19  # of nice
IDLE_DISK = 3 << 13  # IOPRIO_CLASS_IDLE
IOPRIO_SET = {"x86_64": 251, "aarch64": 30}  # linux/unistd.h
FIRST_TO_GO = 900  # of oom_score_adj: a run has 300 (lfdash/supervisor/shim.py)
REQUEST_S = 2.0  # in which a request must be here: it was written before its socket came


def expendable(adjustment: int) -> int:
    """Says how readily the kernel ends this process where memory runs out, -1000 to 1000; what it was before. Whoever
    has raised it may lower it again to what it was, without a privilege (proc(5))."""
    try:
        with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
            before = int(file.read())
            file.seek(0)
            file.write(str(adjustment))
            return before
    except OSError:
        return 0


def humble() -> None:
    """Gives this thread the lowest priority, for the processor and for the disk."""
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, LOWEST)
    if platform.machine() in IOPRIO_SET:
        ctypes.CDLL(None).syscall(IOPRIO_SET[platform.machine()], 1, thread, IDLE_DISK)


def load(names: list[str]) -> str:
    """Imports the modules at the lowest priority; why that failed, "" when it did not."""
    failed: list[str] = []

    def imports() -> None:
        try:
            humble()
            warm_devices.current.watch()
            for name in names:
                importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001 - whatever a broken installation raises, it is the reason
            traceback.print_exc()
            failed.append(f"{type(error).__name__}: {error}")
        finally:
            warm_devices.current.put_back()

    thread = threading.Thread(target=imports)
    thread.start()
    thread.join()
    return failed[0] if failed else ""


class Server:
    """Answers requests until the owner has closed its end."""

    def __init__(self, control: socket.socket, same: warm_same.Same, oom: int) -> None:
        self.control = control
        self.same = same
        self.oom = oom  # the adjustment of a run's supervisor
        self.questions: dict[int, tuple[int, socket.socket]] = {}  # pidfd -> pid, who asks

    def serve(self) -> None:
        """Returns when the owner is gone, or when this process has become unfit for any request."""
        while True:
            asking = {connection.fileno(): handle for handle, (_, connection) in self.questions.items()}
            control = self.control.fileno()
            ready, _, _ = select.select([control, *self.questions, *asking], [], [])
            for handle in ready:
                if handle in self.questions:
                    self.tell(handle)
                elif asking.get(handle) in self.questions:  # nobody waits for it any more
                    self.drop(asking[handle])
            if control in ready and not self.take():
                return

    def take(self) -> bool:
        """Takes one request; False when there will be none any more."""
        try:
            data, descriptors = warm_same.take(self.control, 1, 1)
        except OSError:
            return False
        if not data or not descriptors:
            return False
        why_unfit = self.same.unfit()
        with socket.socket(fileno=descriptors[0]) as connection:
            handles: list[int] = []
            try:
                connection.settimeout(REQUEST_S)
                request, handles = warm_fork.receive(connection)
                connection.settimeout(None)
                hit("warm.asked")
                why = why_unfit or ("" if request else "nothing was asked") or self.same.hindrance(request, connection)
                if why:
                    connection.sendall(f"cold {why}\n".encode())
                elif request["what"] == "run":
                    self.run(request, connection, handles)
                else:
                    self.ask(request, connection, handles)
            except (OSError, ValueError, KeyError, MemoryError):  # who asked sees the end of its socket, and goes on
                traceback.print_exc()
            finally:
                for handle in handles:
                    os.close(handle)
        if why_unfit:
            warm_same.say(self.control, f"unfit {why_unfit}")
        return not why_unfit

    # -- questions --------------------------------------------------------------------------------------

    def ask(self, request: dict[str, Any], connection: socket.socket, handles: list[int]) -> None:
        """Forks a child that answers a question."""
        if request["script"] not in SCRIPTS:
            raise ValueError(request["script"])
        connection.sendall(b"taken\n")  # fails where nobody waits for it any more
        pid = warm_devices.fork()
        if pid == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            self.leave()
            program = os.path.join(HERE, f"{request['script']}.py")
            warm_fork.answer(request, connection, handles, program, self.same)
        self.questions[os.pidfd_open(pid)] = (pid, connection.dup())

    def tell(self, handle: int) -> None:
        """Tells the exit code of a question's child that has ended."""
        pid, connection = self.questions.pop(handle)
        os.close(handle)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with connection:
            warm_same.say(connection, f"done {code}")

    def drop(self, handle: int) -> None:
        """Ends a child whose question nobody waits for any more."""
        try:
            os.killpg(self.questions[handle][0], signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has no group of its own yet: it is killed with the next look at it
        os.kill(self.questions[handle][0], signal.SIGKILL)
        self.tell(handle)

    # -- runs -------------------------------------------------------------------------------------------

    def run(self, request: dict[str, Any], connection: socket.socket, handles: list[int]) -> None:
        """Forks a supervisor with its trainer. Nothing is told here but by them: the end of this is no sign."""
        hit("warm.before_fork")
        middle = warm_devices.fork()
        if middle == 0:
            if warm_devices.fork() == 0:
                self.supervise(request, connection, handles)
            os._exit(0)
        os.waitpid(middle, 0)

    def supervise(self, request: dict[str, Any], connection: socket.socket, handles: list[int]) -> None:
        """This fork becomes the supervisor, with a child that waits for it. Never returns."""
        try:
            expendable(self.oom)
            warm_fork.to_background(handles[0])
            warm_fork.set_environment(request["env"], self.same.free)
            ours, theirs = socket.socketpair()
            trainer = warm_devices.fork()
            if trainer == 0:
                ours.close()
                self.leave(connection, *handles)
                warm_fork.wait_for_supervisor(request, theirs, self.same)
            hit("warm.forked")
            socket.send_fds(connection, [f"pid {os.getpid()}\n".encode()], [os.pidfd_open(os.getpid())])
            os.set_inheritable(ours.fileno(), True)
            command = [*request["supervisor"], f"--warm={ours.fileno()}:{trainer}"]
            hit("warm.before_exec")
            warm_fork.close_all_but(ours.fileno(), connection.fileno())
            os.execve(command[0], command, request["env"])  # its end of the connection closes with this
        except BrokenPipeError:
            pass  # nobody waits for it any more: the run was started cold
        except BaseException:  # noqa: BLE001 - nobody is there to take it; it stands in shim.log
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(1)

    def leave(self, *connections: Any) -> None:
        """Closes in a fork what is this process's own."""
        for item in (self.control, *connections, *(asker for _, asker in self.questions.values())):
            os.close(item) if isinstance(item, int) else item.close()
        for handle in self.questions:
            os.close(handle)
        self.questions = {}


def main() -> None:
    began = time.time()
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(sys.argv[2]):
        return  # the owner ended before this
    cli, names = sys.argv[3], sys.argv[4:-1]
    oom = expendable(FIRST_TO_GO)
    os.environ.pop(warm_fork.SPACE, None)
    started = dict(os.environ)  # before anything is imported that reads or sets some of it
    warm_fork.as_script(cli)  # as a start of it has it: its folder is searched first
    why = warm_same.no_script(cli) or load(names)
    same = warm_same.Same(cli, started, began, warm_devices.current)
    why = why or same.unfit()
    if why:
        warm_same.say(control, f"unfit {why}")
        sys.exit(1)
    gc.collect()
    gc.freeze()  # a fork neither looks at what is there nor copies it
    sys.stdout.flush()
    sys.stderr.flush()
    warm_same.say(control, "ready")
    Server(control, same, oom).serve()
    os._exit(0)  # its children that answer end with it


if __name__ == "__main__":
    main()
