"""Points where a test makes the process fail: named where they are, harmless without the variable."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lfdash.supervisor import failpoints, records, shim
from tests.support.runs import wait_for
from tests.support.source import first_words_of_calls, texts

DEADLY = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"  # also when pytest was called with nohup


def test_every_point_is_somewhere_in_the_code_and_on_the_list() -> None:
    named = {word for word in first_words_of_calls("hit") if "{" not in word}
    points = (*failpoints.POINTS, *failpoints.CLUSTER_POINTS)
    assert named <= set(points)
    # each stands once in the list and once in the code; write.run.json is made of the file's name
    written = texts()
    assert [name for name in points if written.count(name) != 2] == ["write.run.json"]


def test_without_the_variable_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(failpoints.VARIABLE, raising=False)
    monkeypatch.setattr(failpoints, "act", None)
    for point in failpoints.POINTS:
        failpoints.hit(point)
        records.hit(point)


@pytest.mark.parametrize("module", [failpoints, shim])
def test_only_the_named_point_acts(monkeypatch: pytest.MonkeyPatch, module: object) -> None:
    monkeypatch.setenv(failpoints.VARIABLE, "launch.checked=error:ENOSPC; write.run.json=error:EROFS")
    hit = module.hit  # type: ignore[attr-defined]
    hit("launch.locked")
    for point, number in (("launch.checked", errno.ENOSPC), ("write.run.json", errno.EROFS)):
        with pytest.raises(OSError, match=os.strerror(number)) as caught:
            hit(point)
        assert caught.value.errno == number


def test_a_pause_lasts_until_its_file_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "here"
    monkeypatch.setenv(failpoints.VARIABLE, f"launch.checked=pause:{file}")
    paused = threading.Thread(target=failpoints.hit, args=("launch.checked",))
    paused.start()
    wait_for(lambda: file.exists() and file.read_text() == "launch.checked")
    assert paused.is_alive()
    file.unlink()
    paused.join(10)
    assert not paused.is_alive()


@pytest.mark.parametrize(
    ("action", "code"),
    [("kill", -signal.SIGKILL), ("term", -signal.SIGTERM), ("hup", -signal.SIGHUP), ("exit", 70), ("nonsense", 1)],
)
def test_a_process_ends_as_told(action: str, code: int) -> None:
    """Loaded by its path, without the package, as the shim loads it."""
    script = f"{DEADLY}; import runpy; runpy.run_path({failpoints.__file__!r})['hit']('a')"
    command = [sys.executable, "-I", "-S", "-c", script]
    env = {**os.environ, failpoints.VARIABLE: f"a={action}"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20)
    assert done.returncode == code, done.stderr
