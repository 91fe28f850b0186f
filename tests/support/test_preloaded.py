"""The preloaded LLaMA-Factory of the tests: what runs through it is the run that a fresh interpreter makes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from lfdash.llamafactory.ask import ask
from lfdash.llamafactory.locate import Cli, described, find_cli
from lfdash.runs.record import RunState
from lfdash.runs.view import RunView
from tests.conftest import CLI
from tests.support.page import SECONDS, Page
from tests.support.preloaded import preload
from tests.support.runs import members, wait_end, wait_for

TIMES = {"elapsed_time", "remaining_time", "throughput", "total_tokens"}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A preloaded interpreter that has imported nothing but a module that a script does not load by itself."""
    real = Cli("llamafactory-cli", sys.executable)
    folder = tmp_path_factory.mktemp("a-folder-whose-path-is-too-long-for-the-address-of-a-socket-" + "x" * 60)
    return preload(real, folder, os.getpid(), ["numpy.random", "wave"])


def both(quick: Cli, path: Path, text: str, *words: str, **how: Any) -> list[subprocess.CompletedProcess[str]]:
    """How a script ends in a fresh interpreter and in the preloaded one."""
    path.write_text(text)
    commands = [[python, str(path), *words] for python in (sys.executable, quick.python)]
    return [subprocess.run(command, capture_output=True, text=True, **how) for command in commands]  # type: ignore


SEEN = """
import json, os, signal, sys
handlers = [str(signal.getsignal(number)) for number in signal.valid_signals()]
seen = {"argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ), "path": sys.path, "handlers": handlers}
seen |= {"stdin": sys.stdin.read(), "name": __name__, "file": __file__, "leads": os.getsid(0) == os.getpid()}
seen |= {"open": sorted(map(int, os.listdir("/proc/self/fd")))[:-1]}
json.dump(seen, sys.stdout)
"""


