"""What only a run's folder says is not used: which slurm.conf is read, where a token is sent."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from lfdash.launchers.ray import told_by
from lfdash.launchers.ray_calls import Calls
from lfdash.launchers.slurm import SlurmLauncher
from lfdash.launchers.slurm_calls import Calls as SlurmCalls
from lfdash.runs.paths import RunPaths
from lfdash.runs.record import ELSEWHERE_UNSEEN
from lfdash.targets import allowed
from tests.support.runs import plan_for, record_for, wait_for


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(allowed, "ALLOWED", set())
    return tmp_path / "state"


def test_what_was_used_is_known_to_later_processes(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed.allow("slurm.conf", "/etc/lab.conf")
    monkeypatch.setattr(allowed, "ALLOWED", set())
    assert allowed.is_allowed("slurm.conf", "/etc/lab.conf")
    assert not allowed.is_allowed("slurm.conf", "/etc/other.conf")
    assert not allowed.is_allowed("token", "/etc/lab.conf")
    folder = state / "lfdash" / allowed.FOLDER
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_where_nothing_can_be_kept_this_process_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/state")
    assert not allowed.is_allowed("a")
    allowed.allow("a")
    assert allowed.is_allowed("a")


def test_a_token_is_sent_only_where_this_user_has_sent_it(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = {"ray": {"address": "http://evil:1", "token_file": "/home/me/token", "job": "j"}}
    assert told_by(spec)[0] == Calls("http://evil:1", ""), "a folder of somebody else sends no token anywhere"
    allowed.allow("token", "http://head:8265", "/home/me/token")
    assert told_by(spec)[0].token_file == ""
    own = {"ray": {**spec["ray"], "address": "http://head:8265"}}
    assert told_by(own)[0].token_file == "/home/me/token"


def test_a_slurm_conf_of_somebody_else_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the plugins that squeue loads. Files tell what they tell, and the rest is told as unseen."""
    called = []

    def call(self: SlurmCalls, *words: str, **_: object) -> str:
        called.append((self.conf, words[0]))
        return ""

    monkeypatch.setattr(SlurmCalls, "run", call)
    plan = plan_for(tmp_path)
    root = RunPaths(tmp_path / plan.output_dir)
    control = root.attempt(1)
    control.root.mkdir(parents=True)
    (control.root / "armed").touch()
    control.spec.write_text(json.dumps({"slurm": {"conf": "/tmp/evil.conf"}, "ticket": "t", "run_id": plan.run_id}))
    launcher = SlurmLauncher("slurm:x")
    handle = launcher.adopt(root, record_for(plan))
    monkeypatch.setattr("lfdash.launchers.watching.belongs", lambda *_: True)
    monkeypatch.setattr("lfdash.launchers.watching.SUBMIT_S", 0.0)
    for _ in range(2):
        with pytest.raises(OSError, match=r"evil.conf was never used from this account") as caught:
            launcher.poll(handle)
        assert caught.value.errno == ELSEWHERE_UNSEEN
    launcher.jobs(launcher.place_of(json.loads(control.spec.read_text()))).cancel("7", "n", "t")
    launcher.interruption(handle)
    assert called == []
    allowed.allow("slurm.conf", "/tmp/evil.conf")
    launcher.jobs("\0/tmp/evil.conf").look()
    wait_for(lambda: ("/tmp/evil.conf", "squeue") in called)


def test_a_signature_is_of_this_user_and_these_words(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = allowed.sign("/w/run", "id", "1", "job")
    assert allowed.is_signed(said, "/w/run", "id", "1", "job")
    for other in (("/w/copy", "id", "1", "job"), ("/w/run", "id", "1", "another"), ("/w/runid", "1", "job")):
        assert not allowed.is_signed(said, *other)
    assert not allowed.is_signed(None, "/w/run") and not allowed.is_signed("", "/w/run")
    assert stat.S_IMODE((state / "lfdash" / allowed.KEY).stat().st_mode) == 0o600
    assert [path.name for path in (state / "lfdash").iterdir()] == [allowed.KEY]
    monkeypatch.setenv("XDG_STATE_HOME", str(state / "of somebody else"))
    assert not allowed.is_signed(said, "/w/run", "id", "1", "job")


def test_where_no_key_can_be_kept_this_process_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/state")
    assert allowed.is_signed(allowed.sign("a"), "a")


@pytest.mark.parametrize("spoiled", [b"", b"12345", b"x" * 40])
def test_a_key_that_is_none_is_made_anew_for_all(
    state: Path, spoiled: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = state / "lfdash" / allowed.KEY
    path.parent.mkdir(parents=True)
    path.write_bytes(spoiled)
    said = allowed.sign("a")
    assert len(path.read_bytes()) == allowed.KEY_BYTES and "is no key" in caplog.text
    monkeypatch.setattr(allowed, "OWN_KEY", b"another process")
    assert allowed.is_signed(said, "a") and [one.name for one in path.parent.iterdir()] == [allowed.KEY]


def test_a_key_that_cannot_be_read_once_is_not_made_anew(
    state: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowed, "UNKEPT", [])
    said, path = allowed.sign("a"), state / "lfdash" / allowed.KEY
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(allowed, "open_descriptor", fails)
        assert not allowed.is_signed(said, "a") and not allowed.is_signed(said, "a")
    assert caplog.text.count("no key can be kept") == 1
    assert path.read_bytes() == before and allowed.is_signed(said, "a")
    path.unlink()
    path.mkdir()
    assert allowed.is_signed(allowed.sign("a"), "a") and path.is_dir()


def fails(*_: object) -> tuple[int, int]:
    raise OSError(5, "Input/output error")


def test_a_state_folder_that_is_relative_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG Base Directory Specification: to be ignored; it would be another one in each folder."""
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert allowed.state_folder() == tmp_path / ".local/state/lfdash"


def test_a_signature_that_is_no_text_of_one_is_none() -> None:
    for odd in ("\ud800", "ä", 5, ["x"]):
        assert not allowed.is_signed(odd, "a")
