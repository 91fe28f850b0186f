"""What a shim trusts and what it refuses. What it does with runs is in test_registry.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lfdash.launchers.base import Launched
from lfdash.launchers.local import SUPERVISOR, LocalLauncher
from tests.support.runs import members, plan_for, record_for, wait_for, wait_ready

BLIND = """
import json, subprocess, sys
from lfdash.supervisor import shim
one = shim.Shim(sys.argv[1])
one.bell = one.hang_bell()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
real, looks = shim.descendants, []
def descendants(root):
    looks.append(root)
    return [] if len(looks) < 4 else real(root)
shim.descendants, shim.SETTLE_S = descendants, 0.1
one.sweep()
print(json.dumps([len(looks) >= 4, one.reap(), one.leftovers]))
"""


def test_the_sweep_does_not_trust_a_look_that_finds_nobody(tmp_path: Path) -> None:
    """A look at /proc misses a process that is just being made. In a process of its own, since it waits for all."""
    (tmp_path / "spec.json").write_text("{}")
    done = subprocess.run([sys.executable, "-c", BLIND, str(tmp_path)], capture_output=True, text=True, timeout=30)
    assert done.stdout == "[true, false, 1]\n", done.stderr


def test_a_second_shim_does_not_start_the_attempt_again(tmp_path: Path) -> None:
    """Neither beside the first nor after the first was killed: the child of the first still runs."""
    launcher = LocalLauncher()
    plan = plan_for(tmp_path, load=600)
    outcome = launcher.submit(plan, record_for(plan), {})
    assert isinstance(outcome, Launched)
    wait_ready(outcome.handle, "started")
    control = outcome.handle.paths.attempt(1)
    command = [sys.executable, "-I", "-S", SUPERVISOR, str(control.root)]
    beside = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert beside.returncode == 1 and "another supervisor" in beside.stderr
    shim = launcher.shim(outcome.handle)
    assert shim is not None
    shim.kill()
    shim.wait()
    after = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert after.returncode == 1 and "already started" in after.stderr
    assert len(members(outcome.handle)) == 1
    launcher.stop(outcome.handle, "kill")
    wait_for(lambda: not members(outcome.handle))