def test_a_script_sees_what_its_caller_gave_it(quick: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    env = {name: value for name, value in os.environ.items() if name != "LFDASH_GONE"}
    env |= {"LFDASH_NEW": "new", "LLAMABOARD_WORKDIR": "a b"}
    done = both(quick, tmp_path / "see.py", SEEN, "a b", "-c", cwd=folder, env=env, input="typed")
    cold, warm = (json.loads(one.stdout) for one in done)
    assert warm.pop("leads") and not cold.pop("leads")
    assert warm == cold
    assert (warm["cwd"], warm["stdin"], warm["env"]["LFDASH_NEW"]) == (str(folder), "typed", "new")


ENDS = {
    "end": "print('said'); sys.stderr.write('told')",
    "code": "sys.exit(7)",
    "large code": "sys.exit(259)",
    "no code": "sys.exit()",
    "words": "sys.exit('words')",
    "raise": "def inner():\n    raise ValueError('why')\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    inner()",
    "syntax": "print(",
    "kill": "print('lost'); os.kill(os.getpid(), signal.SIGKILL)",
    "abort": "os.abort()",
    "at exit": "import atexit; atexit.register(print, 'bye'); print('first')",
    "thread": "import threading, time\nthreading.Timer(0.1, print, ['late']).start()",
    "at once": "os._exit(5)",
}


@pytest.mark.parametrize("text", ENDS.values(), ids=ENDS)
def test_a_script_ends_as_it_does_alone(quick: Cli, tmp_path: Path, text: str) -> None:
    cold, warm = both(quick, tmp_path / "end.py", f"import os, signal, sys\n{text}\n")
    assert (warm.returncode, warm.stdout, warm.stderr) == (cold.returncode, cold.stdout, cold.stderr)


def preloaded_in(python: str, *words: str, **env: str) -> bool:
    """Whether a command line is carried out by a fork: it has what nobody imported."""
    done = subprocess.run([python, *words], capture_output=True, text=True, env={**os.environ, **env})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip() == "True"


def test_what_would_not_be_the_same_run_gets_an_interpreter_of_its_own(quick: Cli, tmp_path: Path) -> None:
    assert quick.python is not None
    script = tmp_path / "script.py"
    script.write_text("import sys; print('wave' in sys.modules)")
    assert preloaded_in(quick.python, str(script))
    assert preloaded_in(quick.python, str(script), LFDASH_RUN="x", PATH="/usr/bin", COLUMNS="7")
    assert preloaded_in(quick.python, "-m", "script", PYTHONPATH=str(tmp_path)) is False
    for name in ("HF_HUB_OFFLINE", "FORCE_TORCHRUN", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "SOMETHING"):
        assert not preloaded_in(quick.python, str(script), **{name: "0"}), name
    assert not preloaded_in(quick.python, "-c", script.read_text())
    assert not preloaded_in(quick.python, "-I", str(script))


CHANCE = "import random, numpy; print(random.random()); print(numpy.random.rand())"


def test_two_runs_do_not_draw_the_same_numbers(quick: Cli, tmp_path: Path) -> None:
    said = [run.stdout for _ in range(2) for run in both(quick, tmp_path / "chance.py", CHANCE)]
    assert len({number for numbers in said for number in numbers.split()}) == 8


def gone(pid: int) -> Callable[[], bool]:
    """Whether a process has ended."""

    def look() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:  # it may go while it is looked at
            return True

    return look


def test_who_kills_the_caller_kills_the_run(quick: Cli, tmp_path: Path) -> None:
    script = tmp_path / "wait.py"
    forking = "child = os.fork()\nif child:\n    print(os.getpid(), child, flush=True)"
    script.write_text(f"import os, time\n{forking}\ntime.sleep(60)")
    caller = subprocess.Popen([str(quick.python), str(script)], stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    pids = [int(word) for word in caller.stdout.readline().split()]
    assert len(pids) == 2
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    for pid in pids:
        wait_for(gone(pid))


def test_it_ends_with_its_owner_and_so_do_its_runs(tmp_path: Path) -> None:
    owner = subprocess.Popen(["sleep", "60"])
    cli = preload(Cli("llamafactory-cli", sys.executable), tmp_path / "served", owner.pid, ["numpy"])
    assert preload(Cli("llamafactory-cli", sys.executable), tmp_path / "served", owner.pid) == cli  # it serves already
    script = tmp_path / "wait.py"
    script.write_text("import os, time\nprint(os.getpid(), os.getppid(), flush=True)\ntime.sleep(60)")
    caller = subprocess.Popen([str(cli.python), str(script)], stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    pids = [int(word) for word in caller.stdout.readline().split()]
    owner.kill()
    owner.wait()
    assert caller.wait(20) != 0
    for pid in pids:
        wait_for(gone(pid))
    done = subprocess.run([str(cli.python), str(script)], capture_output=True, text=True)
    assert done.returncode == 1 and "Connection refused" in done.stderr
    again = preload(Cli("llamafactory-cli", sys.executable), tmp_path / "served", os.getpid(), ["wave"])
    script.write_text("import sys; print('wave' in sys.modules)")
    assert preloaded_in(str(again.python), str(script))


# -- LLaMA-Factory --------------------------------------------------------------------------------------


@pytest.mark.train_env
def test_lfdash_finds_its_interpreter(preloaded: Cli) -> None:
    assert find_cli({"LFDASH_CLI": preloaded.path}) == described(preloaded.path) == preloaded
    assert preloaded.python not in (None, described(str(CLI)).python)
    said = ask(preloaded, "probe", arguments=("--identity",), timeout=60)
    assert isinstance(said, str) and sys.version in json.loads(said)["python"]


def listing(view: RunView) -> set[str]:
    """The files of a run, but for the events of TensorBoard, whose names hold the second and the pid, and for what a
    dashboard notices sooner or later."""
    return {
        str(path.relative_to(view.path)) for path in view.path.rglob("*")
        if ".tfevents." not in path.name and path.name not in ("alerts.jsonl", "machine.jsonl")
    }


def logged(view: RunView) -> list[dict[str, Any]]:
    """What a run has logged, without the times."""
    rows = [json.loads(line) for line in view.paths.trainer_log.read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


@pytest.mark.train_env
def test_a_training_is_the_same_as_from_a_fresh_interpreter(
    demo_workspace: Path, preloaded: Cli, tmp_path: Path
) -> None:
    """The same job both ways: losses, files, and the weights to the last bit."""
    views = []
    for place, cli in (("cold", None), ("warm", preloaded)):
        page = Page.open(demo_workspace, tmp_path / place, cli=cli)
        handle = page.start("same", {"max_steps": 2, "save_steps": 1, "logging_steps": 1})
        views.append(wait_end(page.services.registry, handle.run_id, SECONDS))
        assert members(handle) == []
        page.services.close()
    cold, warm = views
    assert (cold.state, cold.exit_code) == (warm.state, warm.exit_code) == (RunState.SUCCEEDED, 0), views
    assert logged(warm) == logged(cold) and [row["current_steps"] for row in logged(cold)] == [1, 2, 2]
    assert all("loss" in row for row in logged(cold)[:2])
    assert listing(warm) == listing(cold)
    assert "checkpoint-2/adapter_model.safetensors" in listing(cold)
    for name in ("adapter_model.safetensors", "checkpoint-1/adapter_model.safetensors", "training_args.yaml"):
        assert (warm.path / name).read_bytes() == (cold.path / name).read_bytes(), name
