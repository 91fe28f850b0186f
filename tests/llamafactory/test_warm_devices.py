"""The process kept warm asks no driver: forks of it do, while it imports and where they compute."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lfdash.launchers.base import Launched
from lfdash.launchers.forked import Forked
from lfdash.launchers.local import LocalLauncher
from lfdash.llamafactory.ask import ask
from lfdash.llamafactory.locate import Cli
from lfdash.llamafactory.scripts import warm_devices
from lfdash.llamafactory.warm import MODULES, Warm
from tests.llamafactory.test_warm import Counting
from tests.support.drivers import make_driver, who_asked
from tests.support.runs import ended, plan_for, record_for, wait_for
from tests.support.warm import SECONDS, kept_warm, warmable_cli

# What asks while it is imported, in the ways in which others do.
TAKER = """
import functools, torch
from torch.cuda import is_available, is_bf16_supported
held = {torch.cuda.is_available: "by its identity"}

@functools.lru_cache
def cached():
    return torch.cuda.is_available()

told = [cached(), is_available(), is_bf16_supported(), torch.cuda.is_bf16_supported(including_emulation=False)]
"""
# A llamafactory-cli that tells what torch tells it, and what the module above was told.
CLI = f"""#!{sys.executable}
import json, os, sys
import taker, torch
cuda = torch.cuda
found = {{
    "pid": os.getpid(), "told": taker.told, "cached": taker.cached(), "count": cuda.device_count(),
    "available": cuda.is_available(), "bf16": cuda.is_bf16_supported(),
    "visible": os.environ.get("CUDA_VISIBLE_DEVICES"), "order": os.environ.get("CUDA_DEVICE_ORDER"),
    "bad": cuda._is_in_bad_fork(), "initialized": cuda.is_initialized(),
    "same": [taker.is_available is cuda.is_available, cuda.is_available in taker.held],
    "code": [ask.__code__.co_filename for ask in (cuda.is_available, cuda.device_count, cuda.is_bf16_supported)],
    "files": [torch.__file__, cuda.__file__, type(torch.__loader__).__name__, type(torch.__spec__.loader).__name__],
}}
with open(os.path.join(os.path.dirname(sys.argv[2]), "found.json"), "w") as file:
    json.dump(found, file)
