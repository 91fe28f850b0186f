"""The process that has imported LLaMA-Factory: when there is one, what it answers, and what it leaves to others."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lfdash.launchers.base import Launched
from lfdash.launchers.forked import Forked
from lfdash.launchers.local import LocalLauncher
from lfdash.llamafactory import warm as warm_module
from lfdash.llamafactory.ask import ask
from lfdash.llamafactory.deep_check import deep_check
from lfdash.llamafactory.locate import Cli, find_cli
from lfdash.llamafactory.token_lengths import Lengths, count_tokens
from lfdash.llamafactory.warm import MODULES, Warm
from lfdash.outcomes import Refused
from lfdash.runs.plan import make_plan
from lfdash.supervisor.processes import start_ticks
from tests.support import ROOT
from tests.support.page import DEMO
from tests.support.runs import ended, record_for, wait_for
from tests.support.warm import SECONDS, kept_warm, warmable_cli

IDENTITY = ("--identity",)


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    return warmable_cli(tmp_path_factory.mktemp("warm"))


@pytest.fixture(scope="module")
def shared_warm(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    with kept_warm(cli, tmp_path_factory.mktemp("warm")) as found:
        yield found


class Counting:
    """A warm process, and how often it answered."""

    def __init__(self, warm: Warm) -> None:
        self.warm, self.codes = warm, list[int | None]()

    def answer(self, *words: object) -> int | None:
        self.codes.append(self.warm.answer(*words))  # type: ignore[arg-type]
        return self.codes[-1]


def identity(cli: Cli, warm: Warm, **env: str) -> tuple[str | Refused, list[int | None]]:
    """What a question that needs no LLaMA-Factory gives, and the exit codes that the warm process told."""
    counting = Counting(warm)
    return ask(cli, "probe", arguments=IDENTITY, timeout=60, env=env, warm=counting), counting.codes


def test_it_answers_as_a_fresh_interpreter_does(cli: Cli, shared_warm: Warm) -> None:
    cold = ask(cli, "probe", arguments=IDENTITY, timeout=60)
    answer, codes = identity(cli, shared_warm)
    assert isinstance(answer, str) and "packages" in json.loads(answer)
    assert (answer, codes) == (cold, [0])


def test_it_tells_its_memory_and_has_the_usual_priority(shared_warm: Warm) -> None:
    """The imports alone were made at the lowest: a fork would inherit it, and nobody could give it back."""
    assert 1e6 < (shared_warm.memory() or 0) < 1e9
    wait_for(lambda: shared_warm.held)
    assert os.getpriority(os.PRIO_PROCESS, shared_warm.pid) == os.getpriority(os.PRIO_PROCESS, 0)


def test_the_imports_are_made_at_the_lowest_priority(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import os, threading\nopen('told', 'w').write(str(os.getpriority(0, threading.get_native_id())))\n"
    (tmp_path / "curious.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with kept_warm(cli, tmp_path, modules=["curious"]):
        assert (tmp_path / "told").read_text() == "19"


@pytest.mark.parametrize(
    "name",
    ["HF_HOME", "TRANSFORMERS_CACHE", "CUDA_VISIBLE_DEVICES", "TORCH_HOME", "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM",
     "LD_LIBRARY_PATH", "PYTHONHASHSEED", "ANYTHING"],
)
def test_a_variable_that_an_import_may_have_read_is_compared(cli: Cli, shared_warm: Warm, name: str) -> None:
    answer, codes = identity(cli, shared_warm, **{name: "7"})
    assert isinstance(answer, str) and codes == [None]  # a fresh interpreter gave it


def test_a_variable_that_is_read_late_is_not(cli: Cli, shared_warm: Warm) -> None:
    assert identity(cli, shared_warm, LFDASH_X="7", PATH="/nowhere", HF_HUB_OFFLINE="1")[1] == [0]


@pytest.mark.parametrize("what", ["cli", "module", "package"])
def test_an_installation_that_changed_is_loaded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    cli = warmable_cli(tmp_path)
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "some.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(packages))
    with kept_warm(cli, tmp_path, modules=["some"]) as warm:
        assert identity(cli, warm)[1] == [0]
        before = warm.pid
        changed = {"cli": Path(cli.path), "module": packages / "some.py", "package": packages / "other.py"}[what]
        changed.write_text((changed.read_text() if changed.exists() else "") + "\n")
        assert identity(cli, warm)[1] == [None]
        wait_for(lambda: warm.state == "unfit" and not warm.pid)
        assert warm.why == f"changed: {packages if what == 'package' else changed}"
        warm.want()
        wait_for(lambda: warm.state == "ready", SECONDS)
        assert warm.pid != before and identity(cli, warm)[1] == [0]


def test_never_means_never(cli: Cli, tmp_path: Path) -> None:
    warm = Warm(cli, tmp_path, " Never ", modules=["json"], room=0)
    warm.want()
    assert (warm.state, warm.pid) == ("off", 0) and identity(cli, warm)[1] == [None]


def test_without_room_it_is_not_started(cli: Cli, tmp_path: Path) -> None:
    warm = Warm(cli, tmp_path, modules=["json"], room=1 << 60)
    warm.want()
    assert (warm.state, warm.why) == ("off", "memory")


def test_room_is_what_the_container_has(cli: Cli, tmp_path: Path) -> None:
    warm = Warm(cli, tmp_path, modules=["json"], memory=lambda: (3 << 30, 4 << 30))
    warm.want()
    assert (warm.state, warm.why) == ("off", "memory")


def test_it_ends_when_no_page_wanted_it(cli: Cli, tmp_path: Path) -> None:
    with kept_warm(cli, tmp_path, idle=0.5) as warm:
        pid = warm.pid
        wait_for(lambda: warm.state == "off")
        wait_for(lambda: start_ticks(pid) is None)
        assert warm.memory() is None and identity(cli, warm)[1] == [None]


@pytest.mark.parametrize("stopped", [False, True])
def test_it_ends_with_its_dashboard(cli: Cli, tmp_path: Path, stopped: bool) -> None:
    """Also when it cannot do anything about it itself."""
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom lfdash.llamafactory.locate import Cli\n"
        "from tests.support.warm import kept_warm\n"
        "with kept_warm(Cli(sys.argv[1], sys.executable), Path(sys.argv[2])) as warm:\n"
        "    print(warm.pid, flush=True)\n    time.sleep(600)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", script, cli.path, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    if stopped:
        os.kill(pid, signal.SIGSTOP)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    wait_for(lambda: start_ticks(pid) is None)


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **modules: str) -> None:
    """Modules that are found first."""
    (tmp_path / "fake").mkdir()
    for name, text in modules.items():
        (tmp_path / "fake" / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("raise ImportError('libcudart.so.12: cannot open shared object file')", "ImportError: libcudart.so.12"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import os; os.abort()", "it ended"),
        ("raise MemoryError", "MemoryError"),
        ("class cuda:\n    is_initialized = staticmethod(lambda: True)", "cuda is initialised"),
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()", "threads: "),
    ],
)
def test_what_cannot_be_forked_is_not(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    """A broken installation, a device that was touched: all goes its usual way, and it is not tried again soon."""
    fake(tmp_path, monkeypatch, torch=text)
    warm = Warm(cli, tmp_path, modules=["torch"], room=0)
    warm.want()
    wait_for(lambda: warm.state == "unfit" and not warm.pid)
    assert warm.why.startswith(why)
    assert identity(cli, warm)[1] == [None]
    warm.want()
    assert warm.state == "unfit"
    warm.close()


@pytest.mark.parametrize("text", ["#!/bin/sh\nexec python \"$@\"\n", f"#!{sys.executable} -I\n"])
def test_a_program_that_is_not_plain_python_is_not_kept_warm(tmp_path: Path, text: str) -> None:
    path = tmp_path / "llamafactory-cli"
    path.write_text(text)
    warm = Warm(Cli(str(path), sys.executable), tmp_path, modules=["json"], room=0)
    warm.want()
    wait_for(lambda: warm.state == "unfit")
    assert warm.why.startswith(f"{path}: ")
    warm.close()


SLOW = "import os, time\nopen(os.environ['LFDASH_TOLD'], 'w').write(str(os.getpid()))\ntime.sleep(600)\n"


def test_a_question_that_takes_too_long_is_ended(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, monkeypatch, llamafactory=SLOW)
    told = tmp_path / "told"
    with kept_warm(cli, tmp_path) as warm:
        refused = ask(cli, "check", [], timeout=1, env={"LFDASH_TOLD": str(told)}, warm=warm)
        assert refused == Refused("asked_time", {"reason": "1"})
        wait_for(lambda: start_ticks(int(told.read_text())) is None)
        assert identity(cli, warm)[1] == [0]  # it goes on


def test_while_it_is_stopped_nobody_waits_long(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_module, "ANSWER_S", 0.2)
    with kept_warm(cli, tmp_path) as warm:
        os.kill(warm.pid, signal.SIGSTOP)
        assert identity(cli, warm)[1] == [None]
        os.kill(warm.pid, signal.SIGCONT)
        monkeypatch.setattr(warm_module, "ANSWER_S", 20.0)
        assert identity(cli, warm)[1] == [0]


# -- the installed LLaMA-Factory ---------------------------------------------------------------------------


@pytest.mark.train_env
def test_the_installed_one_says_the_same_warm(demo_workspace: Path, tmp_path: Path) -> None:
    cli = find_cli({})
    assert isinstance(cli, Cli)
    base = {**DEMO, "output_dir": "saves/m/lora/r", "dataset_dir": "data"}
    wrong = ({"finetuning_type": "full", "quantization_bit": 4}, {"stage": "ppo"}, {"lora_rank": "x"})
    jobs = [base, *({**base, **change} for change in wrong)]
    job = {**DEMO, "dataset_dir": "data"}
    with kept_warm(cli, demo_workspace, modules=MODULES) as warm:
        counting = Counting(warm)
        said = deep_check(cli, demo_workspace, jobs, warm=counting)
        lengths = count_tokens(cli, demo_workspace, job, warm=counting)
        assert counting.codes == [0, 0]
    assert said == deep_check(cli, demo_workspace, jobs)
    assert not isinstance(said, Refused) and said[0].text == "" and any(verdict.text for verdict in said[1:])
    assert isinstance(lengths, Lengths) and lengths == count_tokens(cli, demo_workspace, job)


UNTIMED = ("adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "tokenizer_config.json", "README.md")
OF_TIME = ("runtime", "per_second", "elapsed_time", "remaining_time", "throughput", "total_flos")


def untimed(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if not any(word in name for word in OF_TIME)}


def ordered(text: bytes) -> dict[str, object]:
    """A JSON object whose lists are sets."""
    return {name: sorted(v) if isinstance(v, list) else v for name, v in json.loads(text).items()}


@pytest.mark.train_env
def test_a_warm_training_is_the_cold_one(demo_workspace: Path, tmp_path: Path) -> None:
    """Of the same file in the same folder: the same files, weights to the last bit, and losses."""
    cli = find_cli({})
    assert isinstance(cli, Cli)
    workspace = tmp_path / "workspace"
    shutil.copytree(demo_workspace, workspace)
    args = {**DEMO, "max_steps": 6, "logging_steps": 1, "save_steps": 3, "dataset_dir": "data", "seed": 7}
    args["output_dir"] = "saves/r"
    seen = []
    with kept_warm(cli, workspace, modules=MODULES) as warm:
        for forks in (warm, None):
            launcher = LocalLauncher()
            launcher.forks = forks
            plan = make_plan(
                run_id="id-r", args=args, env={}, secrets=(), files={}, cli=cli.path, cwd=str(workspace),
                output_dir="saves/r",
            )
            outcome = launcher.submit(plan, record_for(plan), {})
            assert isinstance(outcome, Launched) and isinstance(launcher.shim(outcome.handle), Forked) is bool(forks)
            wait_for(lambda launcher=launcher, handle=outcome.handle: ended(launcher, handle), SECONDS)
            root = outcome.handle.paths.root
            assert launcher.poll(outcome.handle).exit.code == 0, outcome.handle.paths.console.read_text()
            assert "without" not in outcome.handle.paths.attempt(1).shim_log.read_text()
            log = [untimed(json.loads(line)) for line in (root / "trainer_log.jsonl").read_text().splitlines()]
            state = json.loads((root / "trainer_state.json").read_text())
            names = sorted(str(path.relative_to(root)) for path in root.rglob("*") if "runs" not in path.parts)
            seen.append({
                "files": names, "log": log, "state": [untimed(row) for row in state["log_history"]],
                "bytes": {name: (root / name).read_bytes() for name in UNTIMED if (root / name).exists()},
            })
            root.rename(root.with_name(f"r-{bool(forks)}"))
    for name, content in seen[0]["bytes"].items():
        other = seen[1]["bytes"][name]
        if name == "adapter_config.json":  # peft writes a set of modules in the order of Python's hash seed
            content, other = ordered(content), ordered(other)
        assert content == other, name
    assert {**seen[0], "bytes": None} == {**seen[1], "bytes": None}
    assert "adapter_model.safetensors" in seen[0]["bytes"] and len(seen[0]["log"]) >= 6
