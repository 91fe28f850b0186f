"""Dashboard processes by the dozen: one process imports the dashboard once and forks a fresh one for each order.

Run as a program it is that process. A forked dashboard has the services, the registry and, where wanted, the whole
server of `python -m lfdash` (its own signal handling with it); it starts runs through the registry as the page does.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lfdash.launchers import table
from lfdash.launchers.base import MachineIdentity
from lfdash.launchers.local import LocalLauncher
from lfdash.supervisor.processes import boot_clock
from tests.support.runs import wait_for

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Order:
    """What a dashboard is to do. `does`: steps [name, arguments]: launch, stop, resume, discard (see `carry_out`).

    report: file to which it writes a JSON line for each thing that happened. port: 0 = without a server.
    later: seconds by which its clock is ahead. humble: even for the superuser a file's rights count.
    """

    workspace: str
    report: str
    does: list[list[Any]] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    port: int = 0
    later: float = 0.0
    humble: bool = False


# -- the side of the tests ------------------------------------------------------------------------------


class Zygote:
    """The process that forks dashboards. `folder`: where their reports go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.dashboards"], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )

    def ask(self, order: dict[str, Any]) -> int:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def dashboard(
        self, workspace: Path, *does: list[Any], env: dict[str, str] | None = None, port: int = 0, later: float = 0.0,
        humble: bool = False,
    ) -> Dash:
        """A fresh dashboard on a workspace, which carries out the steps one by one and then goes on. Its jobs may start
        the stand-in beside the workspace, where there is one."""
        cli = workspace.parent / "bin" / "llamafactory-cli"
        env = {**({"LFDASH_CLI": str(cli)} if cli.exists() else {}), **(env or {})}
        self.count += 1
        report = self.folder / f"{self.count}.jsonl"
        order = Order(str(workspace), str(report), list(does), env, port, later, humble)
        return Dash(self, self.ask(asdict(order)), report)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