"""


@dataclass
class Place:
    """A workspace with devices, and the warm process of its dashboard."""

    workspace: Path
    driver: Path
    cli: Cli
    warm: Warm

    def run(self, name: str, warm: bool = True, **env: str) -> tuple[dict[str, Any], str]:
        """What a run was told, and why it was not forked from the warm process; "" when it was."""
        launcher = LocalLauncher()
        launcher.forks = self.warm if warm else None
        plan = plan_for(self.workspace, cli=self.cli.path, name=name, env=env)
        outcome = launcher.submit(plan, record_for(plan), {})
        assert isinstance(outcome, Launched), outcome
        paths = outcome.handle.paths
        assert isinstance(launcher.shim(outcome.handle), Forked) is warm, paths.console.read_text()
        wait_for(lambda: ended(launcher, outcome.handle), SECONDS)
        found = json.loads((paths.root / "found.json").read_text())
        assert found.pop("pid") in who_asked(self.driver)
        return found, paths.attempt(1).shim_log.read_text().partition("kept warm (")[2].strip()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("devices")
    driver = make_driver(root / "driver")
    (driver / "taker.py").write_text(TAKER)
    cli = warmable_cli(root)
    Path(cli.path).write_text(CLI)
    (root / "workspace").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(driver))
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        with kept_warm(cli, root / "workspace", modules=["taker"]) as warm:
            yield Place(root / "workspace", driver, cli, warm)


def test_its_imports_are_answered_and_it_touches_no_device(place: Place) -> None:
    """Also where a module has taken a function, or holds it by its identity; each has its own code again."""
    found, why = place.run("one", CUDA_VISIBLE_DEVICES="0")
    assert why == "" and place.warm.pid not in who_asked(place.driver)
    assert found["told"] == [True, True, True, True] and found["same"] == [True, True]
    assert {Path(name).parent.name for name in found["code"]} == {"cuda"}
    assert not found["bad"] and found["initialized"]


@pytest.mark.parametrize("device", ["0", "1"])
def test_a_run_has_the_devices_of_its_own_plan(place: Place, device: str) -> None:
    """Also behind another one; all is as in a fresh interpreter."""
    env = {"CUDA_VISIBLE_DEVICES": device, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    found, why = place.run(f"warm{device}", **env)
    cold, _ = place.run(f"cold{device}", warm=False, **env)
    assert why == "" and found == cold
    assert (found["count"], found["available"], found["visible"]) == (1, True, device)
    assert found["order"] == "PCI_BUS_ID"


@pytest.mark.parametrize(
    ("devices", "why"),
    [("2", "is_bf16_supported: False, was True"), ("2,0", "is_bf16_supported: False, was True"),
     ("", "is_available: False, was True")],
)
def test_where_a_device_is_another_the_run_is_cold(place: Place, devices: str, why: str) -> None:
    found, said = place.run(f"other{devices}", CUDA_VISIBLE_DEVICES=devices)
    cold, _ = place.run(f"cold-other{devices}", warm=False, CUDA_VISIBLE_DEVICES=devices)
    assert f"torch.cuda.{why}" in said and found == cold and found["told"][2] is False


def question(place: Place, **env: str) -> list[int | None]:
    """The exit codes that the warm process told for a question."""
    counting = Counting(place.warm)
    assert isinstance(ask(place.cli, "probe", arguments=("--identity",), timeout=60, env=env, warm=counting), str)
    return counting.codes


def test_a_question_about_other_devices_is_answered_where_they_are_alike(place: Place) -> None:
    assert question(place) == [0]
    assert question(place, CUDA_VISIBLE_DEVICES="1", CUDA_DEVICE_ORDER="PCI_BUS_ID") == [0]
    assert question(place, CUDA_VISIBLE_DEVICES="2") == [None]
    assert question(place, PYTORCH_CUDA_ALLOC_CONF="expandable_segments:True") == [None]


def other_place(root: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Warm:
    """A warm process whose imports are that."""
    driver = make_driver(root / "driver")
    (driver / "taker.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(driver))
    warm = Warm(warmable_cli(root), root, modules=["taker"], room=0)
    warm.want()
    wait_for(lambda: warm.state != "starting" and (warm.state == "ready" or not warm.pid), SECONDS)
    return warm


@pytest.mark.parametrize(
    "call", ["torch.cuda.get_device_properties(0)", "torch.cuda.get_device_capability(torch.device('cuda', 0))"]
)
def test_a_question_without_a_plain_answer_touches_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    warm = other_place(tmp_path, monkeypatch, f"import torch\n{call}\n")
    assert (warm.state, warm.why) == ("unfit", "cuda is initialised")
    warm.close()


def test_what_a_driver_raises_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warm = other_place(
        tmp_path, monkeypatch,
        "import torch\ntry:\n    torch.cuda.get_device_name(7)\nexcept AssertionError as e:\n    raise OSError(e)\n",
    )
    assert (warm.state, warm.why) == ("unfit", "OSError: Invalid device id")
    assert warm.pid not in who_asked(tmp_path / "driver") != set()
    warm.close()


def test_a_variable_that_an_import_has_set_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import os\nos.environ['CUDA_DEVICE_ORDER'] = 'FASTEST_FIRST'\nimport torch\n"
    warm = other_place(tmp_path, monkeypatch, text)
    place = Place(tmp_path, tmp_path / "driver", Cli(str(tmp_path / "bin/llamafactory-cli"), sys.executable), warm)
    assert question(place, CUDA_DEVICE_ORDER="PCI_BUS_ID") == [None]
    assert question(place, CUDA_VISIBLE_DEVICES="1") == [0]
    warm.close()


def test_a_look_for_torch_before_its_import_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As transformers looks whether it is installed."""
    text = "import importlib.util\nassert importlib.util.find_spec('torch')\nimport torch\ntorch.cuda.is_available()\n"
    warm = other_place(tmp_path, monkeypatch, text)
    assert warm.state == "ready" and warm.pid not in who_asked(tmp_path / "driver") != set()
    warm.close()


def test_the_forks_of_a_question_leave_nothing() -> None:
    assert warm_devices.in_fork(lambda: ("", (9, 0))) == ("", (9, 0))
    assert warm_devices.in_fork(lambda: ("", object())) is None
    assert warm_devices.in_fork(lambda: sys.exit(1)) is None


@pytest.mark.train_env
def test_the_installed_one_is_fit_beside_devices(
    demo_workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LLaMA-Factory asks while it is imported; a run with one device is forked, one with several is torchrun's."""
    driver = make_driver(tmp_path / "driver")
    monkeypatch.setenv("PYTHONPATH", str(driver))
    cli = warmable_cli(tmp_path)
    (driver / "taker.py").write_text(
        "from llamafactory.extras import misc\nfrom transformers.utils import is_torch_cuda_available as cached\n"
        "from torch.cuda import is_available\nheld = {is_available}\ntold = [misc._is_bf16_available]\n"
    )
    Path(cli.path).write_text(CLI)
    with kept_warm(cli, tmp_path, modules=[*MODULES, "taker"]) as warm:
        assert who_asked(driver) and warm.pid not in who_asked(driver)
        place = Place(tmp_path, driver, cli, warm)
        found, why = place.run("one", CUDA_VISIBLE_DEVICES="1")
        assert why == "" and (found["told"], found["cached"], found["count"]) == ([True], True, 1)
        assert place.run("two", CUDA_VISIBLE_DEVICES="0,1")[1].startswith("2 devices")
        assert "is_bf16_supported" in place.run("old", CUDA_VISIBLE_DEVICES="2")[1]