@dataclass
class Dash:
    """A dashboard's process."""

    zygote: Zygote
    pid: int
    report: Path

    def said(self) -> list[dict[str, Any]]:
        """What it has reported so far."""
        try:
            lines = self.report.read_text().splitlines()
        except OSError:
            return []
        return [json.loads(line) for line in lines]

    def wait(self, word: str, seconds: float = 30) -> dict[str, Any]:
        """Until it reports `word`; fails at once when it has ended or raised."""

        def look() -> dict[str, Any] | None:
            said = self.said()
            wrong = [line for line in said if line["word"] == "raised"]
            assert not wrong, wrong
            return next((line for line in said if line["word"] == word), None)

        found = wait_for(look, seconds)
        assert found is not None
        return found

    def send(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait_dead(self, seconds: float = 60) -> int:
        """Waits for its end; -N when signal N killed it. One that does not end is killed, and that is a failure."""
        found = -1

        def ended() -> bool:
            nonlocal found
            found = self.zygote.ask({"wait": self.pid})
            return found >= 0

        try:
            wait_for(ended, seconds)
        except AssertionError:
            self.send(signal.SIGKILL)
            raise
        return os.waitstatus_to_exitcode(found)

    def kill(self, number: int = signal.SIGKILL) -> int:
        self.send(number)
        return self.wait_dead()


# -- the side of the dashboards -------------------------------------------------------------------------


def main() -> None:
    """Forks a dashboard for each line that is an order; tells how one ended, or -1, on {"wait": pid}."""
    import streamlit.web.bootstrap  # noqa: F401  (imported once, for all)

    import lfdash.web.server  # noqa: F401

    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            pid, status = os.waitpid(order["wait"], os.WNOHANG)
            answer = status if pid else -1
        else:
            answer = os.fork()
            if answer == 0:
                become(Order(**order))
        print(answer, flush=True)


def become(order: Order) -> None:
    """This process is a dashboard from here on."""
    os.setsid()
    # What starts the tests may ignore these (nohup, a shell's background job); a terminal's dashboard does not.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    report = os.open(order.report, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(report, 1)
    os.dup2(os.open(order.report + ".err", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    os.environ.update(order.env)
    if order.humble:
        give_up_rights()
    if order.later:
        ahead = MachineIdentity(clock=lambda: boot_clock() + order.later)
        table.get = lambda _name: LocalLauncher(ahead)
    with contextlib.suppress(KeyboardInterrupt):
        run(order)
    os._exit(0)


def give_up_rights() -> None:
    """Takes from this process what lets the superuser read and write files of any rights."""
    header = struct.pack("Ii", 0x20080522, 0)  # version 3 of the call; this process
    sets = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None)
    assert libc.capget(header, sets) == 0
    for number in range(3):  # effective, permitted, inheritable
        sets[number] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capset(header, sets) == 0


def clock() -> float:
    """Seconds without those that this thread waited for a free core: tests share theirs."""
    waited = int(Path("/proc/thread-self/schedstat").read_text().split()[1])
    return time.monotonic() - waited / 1e9


def say(word: str, **what: Any) -> None:
    os.write(1, (json.dumps({"word": word, **what}) + "\n").encode())


def run(order: Order) -> None:
    """Opens the workspace as the server's entry does and carries out the steps beside it."""
    from lfdash.engine.services import Project, Services
    from lfdash.ui.shared.session import install
    from lfdash.web import server

    began = clock()
    services = Services(Project(ROOT), Path(order.workspace))
    services._read_installed = lambda: None  # type: ignore[method-assign]  # nothing here depends on LLaMA-Factory
    install(services)
    server.install = lambda _: None  # its entry would open the workspace a second time
    services.start()
    found = {view.name: view.state.value for view in services.registry.snapshot()}
    say("up", found=found, seconds=clock() - began)
    hand = threading.Thread(target=carry_out, args=(services, order.does), daemon=True)
    hand.start()
    if order.port:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (for as long as the process lives)
        server.main(["--workspace", order.workspace, "--port", str(order.port)])
    else:
        while True:
            signal.pause()


def carry_out(services: Any, does: list[list[Any]]) -> None:
    """The steps, through the same calls as the page's buttons make."""
    try:
        for name, arguments in does:
            say(name, outcome=str(STEPS[name](services, **arguments)))
        say("done")
    except BaseException as error:
        say("raised", error=repr(error))
        raise


def launch(services: Any, *, name: str, cli: str, **args: Any) -> object:
    from tests.support.runs import plan_for, record_for

    plan = plan_for(services.registry.workspace, name=name, cli=cli, **args)
    return services.registry.launch(plan, record_for(plan))


def enqueue(services: Any, *, name: str, cli: str, **args: Any) -> object:
    from tests.support.runs import plan_for, record_for

    plan = plan_for(services.registry.workspace, name=name, cli=cli, **args)
    return services.registry.enqueue(plan, record_for(plan))


def train(services: Any, *, name: str, **changes: Any) -> object:
    """The demo's preset with the real llamafactory-cli, as the page plans it."""
    from tests.support.page import Page

    return Page(services).start(name, changes)


def chat(services: Any) -> object:
    """A chat with the demo's model, as *Start* makes it; its run id."""
    from lfdash.engine.chat_jobs import launch as launch_chat
    from lfdash.engine.loading import job_of
    from lfdash.jobs.kinds import SERVING
    from tests.support.chats import MODEL

    return launch_chat(services, job_of(services, SERVING, MODEL), "made by a test", beside=True)


def say_to(services: Any) -> object:
    """A prompt to the only chat, which is paused in the middle of its answer; the conversation's id."""
    from tests.support.chats import paused_answer

    (view,) = services.chats.keeper.serving()
    talk_id = paused_answer(services, view.run_id)
    services.chats.asking.close()  # the text that has come so far is on the disk
    return talk_id


def idle(services: Any, *, minutes: float) -> None:
    services.chats.set_idle_minutes(minutes)


def stop(services: Any, *, name: str, level: str) -> object:
    return services.registry.stop(f"id-{name}", level)


def resume(services: Any, *, name: str, cli: str, **args: Any) -> object:
    from dataclasses import replace

    from tests.support.runs import plan_for

    view = services.registry.get(f"id-{name}")
    plan = replace(plan_for(services.registry.workspace, name=name, cli=cli, **args), attempt=view.paths.next_attempt())
    return services.registry.launch(plan, view.record.resumed(plan))


def discard(services: Any, *, name: str) -> object:
    return services.registry.archive.discard(f"id-{name}")


def wait(services: Any, *, name: str, state: str) -> object:
    """Not a button: until the registry shows a run in a state."""
    return wait_for(lambda: (view := services.registry.get(f"id-{name}")) and view.state.value == state)


def saw(services: Any, *, name: str, step: int) -> object:
    """Not a button: until a run's log has reached a step."""
    return wait_for(lambda: (view := services.registry.get(f"id-{name}")) and (view.progress.step or 0) >= step)


def when(_services: Any, *, path: str) -> object:
    """Not a button: until somebody has made a file."""
    return wait_for(Path(path).exists)


STEPS = {
    "launch": launch, "train": train, "enqueue": enqueue, "stop": stop, "resume": resume, "discard": discard,
    "chat": chat, "say_to": say_to, "idle": idle, "wait": wait, "saw": saw, "when": when,
}

if __name__ == "__main__":
    main()
